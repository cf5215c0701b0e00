//! Tokens: what one claims, whether it is true, and with which keys.
//!
//! Nothing here knows PostgreSQL: the fuzz target in `pg_tenancy/fuzz` is built
//! from these files alone. Reading and verifying are two steps, because the key
//! is looked up by what the token says of itself. `Claimed` is what anybody may
//! have written; `Verified` exists only after the signature, the issuer, the
//! audience and the dates were checked.
//!
//! The rules are those of RFC 7515 to 7519, and of RFC 8725 (best current
//! practices): the algorithm is the key's and never the header's. The crate
//! jsonwebtoken checks signatures; it doesn't read tokens, because it takes a
//! member that is given twice.

mod algorithm;
mod claims;
mod jwk;
mod jws;
mod key;
mod key_set;
mod path;
mod refusal;
mod seen;
mod strict;
mod text;

#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use claims::{Claimed, Rules, Verified};
pub use key::Key;
pub use key_set::read_key_set;
pub use refusal::Refusal;
pub use seen::Seen;
pub use text::read_key;
