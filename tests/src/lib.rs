//! What the end-to-end tests stand on: a real PostgreSQL cluster of their own,
//! the real API as a process, and people who send it requests.
//!
//! A test makes a `World` (a new database with the extension, and an API on it),
//! lets people register in it, act, and looks at what they see. Everything that is
//! started here ends with the test process, also when that is killed.

#![forbid(unsafe_code)]

pub use answer::Answer;
pub use api::{Api, ApiSettings};
pub use authority::{Authority, Certificate};
pub use cluster::{Cluster, Durability};
pub use collector::{Collector, Span};
pub use database::{Database, Login};
pub use keys::KeyPair;
pub use mailbox::Mailbox;
pub use person::{PASSWORD, Person};
pub use pgbouncer::PgBouncer;
pub use raw::{Raw, RawAnswer};
pub use token::{Token, now as token_now};

mod answer;
mod api;
mod authority;
mod cluster;
mod collector;
mod database;
mod dump;
mod keys;
mod mailbox;
mod person;
mod pgbouncer;
pub mod postgres;
mod raw;
mod samples;
mod token;
mod watchdog;

/// A database and an API on it.
pub struct World {
    // First, so that it ends before its database.
    pub api: Api,
    pub database: Database,
}

impl World {
    pub async fn new() -> Self {
        let database = Database::new().await;
        let api = Api::on(&database).start().await;
        Self { api, database }
    }

    /// One whose API mails invitations and resets.
    pub async fn with_mail() -> (Self, Mailbox) {
        let mailbox = Mailbox::new().await;
        let database = Database::new().await;
        let api = Api::on(&database).mails_to(&mailbox).start().await;
        (Self { api, database }, mailbox)
    }
}

/// Some hexadecimal digits that nobody has seen before.
pub fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("no port is free");
    listener
        .local_addr()
        .expect("a listener has an address")
        .port()
}
