//! What the service asks of clients, and tells browsers, before any route.

use std::time::Duration;

use axum::http::HeaderValue;
use clap::Args;

use super::attempts::rate;
use super::{Rate, duration};

#[derive(Args, Clone, Debug)]
pub struct FrontSettings {
    /// Requests per tenant: 1000/min, 50/s, or off.
    #[arg(long, env = "LIMIT_PER_TENANT", default_value = "off", value_parser = rate)]
    pub limit_per_tenant: Rate,

    /// Requests per address.
    #[arg(long, env = "LIMIT_PER_ADDRESS", default_value = "off", value_parser = rate)]
    pub limit_per_address: Rate,

    /// Origins whose pages may call the service from a browser, with commas, or * for all.
    #[arg(long, env = "CORS_ORIGINS", default_value = "", value_parser = origins)]
    pub cors_origins: Origins,

    /// Tell browsers for so long to come by HTTPS alone. For a service behind TLS.
    #[arg(long, env = "HSTS", value_parser = duration)]
    pub hsts: Option<Duration>,
}

/// Origins as browsers send them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    #[default]
    None,
    Any,
    These(Vec<HeaderValue>),
}

fn origins(text: &str) -> Result<Origins, String> {
    let given: Vec<_> = text
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .collect();
    match given[..] {
        [] => Ok(Origins::None),
        ["*"] => Ok(Origins::Any),
        _ => given
            .into_iter()
            .map(origin)
            .collect::<Result<_, _>>()
            .map(Origins::These),
    }
}

/// A browser compares byte by byte, so what it would never send is a mistake.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = || {
        format!(
            "{text} is not an origin like https://app.example, in small letters and without a path"
        )
    };
    let url: reqwest::Url = text.parse().map_err(|_| wrong())?;
    let is_http = ["http", "https"].contains(&url.scheme());
    if !is_http || text.contains('*') || url.origin().ascii_serialization() != text {
        return Err(wrong());
    }
    HeaderValue::try_from(text).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        let these = origins("https://app.example, http://localhost:5173").unwrap();
        let expected = ["https://app.example", "http://localhost:5173"];
        assert_eq!(
            these,
            Origins::These(expected.map(HeaderValue::from_static).into())
        );
        assert_eq!(origins(""), Ok(Origins::None));
        assert_eq!(origins("*"), Ok(Origins::Any));
        for text in [
            "https://app.example/",
            "https://App.example",
            "https://app.example:443",
            "app.example",
            "null",
            "*, https://app.example",
            "https://*.example",
            "file:///x",
        ] {
            assert!(origins(text).is_err(), "{text}");
        }
    }
}
