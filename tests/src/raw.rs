//! A client that sends bytes and not requests.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Api;

/// A connection to an API.
pub struct Raw(TcpStream);

/// All that came until the end of the connection.
pub struct RawAnswer(Vec<u8>);

impl Raw {
    /// Sends all of it, if the other side takes it, and reads to the end.
    pub async fn sends(api: &Api, bytes: Vec<u8>) -> RawAnswer {
        let Self(stream) = Self::connects(api).await;
        let (mut reader, mut writer) = stream.into_split();
        // Refused in the middle, it can't be sent to its end.
        let sent = tokio::spawn(async move {
            let sent = writer.write_all(&bytes).await;
            (writer, sent)
        });
        let mut answer = Vec::new();
        // Who doesn't read all of a request resets the connection after its answer.
        let _ = reader.read_to_end(&mut answer).await;
        drop(sent.await);
        RawAnswer(answer)
    }

    pub async fn begins(api: &Api, bytes: &[u8]) -> Self {
        let mut connection = Self::connects(api).await;
        connection.adds(bytes).await.expect("the API reads");
        connection
    }

    pub async fn connects(api: &Api) -> Self {
        let address = api.url.trim_start_matches("http://");
        Self(TcpStream::connect(address).await.expect("the API listens"))
    }

    pub async fn adds(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// `GET /health`, and the connection stays.
    pub async fn asks_for_health(&mut self) {
        let request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
        self.adds(request).await.expect("the API reads");
        self.is_answered().await;
    }

    /// Reads an answer of some bytes.
    pub async fn is_answered(&mut self) {
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let read = self.0.read_buf(&mut answer).await;
            assert_ne!(
                read.expect("the API answers"),
                0,
                "closed, after {answer:?}"
            );
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    }

    /// Whether nothing has come so far.
    pub fn has_no_answer(&self) -> bool {
        let came = self.0.try_read(&mut [0]);
        matches!(came, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Waits until the other side has closed.
    pub async fn is_closed(mut self) {
        // A reset closes, too.
        let _ = self.0.read_to_end(&mut Vec::new()).await;
    }
}

impl RawAnswer {
    /// The first answer's; panics where there is none.
    #[track_caller]
    pub fn status(&self) -> u16 {
        let text = self.text();
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no answer: {self:?}"))
    }

    /// How many answers came.
    pub fn count(&self) -> usize {
        let text = self.text();
        text.matches("HTTP/1.1 ").count() + text.matches("HTTP/1.0 ").count()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl std::fmt::Debug for RawAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}
