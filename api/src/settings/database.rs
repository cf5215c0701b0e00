//! Where the database is, and what every connection to it carries.
//!
//! The time limits are set when a connection is made, by the server's own start-up
//! options, so that no request has to send them and none can go without.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::{Secret, duration};

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
    pub fn config(&self) -> Result<Config, String> {
        let mut config = match self.url() {
            // The parser's own message quotes what it read.
            Some(url) => url
                .expose()
                .parse::<Config>()
                .map_err(|_| "DATABASE_URL is not a URL like postgres://user:password@host:5432/name, or has an option that is not known here")?,
            None => self.config_of_parts(),
        };
        // Better no service than one that promises encryption and then never connects.
        if config.get_ssl_mode() == SslMode::Require {
            return Err("sslmode=require is asked for, and this version does not speak TLS to the database: use a socket, or a network that is encrypted by itself".to_owned());
        }

        // PostgreSQL counts in milliseconds, up to 2^31, and takes 0 for "never".
        let limit = self
            .statement_timeout
            .as_millis()
            .clamp(1, i32::MAX as u128);
        let own =
            format!("-c statement_timeout={limit} -c idle_in_transaction_session_timeout={limit}");
        let options = match config.get_options() {
            Some(theirs) => format!("{theirs} {own}"),
            None => own,
        };
        config
            .options(options)
            .connect_timeout(self.connect_timeout)
            .keepalives_idle(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("pg_tenancy_api");
        }
        Ok(config)
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
    use clap::Parser;
    use tokio_postgres::config::Host;

    fn config(arguments: &[&str]) -> Result<Config, String> {
        let arguments = [&["pg_tenancy_api"], arguments].concat();
        crate::settings::Settings::try_parse_from(arguments)
            .unwrap()
            .database
            .config()
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
        let message = config(&["--database-url", "postgres://ann@host/db?sslmode=require"]);
        assert!(message.unwrap_err().contains("TLS"));
    }
}
