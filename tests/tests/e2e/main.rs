//! The product from outside: real PostgreSQL, real HTTP, real processes.
//!
//! One file per subject. `walk.rs` is the one to read first.

#![forbid(unsafe_code)]

mod attacks;
mod background;
mod bad_input;
mod bad_registration;
mod bad_token;
mod dump;
mod errors;
mod isolate;
mod keys;
mod lint;
mod logs;
mod moving_over;
mod outage;
mod people;
mod pool;
mod race;
mod routes;
mod schemas;
mod school;
mod sessions;
mod shop;
mod stolen_password;
mod support;
mod suspension;
mod walk;
