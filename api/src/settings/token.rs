//! Which keys tokens are signed with, and how long they are good.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Secret, duration};

/// How tokens are signed. The database must know the same keys: `tenancy.add_signing_key`.
#[derive(Args, Clone, Debug)]
pub struct TokenSettings {
    /// Secret that tokens are signed with (HS256), 32 to 1024 bytes. It or JWT_KEYS_FILE must be given.
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<Secret>,

    /// File with more keys to sign with: a JWK Set with private keys, read again when it changes.
    #[arg(long, env = "JWT_KEYS_FILE")]
    pub jwt_keys_file: Option<PathBuf>,

    /// How often the file is looked at, and the database asked which key to sign with and which issuers to fetch.
    #[arg(long, env = "KEYS_REFRESH", default_value = "5s", value_parser = duration)]
    pub keys_refresh: Duration,

    /// Age at which an issuer's fetched key set (JWKS) is fetched again.
    #[arg(long, env = "JWKS_REFRESH", default_value = "5m", value_parser = duration)]
    pub jwks_refresh: Duration,

    /// How long a token is good: 15m, 24h, 7d, or seconds.
    #[arg(long, env = "JWT_EXPIRATION", default_value = "24h", value_parser = duration)]
    pub jwt_expiration: Duration,

    /// How long a session lasts that is not refreshed.
    #[arg(long, env = "SESSION_LIFETIME", default_value = "30d", value_parser = duration)]
    pub session_lifetime: Duration,

    /// Name of the secret, in the header of each token; by default the first 16 hex digits of the secret's SHA-256.
    #[arg(long, env = "JWT_KID")]
    pub jwt_kid: Option<String>,

    /// Issuer that tokens carry and must carry.
    #[arg(long, env = "JWT_ISSUER")]
    pub jwt_issuer: Option<String>,

    /// Audience that tokens carry and must carry.
    #[arg(long, env = "JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
}
