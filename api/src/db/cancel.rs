//! Cancels: a message on a connection of its own.
//!
//! PostgreSQL reads the message and closes. PgBouncer first has to find the server's
//! connection, and forgets a cancel whose sender has gone meanwhile; tokio-postgres
//! goes at once. So behind a pooler the sender stays until the other side has closed.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, Config, NoTls, Socket};

use super::tls::{Connector, Stream};

#[derive(Clone)]
pub(super) enum Canceller {
    /// As the connection was made.
    Server(Connector),
    /// Unencrypted, to the pooler at this host and port.
    Pooler(Arc<Host>, u16),
    /// Encrypted, to a pooler.
    EncryptedPooler(StayingConnector),
}

impl Canceller {
    pub(super) fn new(config: &Config, connector: &Connector, is_pooler: bool) -> Self {
        let is_plain = config.get_ssl_mode() == SslMode::Disable;
        match (config.get_hosts(), config.get_hostaddrs()) {
            ([host], []) if is_pooler && is_plain => {
                let port = config.get_ports().first().copied().unwrap_or(5432);
                Self::Pooler(Arc::new(host.clone()), port)
            }
            _ if is_pooler && !is_plain => {
                Self::EncryptedPooler(StayingConnector(connector.clone()))
            }
            _ => Self::Server(connector.clone()),
        }
    }

    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), String> {
        let sent = match self {
            Self::Server(connector) => token.cancel_query(connector.clone()).await,
            Self::EncryptedPooler(connector) => token.cancel_query(connector.clone()).await,
            Self::Pooler(host, port) => match &**host {
                Host::Tcp(name) => {
                    let stream = TcpStream::connect((name.as_str(), *port)).await;
                    let stream = Staying(stream.map_err(|error| error.to_string())?);
                    token.cancel_query_raw(stream, NoTls).await
                }
                Host::Unix(folder) => {
                    let stream = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await;
                    let stream = Staying(stream.map_err(|error| error.to_string())?);
                    token.cancel_query_raw(stream, NoTls).await
                }
            },
        };
        sent.map_err(|error| error.to_string())
    }
}

/// A stream that is shut down when the other side has closed it.
pub(super) struct Staying<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Staying<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Staying<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut bytes = [0; 64];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// A connector whose streams stay.
#[derive(Clone)]
pub(super) struct StayingConnector(Connector);

pub(super) struct StayingConnect(<Connector as MakeTlsConnect<Socket>>::TlsConnect);

impl MakeTlsConnect<Socket> for StayingConnector {
    type Stream = Staying<Stream>;
    type TlsConnect = StayingConnect;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<StayingConnect, Infallible> {
        MakeTlsConnect::<Socket>::make_tls_connect(&mut self.0, host).map(StayingConnect)
    }
}

impl TlsConnect<Socket> for StayingConnect {
    type Stream = Staying<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Staying<Stream>>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async { self.0.connect(socket).await.map(Staying) })
    }
}

impl TlsStream for Staying<Stream> {
    fn channel_binding(&self) -> ChannelBinding {
        self.0.channel_binding()
    }
}
