//! An answer of the API, as it came: status, headers, bytes.

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn to(request: RequestBuilder) -> Self {
        Self::try_to(request).await.expect("the API answers")
    }

    /// An error when there was no answer, or not the whole of it.
    pub async fn try_to(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.send().await?;
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?.to_vec(),
        })
    }

    /// The answer itself, if it has this status.
    #[track_caller]
    pub fn with_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The field `id` of a row.
    #[track_caller]
    pub fn id(&self) -> String {
        self.json()["id"]
            .as_str()
            .unwrap_or_else(|| panic!("no id in {}", self.text()))
            .to_owned()
    }

    /// The `code` of a problem.
    #[track_caller]
    pub fn code(&self) -> String {
        self.json()["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {}", self.text()))
            .to_owned()
    }

    /// The titles of the rows of a list, in order.
    #[track_caller]
    pub fn titles(&self) -> Vec<String> {
        let json = self.json();
        let rows = json["data"]
            .as_array()
            .unwrap_or_else(|| panic!("no list: {}", self.text()));
        rows.iter()
            .map(|row| row["title"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// A problem as RFC 9457 has it, that tells nothing of the inside.
    #[track_caller]
    pub fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_ne!(self.code(), "");
        assert_eq!(problem["requestId"], self.header("x-request-id"));
        let text = self.text().to_lowercase();
        for inside in [
            "tenancy.",
            "select ",
            "insert ",
            "constraint",
            "sqlstate",
            "panick",
            ".rs:",
        ] {
            assert!(!text.contains(inside), "{inside} in {text}");
        }
    }
}
