//! A connection of the pool, driven by the request that holds it.
//!
//! tokio-postgres gives a connection in two halves: a client, which asks, and the wire,
//! which reads and writes. The usual way is a task for the wire: each query wakes that
//! task, and its answer wakes the request again, as often as not on another thread. Here
//! the request polls the wire itself, so that nobody but the socket wakes anybody.
//!
//! Nobody polls an idle one. Whether its server has gone is seen when it is taken.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use tokio::task::unconstrained;
use tokio_postgres::{CancelToken, Config, Error, Row, Statement};

use super::pool::Connection;
use super::tls::Connector;
use super::{Call, Failure};

/// Both halves, and what cancels their query.
pub(super) struct Link {
    client: ClientWrapper,
    wire: Wire,
    pub(super) cancel: Arc<CancelToken>,
}

impl Link {
    /// The call's statement, which the server prepares once for each connection.
    pub(super) async fn prepare(&mut self, call: &Call) -> Result<Statement, Error> {
        let prepared = pin!(
            self.client
                .prepare_typed_cached(&call.statement, &call.types)
        );
        self.wire.carry(prepared).await
    }

    pub(super) async fn query(
        &mut self,
        statement: &Statement,
        call: &Call,
    ) -> Result<Vec<Row>, Error> {
        let values: Vec<_> = call.values.iter().map(|value| &**value as _).collect();
        let answer = pin!(self.client.query(statement, &values));
        self.wire.carry(answer).await
    }

    /// Parsed each time, and kept nowhere; still one round trip.
    pub(super) async fn query_unprepared(&mut self, call: &Call) -> Result<Vec<Row>, Error> {
        let values = call.values.iter().map(|value| &**value as _);
        let typed: Vec<_> = values.zip(call.types.iter().cloned()).collect();
        let answer = pin!(self.client.query_typed(&call.statement, &typed));
        self.wire.carry(answer).await
    }
}

/// What reads and writes, until the connection has ended.
struct Wire(Option<Connection>);

impl Wire {
    /// What `answer` ends with, which may wait for this connection and for nothing else.
    ///
    /// It is pinned already, because a future that it were moved into would hold it twice.
    async fn carry<T>(&mut self, answer: Pin<&mut impl Future<Output = T>>) -> T {
        // What it waits for comes by this wire, which is polled here: it needs no waker. It
        // would need one if it had to wait for its turn among tokio's tasks, too.
        let mut answer = unconstrained(answer);
        let mut is_asked = false;
        poll_fn(|context| {
            let mut poll = || Pin::new(&mut answer).poll(&mut nobody());
            if !is_asked {
                is_asked = true;
                if let Poll::Ready(answer) = poll() {
                    return Poll::Ready(answer);
                }
            }
            self.poll(context);
            poll()
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        let Some(connection) = &mut self.0 else {
            return;
        };
        if let Poll::Ready(end) = Pin::new(connection).poll(context) {
            if let Err(error) = end {
                let reason = Failure::Query(error).reason();
                tracing::warn!(reason, "a connection to the database has ended");
            }
            // Who waits for an answer learns by this that there will be none.
            self.0 = None;
        }
    }
}

fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Makes links, and looks at one before it is taken again.
pub(super) struct Links {
    pub(super) config: Config,
    pub(super) connector: Connector,
}

impl Manager for Links {
    type Type = Box<Link>;
    type Error = Error;

    async fn create(&self) -> Result<Box<Link>, Error> {
        // In a box, or each request would carry these kilobytes along.
        let connecting = Box::pin(self.config.connect(self.connector.clone()));
        let (client, connection) = connecting.await?;
        Ok(Box::new(Link {
            cancel: Arc::new(client.cancel_token()),
            // It would end the task of the wire, of which there is none.
            client: ClientWrapper::new(client, tokio::spawn(async {})),
            wire: Wire(Some(connection)),
        }))
    }

    async fn recycle(&self, link: &mut Box<Link>, _: &Metrics) -> RecycleResult<Error> {
        // Also lets go of who waited for the last answer, whom the next query would wake.
        // Whoever goes through many that have ended has had its turn among tokio's tasks, and
        // would be told that nothing is known of the next.
        let look = poll_fn(|_| {
            link.wire.poll(&mut nobody());
            Poll::Ready(())
        });
        unconstrained(look).await;
        match link.wire.0 {
            Some(_) => Ok(()),
            None => Err(RecycleError::message("the connection has ended")),
        }
    }
}
