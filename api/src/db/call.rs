//! One call of the database, and what becomes of it when nobody waits for it any more.
//!
//! A client hangs up, or a request's time is up: the request's future is dropped,
//! and with it a `Running`. The query is still running on the server then, so it is
//! cancelled there, and its answer awaited in the background.
//!
//! PostgreSQL's cancel request names a connection, not a query. One that comes late
//! hits whatever runs there next, which would be another caller's request. So the
//! connection goes back to the pool only when the server's answer proves that the
//! cancel has done its work: SQLSTATE 57014, to the only cancel that was sent, and
//! before the statement timeout could have been what raised it. Otherwise the
//! connection is closed, and a late cancel finds nobody.

use std::borrow::Cow;
use std::error::Error;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use deadpool_postgres::PoolError;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CancelToken, Row};

use super::Pool;
use super::cancel::Canceller;
use super::named::Named;
use super::pool::Lease;
use crate::caller::Caller;
use crate::error::leaves_a_sound_connection;
use crate::trace::DatabaseSpan;

/// Cancels sent for one query. The server drops one that comes before it has begun the query.
const CANCEL_ATTEMPTS: u32 = 3;

/// As many as most calls have at most.
const PARAMETERS: usize = 6;

/// Why a call has no answer.
#[derive(Debug)]
pub enum Failure {
    /// The database has not accepted this service yet.
    NotReady,
    /// What was asked for happens in the token's own tenant, and another was named.
    AnotherTenant,
    NoConnection(PoolError),
    Query(tokio_postgres::Error),
    /// A function that always answers did not.
    NoRow,
}

impl Failure {
    /// The code of the database's refusal.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Query(error) => error.code().map(|code| code.code()),
            _ => None,
        }
    }

    /// Why, in the words of the server or the system. They may quote a statement's
    /// parameters, so they are for the log only where these were no caller's.
    pub fn reason(&self) -> String {
        let error: &dyn Error = match self {
            Self::NotReady => return "not asked yet".to_owned(),
            Self::AnotherTenant => return "another tenant was named".to_owned(),
            Self::NoRow => return "the database's answer is empty".to_owned(),
            Self::NoConnection(PoolError::Backend(error)) | Self::Query(error) => error,
            Self::NoConnection(error) => return error.to_string(),
        };
        match error.source() {
            Some(source) => source.to_string().replace('\n', "; "),
            None => error.to_string(),
        }
    }
}

/// Which of the connections a call takes.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Request,
    Login,
}

/// A statement with its parameters. In a box, because it is handed from future to future,
/// and each of these has room for it.
#[must_use]
pub struct Call(Box<Asked>);

pub struct Asked {
    pub(super) statement: Cow<'static, str>,
    pub(super) types: Vec<Type>,
    pub(super) values: Vec<Box<dyn ToSql + Send + Sync>>,
    pub(super) named: Option<Named>,
    purpose: Use,
}

impl Call {
    pub fn new(statement: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Asked {
            statement: statement.into(),
            types: Vec::with_capacity(PARAMETERS),
            values: Vec::with_capacity(PARAMETERS),
            named: None,
            purpose: Use::Request,
        }))
    }

    /// A statement on a caller's behalf: its first parameter is the caller's token.
    pub fn of(caller: Caller, statement: impl Into<Cow<'static, str>>) -> Self {
        let (token, tenant) = caller.into_token_and_tenant();
        let mut call = Self::new(statement);
        call.named = tenant.map(|tenant| Named {
            token: token.clone(),
            tenant,
        });
        call.with(Type::TEXT, token)
    }

    /// Over a connection that is for logins.
    pub fn for_login(mut self) -> Self {
        self.purpose = Use::Login;
        self
    }

    pub fn with(mut self, kind: Type, value: impl ToSql + Send + Sync + 'static) -> Self {
        self.types.push(kind);
        self.values.push(Box::new(value));
        self
    }
}

impl Deref for Call {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.0
    }
}

impl DerefMut for Call {
    fn deref_mut(&mut self) -> &mut Asked {
        &mut self.0
    }
}

impl Pool {
    /// The one row that `call` answers.
    pub async fn row(&self, call: Call) -> Result<Row, Failure> {
        self.optional_row(call).await?.ok_or(Failure::NoRow)
    }

    pub async fn optional_row(&self, call: Call) -> Result<Option<Row>, Failure> {
        Ok(self.rows(call).await?.into_iter().next())
    }

    pub(super) async fn run(&self, call: Call) -> Result<Vec<Row>, Failure> {
        let span = DatabaseSpan::start(&call.statement);
        let answer = self.query(call).await;
        span.end(answer.as_ref().err());
        answer
    }

    async fn query(&self, call: Call) -> Result<Vec<Row>, Failure> {
        let mut lease = self.lease(call.purpose).await?;
        let cancel = lease.cancel.clone();
        let query: Query = if self.is_prepared {
            let statement = lease.prepare(&call).await.map_err(Failure::Query)?;
            Box::pin(async move {
                let answer = lease.query(&statement, &call).await;
                (lease, answer)
            })
        } else {
            Box::pin(async move {
                let answer = lease.query_unprepared(&call).await;
                (lease, answer)
            })
        };
        let (lease, answer) = Running {
            pool: self,
            query: Some(query),
            cancel,
            started: Instant::now(),
        }
        .await;

        if answer.as_ref().err().is_none_or(leaves_a_sound_connection) {
            lease.give_back();
        }
        answer.map_err(Failure::Query)
    }
}

type Answer = (Lease, Result<Vec<Row>, tokio_postgres::Error>);
type Query = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A query under way, with its connection.
struct Running<'a> {
    pool: &'a Pool,
    query: Option<Query>,
    cancel: Arc<CancelToken>,
    started: Instant,
}

impl Future for Running<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let query = self
            .query
            .as_mut()
            .expect("a future is not polled after its end");
        let answer = ready!(query.as_mut().poll(context));
        self.query = None;
        Poll::Ready(answer)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and the connection with it.
        if let (Some(query), Ok(runtime)) = (self.query.take(), Handle::try_current()) {
            let abandoned = Abandoned {
                cancel: self.cancel.clone(),
                canceller: self.pool.canceller.clone(),
                cancelled_in_time: self.started + self.pool.statement_timeout,
                patience: self.pool.connect_timeout,
            };
            runtime.spawn(abandoned.end(query));
        }
    }
}

/// A query that nobody waits for any more.
struct Abandoned {
    cancel: Arc<CancelToken>,
    canceller: Canceller,
    cancelled_in_time: Instant,
    patience: Duration,
}

impl Abandoned {
    async fn end(self, mut query: Query) {
        for attempt in 1..=CANCEL_ATTEMPTS {
            let cancel = self.canceller.cancel(&self.cancel);
            if let Ok(Err(reason)) = timeout(self.patience, cancel).await {
                tracing::warn!(%reason, "a query could not be cancelled");
            }
            let Ok((lease, answer)) = timeout(self.patience, &mut query).await else {
                continue;
            };
            let cancelled =
                answer.is_err_and(|error| error.code() == Some(&SqlState::QUERY_CANCELED));
            if cancelled && attempt == 1 && Instant::now() < self.cancelled_in_time {
                lease.give_back();
            }
            return;
        }
        // Dropping the query closes its connection.
    }
}
