//! The listener: connections, their time limits, and the way out.
//!
//! Not `axum::serve`, which keeps a half-sent header open without end and waits for
//! the last request at shutdown however long it takes.

use std::convert::Infallible;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::limiter::Peer;
use crate::metrics::OpenConnection;
use crate::settings::Limits;

/// A request's line and headers; a token may take 8 KiB of it.
const LONGEST_HEAD: usize = 32 * 1024;

/// The database, calls to others, libraries, the log.
const FILES_OF_OUR_OWN: usize = 128;

/// What a connection may keep in memory of what it read, or has yet to write.
const LONGEST_BUFFER: usize = 64 * 1024;

/// Serves until `stop`, then finishes the requests under way, for as long as the limit allows.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(LONGEST_HEAD)
        .max_buf_size(LONGEST_BUFFER);
    let places = Arc::new(Semaphore::new(limits.max_connections.get()));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accept = async {
            // Who finds no place waits in the system's queue.
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, (stream, peer)) = tokio::select! {
            (place, accepted) = accept => (place, match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: connections that end give them back.
                    tracing::warn!(%error, "can't accept a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            }),
            () = &mut stop => break,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "can't set TCP_NODELAY");
        }
        let service = with_peer(TowerToHyperService::new(router.clone()), Peer(peer.ip()));
        let mut stream = Box::pin(TimeoutStream::new(stream));
        stream
            .as_mut()
            .set_write_timeout_pinned(Some(limits.write_timeout));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        let open = OpenConnection::new();
        tokio::spawn(async move {
            let _held = (open, place);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    drop(listener);
    tracing::info!("finishing the requests under way");
    if timeout(limits.shutdown_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests were not finished in time");
    }
}

/// Tells each request who is at the other end.
fn with_peer(
    router: TowerToHyperService<Router>,
    peer: Peer,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> {
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    })
}

/// Ends with the first SIGTERM or SIGINT.
pub async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

impl Limits {
    /// Raises the system's limit on open files as far as it goes, and takes no more
    /// connections than it then leaves room for.
    pub fn within_the_systems(&self) -> Self {
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let room = files.saturating_sub(FILES_OF_OUR_OWN).max(1);
        let room = NonZeroUsize::new(room).unwrap_or(NonZeroUsize::MIN);
        if room < self.max_connections {
            tracing::warn!(
                room,
                "the system's limit on open files allows fewer connections than MAX_CONNECTIONS"
            );
        }
        Self {
            max_connections: self.max_connections.min(room),
            ..self.clone()
        }
    }
}
