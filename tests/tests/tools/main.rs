//! The description of the API in the hands of others: a validator, a generator of
//! clients, a browser, and schemathesis.
//!
//! These tools are no crates. `make test` sets them up, tells by the environment where
//! they are, and calls these tests by name; without them there is nothing to run, so
//! the tests are ignored elsewhere.

#![forbid(unsafe_code)]

mod client;
mod docs;
mod schemathesis;
mod tool;
mod validator;
