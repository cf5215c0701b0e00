//! Entering with an API key.

use crate::context::Context;
use crate::fault::Fault;

/// What it begins with.
pub const PREFIX: &str = "pgt_";

/// TN018.
pub fn prove(_proof: &str) -> Result<Context, Fault> {
    Err(Fault::new("TN018", "the API key is not good"))
}
