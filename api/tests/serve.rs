//! The listener: a client that dawdles is let go, one that waits for its answer is not.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use api::serve::serve;
use api::settings::{Limits, Settings};
use axum::Router;
use axum::routing::get;
use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

struct Server {
    address: std::net::SocketAddr,
    /// Told when a request has come as far as its handler.
    started: Arc<Notify>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

fn limits(arguments: &[&str]) -> Limits {
    let arguments = [&["pg_tenancy_api"], arguments].concat();
    Settings::try_parse_from(arguments).unwrap().limits
}

/// A server whose answer takes 300 ms, or on `/never` for ever.
async fn server(limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let started = Arc::new(Notify::new());
    let [slow, never] = [started.clone(), started.clone()];
    let router = Router::new()
        .route(
            "/",
            get(async move || {
                slow.notify_one();
                sleep(Duration::from_millis(300)).await;
                "done"
            }),
        )
        .route(
            "/never",
            get(async move || {
                never.notify_one();
                pending::<()>().await;
            }),
        );
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        serve(listener, router, &limits, stopped).await;
    });
    Server {
        address,
        started,
        stop,
        ended,
    }
}

async fn client(server: &Server, sent: &str) -> TcpStream {
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(sent.as_bytes()).await.unwrap();
    client
}

async fn answer(mut client: TcpStream) -> String {
    let mut answer = String::new();
    let read = client.read_to_string(&mut answer);
    let read = timeout(Duration::from_secs(5), read).await;
    read.expect("the server ends the connection").unwrap();
    answer
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn a_header_that_is_never_finished_is_not_waited_for() {
    let server = server(limits(&["--header-timeout=100ms"])).await;
    for sent in ["", "GET / HTTP/1.1\r\nHo"] {
        assert_eq!(answer(client(&server, sent).await).await, "");
    }
    // A request that is complete has the time that it needs.
    let answer = answer(client(&server, REQUEST).await).await;
    assert!(answer.ends_with("done"), "{answer}");
}

#[tokio::test]
async fn requests_under_way_are_finished_and_new_ones_not_taken() {
    let server = server(limits(&[])).await;
    let idle = client(&server, "").await;
    let waiting = client(&server, REQUEST).await;
    server.started.notified().await;
    server.stop.send(()).unwrap();

    let answer = answer(waiting).await;
    assert!(answer.ends_with("done"), "{answer}");
    timeout(Duration::from_secs(5), server.ended)
        .await
        .expect("an idle connection keeps nobody waiting")
        .unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_process_alive() {
    let server = server(limits(&["--shutdown-timeout=50ms"])).await;
    let waiting = client(&server, &REQUEST.replace("/ ", "/never ")).await;
    server.started.notified().await;
    server.stop.send(()).unwrap();
    timeout(Duration::from_secs(5), server.ended)
        .await
        .expect("the limit holds")
        .unwrap();
    drop(waiting);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = server(limits(&[])).await;
    let sent = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let mut client = client(&server, &sent).await;
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}
