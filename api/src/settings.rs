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

pub use self::attempts::{AttemptSettings, Networks, Rate};
pub use self::database::DatabaseSettings;
pub use self::duration::duration;
pub use self::encryption::{Authorities, Encryption};
pub use self::front::{FrontSettings, Origins};
pub use self::mail::MailSettings;
pub use self::ops::OpsSettings;
pub use self::secret::Secret;
pub use self::shape::{ResponseStyle, ShapeSettings};
pub use self::size::{size, written};
pub use self::switch::switch;
pub use self::tenant::TenantSettings;
pub use self::token::TokenSettings;
pub use self::trace::TraceSettings;

mod attempts;
mod database;
mod duration;
mod encryption;
mod front;
mod mail;
mod ops;
mod secret;
mod shape;
mod size;
mod switch;
mod tenant;
mod token;
mod trace;

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
    pub tenant: TenantSettings,

    #[command(flatten)]
    pub shape: ShapeSettings,

    #[command(flatten)]
    pub password: PasswordSettings,

    #[command(flatten)]
    pub attempts: AttemptSettings,

    #[command(flatten)]
    pub mail: MailSettings,

    #[command(flatten)]
    pub limits: Limits,

    #[command(flatten)]
    pub front: FrontSettings,

    #[command(flatten)]
    pub ops: OpsSettings,

    #[command(flatten)]
    pub log: LogSettings,

    #[command(flatten)]
    pub trace: TraceSettings,

    /// Whether /openapi.json and /docs are served.
    #[arg(long, env = "DOCS", value_enum, default_value_t = Docs::On)]
    pub docs: Docs,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Docs {
    On,
    Off,
}

#[derive(Args, Clone, Debug)]
pub struct PasswordSettings {
    /// Passwords hashed at once; by default one per two cores.
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

    /// The longest body, as 1MiB, 512KiB or a number of bytes; more is answered 413.
    #[arg(long, env = "BODY_LIMIT", default_value = "1MiB", value_parser = size)]
    pub body_limit: usize,

    /// Time in which a client must take some of its answer; then its connection is closed.
    #[arg(long, env = "WRITE_TIMEOUT", default_value = "30s", value_parser = duration)]
    pub write_timeout: Duration,

    /// Connections of clients, at most; more wait until one ends.
    #[arg(long, env = "MAX_CONNECTIONS", default_value = "10000")]
    pub max_connections: NonZeroUsize,

    /// Time for a whole request; then its query is cancelled and the answer is 503.
    #[arg(long, env = "REQUEST_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub request_timeout: Duration,

    /// Time for a call of the mail webhook, or of an issuer's key set.
    #[arg(long, env = "OUTBOUND_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub outbound_timeout: Duration,

    /// How often the database is asked whether something was exposed or hidden that wasn't heard of.
    #[arg(long, env = "CATALOG_REFRESH", default_value = "5s", value_parser = duration)]
    pub catalog_refresh: Duration,

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
            "--mail-webhook-secret",
            secret,
        ]);
        assert!(!format!("{:?}", settings.unwrap()).contains(secret));

        for name in [
            "jwt_secret",
            "db_password",
            "database_url",
            "mail_webhook_secret",
        ] {
            let command = Settings::command();
            let argument = command.get_arguments().find(|one| one.get_id() == name);
            assert!(argument.unwrap().is_hide_env_values_set(), "{name}");
        }
    }

    #[test]
    fn every_setting_has_a_variable_that_the_readme_knows() {
        let readme = include_str!("../README.md");
        for argument in Settings::command().get_arguments() {
            let name = argument.get_id().as_str();
            if ["help", "version"].contains(&name) {
                continue;
            }
            assert_eq!(argument.get_env().unwrap(), &*name.to_uppercase());
            let quoted = format!("`{}`", name.to_uppercase());
            assert!(readme.contains(&quoted), "{name}");
            assert!(argument.get_help().is_some(), "{name}");
        }
    }

    #[test]
    fn an_empty_setting_was_not_given() {
        assert_eq!(given(&Some(String::new())), None);
        assert_eq!(given(&Some("acme".to_owned())), Some("acme"));
    }
}
