//! A database of its own for each test, with the extension in it.
//!
//! It is copied from a template that is made once per cluster. Databases are apart
//! from each other, but roles belong to the whole cluster: each login made here has
//! a name of its own.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::{Client, Config, NoTls};

use crate::postgres::{program, run};
use crate::{Cluster, unique};

pub struct Database {
    pub cluster: &'static Cluster,
    pub name: String,
    /// The login of the API: a member of tenancy_app and tenancy_authenticator.
    pub api_login: Login,
}

#[derive(Clone)]
pub struct Login {
    pub name: String,
    pub password: String,
}

impl Database {
    pub async fn new() -> Self {
        Self::on(Cluster::shared()).await
    }

    pub async fn on(cluster: &'static Cluster) -> Self {
        // One at a time: the first makes the template, and a template can't be copied while it is made.
        static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _one = ONE.lock().await;
        make_template(cluster).await;
        let name = format!("test_{}", unique());
        let admin = superuser(cluster, "postgres").await;
        admin
            .batch_execute(&format!("create database {name} template {TEMPLATE}"))
            .await
            .expect("the template can be copied");
        Self::with(cluster, name).await
    }

    /// A new database with nothing in it, not even the extension.
    pub async fn empty(cluster: &'static Cluster) -> Self {
        let name = format!("test_{}", unique());
        superuser(cluster, "postgres")
            .await
            .batch_execute(&format!("create database {name} template template0"))
            .await
            .expect("a database can be made");
        Self::with(cluster, name).await
    }

    async fn with(cluster: &'static Cluster, name: String) -> Self {
        let database = Self {
            cluster,
            name,
            api_login: Login {
                name: String::new(),
                password: String::new(),
            },
        };
        let api_login = database
            .login(&["tenancy_app", "tenancy_authenticator"])
            .await;
        Self {
            api_login,
            ..database
        }
    }

    /// A new login role that is a member of these roles.
    pub async fn login(&self, roles: &[&str]) -> Login {
        let login = Login {
            name: format!("login_{}", unique()),
            password: unique(),
        };
        let Login { name, password } = &login;
        self.superuser()
            .await
            .batch_execute(&format!(
                "create role {name} login password '{password}'; grant {} to {name}",
                roles.join(", ")
            ))
            .await
            .expect("a role can be made");
        login
    }

    /// A connection that row-level security doesn't hold for: to look at what is really there.
    pub async fn superuser(&self) -> Client {
        superuser(self.cluster, &self.name).await
    }

    /// A connection with a name and a password, as anybody would make it.
    pub async fn connect(&self, login: &Login) -> Client {
        self.connect_with(login, "")
            .await
            .expect("the login is good")
    }

    /// The same, with options for the server (`-c name=value`).
    pub async fn connect_with(
        &self,
        login: &Login,
        options: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.cluster.port())
            .user(&login.name)
            .password(&login.password)
            .dbname(&self.name)
            .options(options);
        connect(config).await
    }

    /// How many rows a table really has, where the condition holds.
    pub async fn count(&self, table: &str, condition: &str) -> i64 {
        let query = format!("select count(*) from {table} where {condition}");
        self.superuser()
            .await
            .query_one(&query, &[])
            .await
            .expect(&query)
            .get(0)
    }

    /// Returns once exactly so many of this database's sessions wait for a lock; panics where
    /// that takes half a minute.
    pub async fn until_waiting(&self, sessions: i64) {
        const QUERY: &str = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        let dba = self.superuser().await;
        let give_up = Instant::now() + Duration::from_secs(30);
        loop {
            let waiting: i64 = dba.query_one(QUERY, &[]).await.expect(QUERY).get(0);
            if waiting == sessions {
                return;
            }
            assert!(Instant::now() < give_up, "{waiting} wait, not {sessions}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// psql with this login; `environment` adds variables such as PGOPTIONS.
    pub fn psql(&self, login: &Login, sql: &str, environment: &[(&str, &str)]) -> Output {
        let mut command = self.program("psql", Some(login));
        command.args(["-X", "-A", "-t", "-q", "-v", "VERBOSITY=verbose", "-c", sql]);
        run(command.envs(environment.iter().copied()))
    }

    /// One of PostgreSQL's client programs on this database; `None` is the superuser.
    pub fn program(&self, name: &str, login: Option<&Login>) -> Command {
        let mut command = Command::new(program(name));
        command
            .env("PGPORT", self.cluster.port().to_string())
            .env("PGDATABASE", &self.name);
        match login {
            None => command
                .env("PGHOST", self.cluster.socket())
                .env("PGUSER", "postgres"),
            Some(login) => command
                .env("PGHOST", "127.0.0.1")
                .env("PGUSER", &login.name)
                .env("PGPASSWORD", &login.password),
        };
        command
    }

    pub fn file(&self, suffix: &str) -> PathBuf {
        self.cluster.file(&format!("{}.{suffix}", self.name))
    }
}

const TEMPLATE: &str = "template_tenancy";

async fn make_template(cluster: &'static Cluster) {
    static MADE: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    if MADE
        .lock()
        .expect("no test panics in here")
        .contains(&cluster.port())
    {
        return;
    }
    superuser(cluster, "postgres")
        .await
        .batch_execute(&format!("create database {TEMPLATE} template template0"))
        .await
        .expect("a database can be made");
    // Not as a parameter of the statement's text: the log tests look for secrets in the server's log.
    let template = superuser(cluster, TEMPLATE).await;
    template
        .batch_execute("create extension pg_tenancy")
        .await
        .expect("create extension failed: is the extension installed? `make test` does it");
    template
        .execute("select tenancy.add_signing_key($1)", &[&cluster.jwt_secret])
        .await
        .expect("a signing key can be added");
    drop(template);
    // A connection that ends may still be there for a moment, and would be in the way of a copy.
    let admin = superuser(cluster, "postgres").await;
    let busy = format!("select from pg_stat_activity where datname = '{TEMPLATE}'");
    while !admin
        .query(&busy, &[])
        .await
        .expect("activity can be read")
        .is_empty()
    {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    MADE.lock()
        .expect("no test panics in here")
        .push(cluster.port());
}

async fn superuser(cluster: &Cluster, name: &str) -> Client {
    let mut config = Config::new();
    config
        .host_path(cluster.socket())
        .port(cluster.port())
        .user("postgres")
        .dbname(name);
    connect(config)
        .await
        .expect("the superuser can always connect")
}

async fn connect(mut config: Config) -> Result<Client, tokio_postgres::Error> {
    config.application_name("tests");
    let (client, connection) = config.connect(NoTls).await?;
    // It ends with the client; a broken connection shows in the client's next query.
    tokio::spawn(connection);
    Ok(client)
}
