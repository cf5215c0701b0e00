//! Connections, and the promise that a request leaves nothing behind on one.
//!
//! A connection goes back to the pool only when the request that held it says that
//! it is sound. Whatever else happens, it is closed: a new one costs a millisecond,
//! one in an unknown state could cost a tenant its secrets.
//!
//! Logins have some connections for themselves. However many log in, no request for rows
//! waits behind them; and as a backend's first login takes it 10 to 40 ms (compiled
//! functions, plans, catalog entries), few pay that.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool::managed::{Object, QueueMode, Timeouts};
use deadpool_postgres::Runtime;
use tokio_postgres::{Client, Config, Socket};

use super::call::{Failure, Use};
use super::cancel::Canceller;
use super::link::{Link, Links};
use super::tls::{self, Connector};
use crate::settings::DatabaseSettings;

/// One of so many connections is for logins.
const FOR_LOGINS: usize = 5;

#[derive(Clone)]
pub struct Pool {
    connections: deadpool::managed::Pool<Links>,
    /// Those that are for logins alone; none where there are too few to divide.
    for_logins: Option<deadpool::managed::Pool<Links>>,
    config: Config,
    connector: Connector,
    pub(super) canceller: Canceller,
    pub(super) is_prepared: bool,
    is_behind_a_pooler: bool,
    accepted: Arc<AtomicBool>,
    /// The server ends no query before it: a cancelled one was cancelled by us.
    pub(super) statement_timeout: Duration,
    pub(super) connect_timeout: Duration,
}

/// What reads from a connection and writes to it.
pub type Connection = tokio_postgres::Connection<Socket, tls::Stream>;

/// How many connections there are, and who waits.
#[derive(Default)]
pub struct PoolStatus {
    pub size: usize,
    pub available: usize,
    pub waiting: usize,
    pub max: usize,
}

impl Pool {
    /// Connects to nothing yet. Fails when the settings describe no database.
    pub fn new(settings: &DatabaseSettings) -> Result<Self, String> {
        let (config, encryption) = settings.connection()?;
        let connector = tls::connector(&encryption)?;
        let pool = |size| {
            let links = Links {
                config: config.clone(),
                connector: connector.clone(),
            };
            deadpool::managed::Pool::<Links>::builder(links)
                .max_size(size)
                .runtime(Runtime::Tokio1)
                // The one that was used last, whose backend has the most left in the caches.
                .queue_mode(QueueMode::Lifo)
                .timeouts(Timeouts {
                    wait: Some(settings.pool_timeout),
                    create: Some(settings.connect_timeout),
                    recycle: None,
                })
                .build()
                .map_err(|error| error.to_string())
        };
        let size = settings.pool_size.get();
        let for_logins = size / FOR_LOGINS;
        let connections = pool(size - for_logins)?;
        let for_logins = match for_logins {
            0 => None,
            size => Some(pool(size)?),
        };
        Ok(Self {
            connections,
            for_logins,
            canceller: Canceller::new(&config, &connector, settings.db_pooler),
            config,
            connector,
            is_prepared: settings.is_prepared(),
            is_behind_a_pooler: settings.db_pooler,
            accepted: Arc::default(),
            // Behind a pooler the limit is the role's, so nobody here knows what cancelled.
            statement_timeout: match settings.db_pooler {
                true => Duration::ZERO,
                false => settings.statement_timeout,
            },
            connect_timeout: settings.connect_timeout,
        })
    }

    /// A connection beside the pool, encrypted like all, for what outlives a request: LISTEN.
    /// Its second half has to be polled.
    pub async fn connect(&self) -> Result<(Client, Connection), tokio_postgres::Error> {
        self.config.connect(self.connector.clone()).await
    }

    /// Whether a pooler in transaction mode is between, which knows no LISTEN.
    pub fn is_behind_a_pooler(&self) -> bool {
        self.is_behind_a_pooler
    }

    /// Whether the database has accepted this service since it started.
    pub fn is_accepted(&self) -> bool {
        self.accepted.load(Ordering::Acquire)
    }

    pub(super) fn accept(&self) {
        self.accepted.store(true, Ordering::Release);
    }

    pub fn status(&self) -> PoolStatus {
        let mut all = PoolStatus::default();
        for part in [Some(&self.connections), self.for_logins.as_ref()] {
            let Some(status) = part.map(deadpool::managed::Pool::status) else {
                continue;
            };
            all.size += status.size;
            all.available += status.available;
            all.waiting += status.waiting;
            all.max += status.max_size;
        }
        all
    }

    pub(super) async fn lease(&self, purpose: Use) -> Result<Lease, Failure> {
        let part = match (purpose, &self.for_logins) {
            (Use::Login, Some(for_logins)) => for_logins,
            _ => &self.connections,
        };
        let connection = part.get().await.map_err(Failure::NoConnection)?;
        Ok(Lease(Some(connection)))
    }
}

/// A connection in use. Dropped, it is closed; only `give_back` returns it to the pool.
pub(super) struct Lease(Option<Object<Links>>);

impl Lease {
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Lease {
    type Target = Link;

    fn deref(&self) -> &Link {
        // Only `give_back` and `drop` take it out, and both end the lease.
        self.0.as_ref().expect("a lease has its connection")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Link {
        self.0.as_mut().expect("a lease has its connection")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}
