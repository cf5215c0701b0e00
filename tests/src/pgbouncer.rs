//! A PgBouncer in transaction mode in front of a test's database.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use crate::postgres::is_root;
use crate::watchdog::Watchdog;
use crate::{ApiSettings, Certificate, Database, Login, free_port, unique};

pub struct PgBouncer {
    port: u16,
    child: Child,
    log: PathBuf,
    _watchdog: Watchdog,
}

impl PgBouncer {
    /// In front of this database, with so many connections to it for everybody who comes as the API.
    pub async fn before(database: &Database, connections: u32) -> Self {
        Self::start(database, connections, "").await
    }

    /// The same, and all have to come by TLS.
    pub async fn encrypted(database: &Database, connections: u32, shown: &Certificate) -> Self {
        let file = |suffix: &str| {
            let name = format!("pgbouncer-{}.{suffix}", unique());
            database.cluster.file(&name)
        };
        let (certificate, key) = (file("crt"), file("key"));
        write(&certificate, &shown.certificate);
        write(&key, &shown.key);
        let settings = format!(
            "client_tls_sslmode = require\nclient_tls_cert_file = {}\nclient_tls_key_file = {}\n",
            certificate.display(),
            key.display()
        );
        Self::start(database, connections, &settings).await
    }

    async fn start(database: &Database, connections: u32, more: &str) -> Self {
        let name = format!("pgbouncer-{}", unique());
        let file = |suffix: &str| database.cluster.file(&format!("{name}.{suffix}"));
        let (ini, users, log) = (file("ini"), file("txt"), file("log"));
        let port = free_port();
        let Login { name, password } = &database.api_login;
        write(&users, &format!("\"{name}\" \"{password}\"\n"));
        write(
            &ini,
            &format!(
                "[databases]\n\
                 {name} = host=127.0.0.1 port={server} dbname={name}\n\
                 [pgbouncer]\n\
                 listen_addr = 127.0.0.1\n\
                 listen_port = {port}\n\
                 unix_socket_dir =\n\
                 auth_type = scram-sha-256\n\
                 auth_file = {users}\n\
                 pool_mode = transaction\n\
                 default_pool_size = {connections}\n\
                 max_client_conn = 200\n{more}",
                name = database.name,
                server = database.cluster.port(),
                users = users.display(),
            ),
        );
        let output = File::create(&log).expect("the cluster's folder is writable");
        let mut command = Command::new(program());
        if is_root() {
            command.args(["-u", "postgres"]);
        }
        let child = command
            .arg(&ini)
            .current_dir("/")
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output)
            .spawn()
            .expect("pgbouncer can't be started: `make setup` installs it");
        let watchdog = Watchdog::new("kill -9 \"$1\"", &[&child.id().to_string()]);
        let pgbouncer = Self {
            port,
            child,
            log,
            _watchdog: watchdog,
        };
        pgbouncer.listens().await;
        pgbouncer
    }

    async fn listens(&self) {
        for _ in 0..600 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        panic!("PgBouncer doesn't listen:\n{log}");
    }

    /// The settings of an API that comes through it.
    pub fn for_api(&self, api: ApiSettings) -> ApiSettings {
        api.set("DB_PORT", &self.port.to_string())
            .set("DB_POOLER", "on")
    }

    /// A connection through it, as the API's login.
    pub async fn connect(&self, database: &Database) -> tokio_postgres::Client {
        let Login { name, password } = &database.api_login;
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user(name)
            .password(password)
            .dbname(&database.name);
        let connected = config.connect(tokio_postgres::NoTls).await;
        let (client, connection) = connected.expect("the login is good");
        // It ends with the client; a broken connection shows in the client's next query.
        tokio::spawn(connection);
        client
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // Errors would only mean that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- log of PgBouncer ---\n{log}");
        }
    }
}

fn write(file: &PathBuf, text: &str) {
    fs::write(file, text).expect("the cluster's folder is writable");
}

/// Debian's is in a folder that not everybody's PATH has.
fn program() -> PathBuf {
    let debian = PathBuf::from("/usr/sbin/pgbouncer");
    match debian.exists() {
        true => debian,
        false => "pgbouncer".into(),
    }
}
