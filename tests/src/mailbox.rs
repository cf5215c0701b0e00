//! The operator's mailer: what the API hands over arrives here, and nowhere else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::unique;

pub struct Mailbox {
    pub url: String,
    pub secret: String,
    mails: Arc<Mutex<Vec<Value>>>,
    server: JoinHandle<()>,
}

impl Mailbox {
    pub async fn new() -> Self {
        Self::that_fails_first(0).await
    }

    /// One that answers the first posts with an error.
    pub async fn that_fails_first(mut failures: usize) -> Self {
        let secret = unique();
        let mails: Arc<Mutex<Vec<Value>>> = Arc::default();
        let failures = Arc::new(Mutex::new(std::mem::take(&mut failures)));
        let receive = {
            let (secret, mails) = (secret.clone(), mails.clone());
            async move |headers: HeaderMap, body: Bytes| {
                let mut failures = failures.lock().expect("no handler panics");
                if *failures > 0 {
                    *failures -= 1;
                    return StatusCode::BAD_GATEWAY;
                }
                let signed = headers.get("x-signature").and_then(|one| one.to_str().ok());
                if signed != Some(&signature(&secret, &body)) {
                    return StatusCode::FORBIDDEN;
                }
                let mail = serde_json::from_slice(&body).expect("a mail is JSON");
                mails.lock().expect("no handler panics").push(mail);
                StatusCode::NO_CONTENT
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let router = Router::new().route("/mail", post(receive));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self {
            url: format!("http://{address}/mail"),
            secret,
            mails,
            server,
        }
    }

    /// All that has arrived for an address.
    pub fn mails_for(&self, email: &str) -> Vec<Value> {
        let mails = self.mails.lock().expect("no handler panics");
        let mails = mails.iter().filter(|mail| mail["email"] == email);
        mails.cloned().collect()
    }

    /// The mails for an address, once there are that many.
    pub async fn wait_for(&self, email: &str, count: usize) -> Vec<Value> {
        for _ in 0..600 {
            let mails = self.mails_for(email);
            if mails.len() >= count {
                return mails;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{count} mails for {email} don't arrive");
    }

    /// The token of the first mail for an address.
    pub async fn token_for(&self, email: &str) -> String {
        let mails = self.wait_for(email, 1).await;
        let last = mails.last().and_then(|mail| mail["token"].as_str());
        last.expect("a mail has a token").to_owned()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn signature(secret: &str, body: &[u8]) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let digest = aws_lc_rs::hmac::sign(&key, body);
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256={}", hex.collect::<String>())
}
