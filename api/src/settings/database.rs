//! Where the database is, and what every connection to it carries.
//!
//! The time limits are set when a connection is made, by the server's own start-up
//! options, so that no request has to send them and none can go without.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode as Wire;

use super::encryption::{Encryption, SslMode, is_socket, split};
use super::{Secret, duration, given, switch};

#[derive(Args, Clone, Debug)]
pub struct DatabaseSettings {
    /// The database as one URL, postgres://user:password@host:port/name; wins over the DB_ settings.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<Secret>,

    /// Host of the database, or the folder of its socket.
    #[arg(long, env = "DB_HOST", default_value = "127.0.0.1")]
    pub db_host: String,

    /// Port of the database.
    #[arg(long, env = "DB_PORT", default_value_t = 5432)]
    pub db_port: u16,

    /// Login role: a member of tenancy_app and tenancy_authenticator, and of nothing more.
    #[arg(long, env = "DB_USERNAME", default_value = "tenancy_api")]
    pub db_username: String,

    /// Password of the login role.
    #[arg(long, env = "DB_PASSWORD", hide_env_values = true)]
    pub db_password: Option<Secret>,

    /// Name of the database.
    #[arg(long, env = "DB_NAME", default_value = "pg_tenancy")]
    pub db_name: String,

    /// Encryption to the database, as libpq means it; by default require, and disable on this machine.
    #[arg(long, env = "DB_SSLMODE", value_enum)]
    pub db_sslmode: Option<SslMode>,

    /// PEM file of the authorities that may vouch for the database's server, or system for the system's.
    #[arg(long, env = "DB_SSLROOTCERT")]
    pub db_sslrootcert: Option<String>,

    /// A pooler in transaction mode is between: no start-up options, and statements aren't kept.
    #[arg(long, env = "DB_POOLER", default_value = "off", value_parser = switch, action = clap::ArgAction::Set)]
    pub db_pooler: bool,

    /// Prepare statements once per connection; by default on, and off behind a pooler.
    #[arg(long, env = "DB_PREPARED", value_parser = switch)]
    pub db_prepared: Option<bool>,

    /// Connections to the database, at most.
    #[arg(long, env = "POOL_SIZE", default_value = "10")]
    pub pool_size: NonZeroUsize,

    /// Time to wait for a free connection.
    #[arg(long, env = "POOL_TIMEOUT", default_value = "3s", value_parser = duration)]
    pub pool_timeout: Duration,

    /// Time to make a connection.
    #[arg(long, env = "CONNECT_TIMEOUT", default_value = "3s", value_parser = duration)]
    pub connect_timeout: Duration,

    /// Time that the database gives a statement.
    #[arg(long, env = "STATEMENT_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub statement_timeout: Duration,
}

impl DatabaseSettings {
    /// The connection that these settings describe, or what is wrong with them, without a secret in it.
    pub fn connection(&self) -> Result<(Config, Encryption), String> {
        let (mut config, mode, roots) = match self.url() {
            Some(url) => {
                // The parser's own message quotes what it read.
                const WRONG: &str = "DATABASE_URL is not a URL like postgres://user:password@host:5432/name, or has an option that is not known here";
                let url = split(url.expose()).ok_or(WRONG)?;
                let config = url.url.parse::<Config>().map_err(|_| WRONG)?;
                (config, url.mode, url.root_certificates)
            }
            None => (self.config_of_parts(), None, None),
        };
        let mode = mode.or(self.db_sslmode);
        let mode = mode.unwrap_or_else(|| Encryption::default_for(&config));
        let roots = roots.as_deref().or(given(&self.db_sslrootcert));
        let mut encryption = Encryption::new(mode, roots)?;
        if is_socket(&config) {
            encryption = Encryption::Disable;
        }

        if !self.db_pooler {
            config.options(self.options(&config));
        }
        config
            .ssl_mode(match encryption {
                Encryption::Disable => Wire::Disable,
                Encryption::Prefer => Wire::Prefer,
                _ => Wire::Require,
            })
            .connect_timeout(self.connect_timeout)
            .keepalives_idle(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("pg_tenancy_api");
        }
        Ok((config, encryption))
    }

    fn options(&self, config: &Config) -> String {
        // PostgreSQL counts in milliseconds, up to 2^31, and takes 0 for "never".
        let limit = self
            .statement_timeout
            .as_millis()
            .clamp(1, i32::MAX as u128);
        let own =
            format!("-c statement_timeout={limit} -c idle_in_transaction_session_timeout={limit}");
        match config.get_options() {
            Some(theirs) => format!("{theirs} {own}"),
            None => own,
        }
    }

    /// A pooler of old hands each statement to another connection, which doesn't know it.
    pub fn is_prepared(&self) -> bool {
        self.db_prepared.unwrap_or(!self.db_pooler)
    }

    fn url(&self) -> Option<&Secret> {
        self.database_url
            .as_ref()
            .filter(|url| !url.expose().is_empty())
    }

    fn config_of_parts(&self) -> Config {
        let mut config = Config::new();
        config
            .host(&self.db_host)
            .port(self.db_port)
            .user(&self.db_username)
            .dbname(&self.db_name);
        if let Some(password) = &self.db_password {
            config.password(password.expose());
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Authorities;
    use clap::Parser;
    use tokio_postgres::config::Host;

    fn connection(arguments: &[&str]) -> Result<(Config, Encryption), String> {
        let arguments = [&["pg_tenancy_api"], arguments].concat();
        crate::settings::Settings::try_parse_from(arguments)
            .unwrap()
            .database
            .connection()
    }

    fn config(arguments: &[&str]) -> Result<Config, String> {
        connection(arguments).map(|(config, _)| config)
    }

    #[test]
    fn a_host_may_be_a_socket_folder() {
        let config = config(&["--db-host", "/run/postgresql"]).unwrap();
        assert_eq!(config.get_hosts(), [Host::Unix("/run/postgresql".into())]);
    }

    #[test]
    fn a_url_wins_over_the_parts() {
        let config = config(&[
            "--database-url",
            "postgres://ann:pw@db.example:6543/shop",
            "--db-name",
            "other",
        ])
        .unwrap();
        assert_eq!(config.get_dbname(), Some("shop"));
        assert_eq!(config.get_ports(), [6543]);
    }

    #[test]
    fn every_connection_carries_its_time_limits() {
        let config = config(&["--statement-timeout", "7s"]).unwrap();
        let options = config.get_options().unwrap();
        assert!(options.contains("-c statement_timeout=7000"));
        assert!(options.contains("-c idle_in_transaction_session_timeout=7000"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_the_url() {
        for url in [
            "postgres://ann:hunter22@host/db?sslmode=nonsense",
            "hunter22",
            "mysql://ann:hunter22@host/db",
        ] {
            let message = config(&["--database-url", url]).unwrap_err();
            assert!(!message.contains("hunter22"), "{message}");
        }
    }

    #[test]
    fn encryption_that_is_asked_for_is_never_left_out() {
        for (url, expected) in [
            ("postgres://ann@127.0.0.1/db?sslmode=require", Wire::Require),
            ("postgres://ann@db/db?sslmode=verify-full", Wire::Require),
            ("postgres://ann@db/db", Wire::Require),
            ("postgres://ann@db/db?sslmode=prefer", Wire::Prefer),
            ("postgres://ann@db/db?sslmode=disable", Wire::Disable),
            ("postgres://ann@127.0.0.1/db", Wire::Disable),
        ] {
            let config = config(&["--database-url", url]).unwrap();
            assert_eq!(config.get_ssl_mode(), expected, "{url}");
        }
    }

    #[test]
    fn a_url_wins_over_the_settings_of_encryption_too() {
        let ours = ["--db-sslmode=disable", "--db-sslrootcert=ours.pem"];
        let url = "postgres://ann@db/db?sslmode=verify-ca&sslrootcert=theirs.pem";
        let (_, encryption) = connection(&[&ours[..], &["--database-url", url]].concat()).unwrap();
        let theirs = Authorities::File("theirs.pem".into());
        assert_eq!(encryption, Encryption::VerifyCa(theirs));
    }

    #[test]
    fn a_socket_is_not_encrypted_as_libpq_has_it() {
        let (config, encryption) =
            connection(&["--db-host=/run/postgresql", "--db-sslmode=verify-full"]).unwrap();
        assert_eq!(encryption, Encryption::Disable);
        assert_eq!(config.get_ssl_mode(), Wire::Disable);
    }

    #[test]
    fn a_pooler_is_sent_no_options_and_keeps_no_statements_unless_it_can() {
        let settings = |arguments: &[&str]| {
            let arguments = [&["pg_tenancy_api"], arguments].concat();
            let settings = crate::settings::Settings::try_parse_from(arguments);
            settings.unwrap().database
        };
        let behind = settings(&["--db-pooler=on"]);
        assert_eq!(behind.connection().unwrap().0.get_options(), None);
        assert!(!behind.is_prepared());
        assert!(settings(&["--db-pooler=on", "--db-prepared=on"]).is_prepared());
        assert!(settings(&[]).is_prepared());
        assert!(!settings(&["--db-prepared=off"]).is_prepared());
    }
}
