//! Settings, from flags and from the environment.
//!
//! Each setting is a flag and a variable; a flag wins. A `.env` file is read as if
//! its lines were in the environment, and what is in the environment already wins
//! over it. Secrets belong into the environment: flags are visible to every user
//! of the machine.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args, Parser};

pub use self::database::DatabaseSettings;
pub use self::duration::duration;
pub use self::secret::Secret;

mod database;
mod duration;
mod secret;

#[derive(Parser, Clone, Debug)]
#[command(
    name = "pg_tenancy_api",
    version,
    about = "A tenant-safe HTTP API on a PostgreSQL database with the extension pg_tenancy."
)]
pub struct Settings {
    /// Address to listen on.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1")]
    pub listen: IpAddr,

    /// Port to listen on; 0 takes a free one and the log tells which.
    #[arg(long, env = "PORT", default_value_t = 3000)]
    pub port: u16,

    #[command(flatten)]
    pub database: DatabaseSettings,

    #[command(flatten)]
    pub token: TokenSettings,

    #[command(flatten)]
    pub password: PasswordSettings,

    #[command(flatten)]
    pub limits: Limits,

    #[command(flatten)]
    pub log: LogSettings,
}

/// How tokens are signed. The database must know the same key: `tenancy.add_signing_key`.
#[derive(Args, Clone, Debug)]
pub struct TokenSettings {
    /// Secret that tokens are signed with, 32 to 1024 bytes.
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<Secret>,

    /// How long a token is good: 15m, 24h, 7d, or seconds.
    #[arg(long, env = "JWT_EXPIRATION", default_value = "24h", value_parser = duration)]
    pub jwt_expiration: Duration,

    /// Name of the key, in the header of each token; by default the first 16 hex digits of the secret's SHA-256.
    #[arg(long, env = "JWT_KID")]
    pub jwt_kid: Option<String>,

    /// Issuer that tokens carry and must carry.
    #[arg(long, env = "JWT_ISSUER")]
    pub jwt_issuer: Option<String>,

    /// Audience that tokens carry and must carry.
    #[arg(long, env = "JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub struct PasswordSettings {
    /// Passwords hashed at once; by default one per core.
    #[arg(long, env = "PASSWORD_THREADS")]
    pub password_threads: Option<NonZeroUsize>,

    /// Passwords that may wait for their turn; more are answered 503.
    #[arg(long, env = "PASSWORD_QUEUE", default_value_t = 64)]
    pub password_queue: usize,
}

/// How long things may take.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Time for a client to send a request's headers; an idle connection is closed after it too.
    #[arg(long, env = "HEADER_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub header_timeout: Duration,

    /// Time for a client to send a request's body.
    #[arg(long, env = "BODY_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub body_timeout: Duration,

    /// Time for a whole request; then its query is cancelled and the answer is 503.
    #[arg(long, env = "REQUEST_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub request_timeout: Duration,

    /// Time for the requests under way after SIGTERM or SIGINT.
    #[arg(long, env = "SHUTDOWN_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub shutdown_timeout: Duration,
}

#[derive(Args, Clone, Debug)]
pub struct LogSettings {
    /// Form of the log lines, on standard output.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, or directives like info,api=debug.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// A text setting that was given. `JWT_ISSUER=` in a file means that it wasn't.
pub fn given(setting: &Option<String>) -> Option<&str> {
    setting.as_deref().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
        Settings::try_parse_from([&["pg_tenancy_api"], arguments].concat())
    }

    #[test]
    fn the_command_line_is_sound() {
        Settings::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_readme() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.port, 3000);
        assert_eq!(settings.listen.to_string(), "127.0.0.1");
        assert_eq!(settings.database.pool_size.get(), 10);
        assert_eq!(
            settings.token.jwt_expiration,
            Duration::from_secs(24 * 3600)
        );
    }

    #[test]
    fn an_expiration_is_a_span_or_seconds() {
        for (text, seconds) in [("15m", 900), ("24h", 86400), ("7d", 604800), ("90", 90)] {
            let settings = parse(&["--jwt-expiration", text]).unwrap();
            assert_eq!(settings.token.jwt_expiration.as_secs(), seconds, "{text}");
        }
        for text in ["", "0", "0s", "soon", "-5m", "99999999999999999999", "500y"] {
            let flag = format!("--jwt-expiration={text}");
            assert!(parse(&[&flag]).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_are_shown_by_neither_help_nor_debug() {
        let secret = "correct-horse-battery-staple-correct";
        let settings = parse(&[
            "--jwt-secret",
            secret,
            "--db-password",
            secret,
            "--database-url",
            secret,
        ]);
        assert!(!format!("{:?}", settings.unwrap()).contains(secret));

        for name in ["jwt_secret", "db_password", "database_url"] {
            let command = Settings::command();
            let argument = command.get_arguments().find(|one| one.get_id() == name);
            assert!(argument.unwrap().is_hide_env_values_set(), "{name}");
        }
    }

    #[test]
    fn an_empty_setting_was_not_given() {
        assert_eq!(given(&Some(String::new())), None);
        assert_eq!(given(&Some("acme".to_owned())), Some("acme"));
    }
}
