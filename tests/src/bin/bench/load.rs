//! A load generator: so many connections, each with one request at a time, HTTP/1.1 over
//! plain TCP. It does as little as it can, because it runs on the same machine.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What came back.
#[derive(Default)]
pub struct Answers {
    /// Milliseconds each.
    pub times: Vec<f64>,
    pub seconds: f64,
}

impl Answers {
    pub fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.seconds
    }
}

/// Sends requests for that long; `request` makes the one of that number. Every answer has
/// to have this status.
pub async fn run(
    port: u16,
    connections: usize,
    duration: Duration,
    status: &'static str,
    request: impl Fn(usize) -> Vec<u8> + Clone + Send + 'static,
) -> Answers {
    let start = Instant::now();
    let mut senders = JoinSet::new();
    for connection in 0..connections {
        let request = request.clone();
        senders.spawn(async move {
            let stream = connect(port).await;
            let mut connected = Connected::new(stream);
            let mut times = Vec::new();
            let mut number = connection;
            while start.elapsed() < duration {
                let sent = Instant::now();
                let answer = connected.ask(&request(number)).await;
                assert!(
                    answer.starts_with(status.as_bytes()),
                    "not {status}: {}",
                    String::from_utf8_lossy(&answer)
                );
                times.push(sent.elapsed().as_secs_f64() * 1e3);
                number += connections;
            }
            times
        });
    }
    let times = senders.join_all().await.into_iter().flatten().collect();
    Answers {
        times,
        seconds: start.elapsed().as_secs_f64(),
    }
}

async fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("somebody listens");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// The first answer with this status, asked again and again; since when it took how long.
pub async fn first_answer(port: u16, status: &str, request: &[u8], since: Instant) -> Duration {
    while since.elapsed() < Duration::from_secs(60) {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
            let answer = Connected::new(stream).ask(request).await;
            if answer.starts_with(status.as_bytes()) {
                return since.elapsed();
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nobody answers on port {port}");
}

struct Connected {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connected {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(32 * 1024),
        }
    }

    /// Sends it, and reads the whole answer, which has a Content-Length. What is missing
    /// is missing: a connection that closes ends the answer.
    async fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        self.buffer.clear();
        if self.stream.write_all(request).await.is_err() {
            return Vec::new();
        }
        loop {
            if let Some(length) = self.length()
                && self.buffer.len() >= length
            {
                return self.buffer[..length].to_vec();
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(1..) => {}
                _ => return std::mem::take(&mut self.buffer),
            }
        }
    }

    fn length(&self) -> Option<usize> {
        let end = self
            .buffer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")?
            + 4;
        let head = std::str::from_utf8(&self.buffer[..end]).ok()?;
        let length = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        })?;
        Some(end + length)
    }
}

/// A request with a token, and a body of JSON if there is one.
pub fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
