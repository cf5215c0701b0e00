//! The product from outside: real PostgreSQL, real HTTP, real processes.
//!
//! One file per subject. `walk.rs` is the one to read first.

#![forbid(unsafe_code)]

mod api_keys;
mod attacks;
mod auth;
mod background;
mod bad_input;
mod bad_registration;
mod bad_token;
mod browsers;
mod calls;
mod catalog;
mod connections;
mod crowd;
mod cursors;
mod described;
mod direct_reads;
mod dump;
mod envelope;
mod errors;
mod etag;
mod exposed;
mod hostile;
mod idempotency;
mod invitations;
mod isolate;
mod kept;
mod keys;
mod known_tokens;
mod late;
mod latest;
mod limits;
mod links;
mod lint;
mod logins;
mod logs;
mod members;
mod metrics;
mod moved;
mod moving_over;
mod once;
mod outage;
mod passwords;
mod people;
mod pool;
mod pooler;
mod race;
mod request_limits;
mod residue;
mod resources;
mod rotation;
mod routes;
mod schemas;
mod school;
mod sessions;
mod shop;
mod soft_delete;
mod stolen_password;
mod support;
mod suspension;
mod tenant_header;
mod tls;
mod traces;
mod walk;
