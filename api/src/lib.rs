//! The HTTP service in front of pg_tenancy.
//!
//! A request becomes one SQL statement: its token is verified here, so that a bad
//! one costs the database nothing, and again in the database, which alone decides
//! what the caller may see. The service owns HTTP, JSON syntax, tokens, passwords,
//! limits and logs. It owns no rule about tenants, roles, fields or pages.
//!
//! Reading order: `routes` says what is served, `db` which statements there are,
//! `error` what each SQLSTATE becomes, `edge` what every answer has in common.

#![forbid(unsafe_code)]

pub mod app;
pub mod body;
pub mod caller;
pub mod catalog;
pub mod cors;
pub mod db;
pub mod edge;
pub mod envelope;
pub mod error;
pub mod etag;
pub mod exposed;
pub mod fields;
pub mod front;
pub mod headers;
pub mod idempotency;
pub mod keeper;
pub mod limiter;
pub mod log;
pub mod mail;
pub mod metrics;
pub mod notes;
pub mod openapi;
pub mod origin;
pub mod outbound;
pub mod page;
pub mod password;
pub mod path;
pub mod percent;
pub mod prefer;
pub mod problem;
pub mod query;
pub mod queue;
pub mod request_id;
pub mod route_label;
pub mod routes;
pub mod row_id;
pub mod serve;
pub mod settings;
pub mod tenant;
pub mod token;
pub mod trace;
pub mod watcher;
