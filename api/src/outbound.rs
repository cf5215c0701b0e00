//! Calls that the service makes itself: of the mail webhook, and of issuers' key sets.
//!
//! They go over HTTPS, to where a setting or a DBA says; plain HTTP goes to this machine
//! alone. A redirect is an error, a proxy isn't used, an answer has a limit in size and time.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

/// A key set has some kilobytes.
const LONGEST_ANSWER: usize = 256 * 1024;

/// An address that may be called.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// Fails for what is no URL, and for plain HTTP to another machine.
    pub fn new(url: &str) -> Result<Self, &'static str> {
        let url: Url = url.parse().map_err(|_| "is not a URL")?;
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_this_machine(&url) => Ok(Self(url)),
            _ => Err("must begin with https:// (http:// is for this machine alone)"),
        }
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse().map(|address: IpAddr| address.to_canonical());
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[derive(Clone)]
pub struct Outbound(Client);

impl Outbound {
    /// Where the system has no certificate authorities, nobody's HTTPS is believed.
    pub fn new(timeout: Duration) -> Result<Self, String> {
        let builder = || {
            Client::builder()
                .timeout(timeout)
                .redirect(Policy::none())
                .no_proxy()
                .user_agent(concat!("pg_tenancy_api/", env!("CARGO_PKG_VERSION")))
        };
        let client = builder().build().or_else(|error| {
            let reason = reason(error);
            tracing::warn!(reason, "HTTPS calls will fail; install ca-certificates");
            builder().tls_certs_only([]).build()
        });
        client
            .map(Self)
            .map_err(|error| format!("can't make HTTP calls: {}", reason(error)))
    }

    /// What stands there. Fails with the reason, in which there is nothing of the address.
    pub async fn get(&self, target: &Target) -> Result<Vec<u8>, String> {
        let request = self.0.get(target.0.clone());
        let mut response = send(request.header("accept", "application/json")).await?;
        let mut read = Vec::new();
        while let Some(part) = response.chunk().await.map_err(reason)? {
            if read.len() + part.len() > LONGEST_ANSWER {
                return Err(format!("the answer is longer than {LONGEST_ANSWER} bytes"));
            }
            read.extend_from_slice(&part);
        }
        Ok(read)
    }

    /// Hands JSON over. What is answered is not looked at, but that it is a success.
    pub async fn post(
        &self,
        target: &Target,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<(), String> {
        let mut request = self.0.post(target.0.clone()).body(body);
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        send(request).await.map(drop)
    }
}

async fn send(request: RequestBuilder) -> Result<Response, String> {
    let response = request.send().await.map_err(reason)?;
    match response.status() {
        status if status.is_success() => Ok(response),
        status if status.is_redirection() => Err(redirected(status)),
        status => Err(format!("the answer was {status}")),
    }
}

fn redirected(status: StatusCode) -> String {
    format!("the answer was {status}, and redirects are not followed")
}

/// Why, with its causes. An address may hold a secret.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for url in [
            "https://acme.example/.well-known/jwks.json",
            "http://127.0.0.1:3000/x",
            "http://127.8.9.1/x",
            "http://[::1]:3000/x",
            "http://localhost/x",
            "HTTP://LOCALHOST/x",
        ] {
            assert!(Target::new(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "acme.example",
            "http://acme.example/x",
            "http://10.0.0.1/x",
            "http://127.0.0.1.acme.example/x",
            "http://127.0.0.1@acme.example/x",
            "http://localhost.acme.example/x",
            "file:///etc/passwd",
            "ftp://127.0.0.1/x",
            "data:application/json,{}",
        ] {
            assert!(Target::new(url).is_err(), "{url}");
        }
    }
}
