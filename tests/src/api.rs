//! The real API, as a process of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::watchdog::Watchdog;
use crate::{Answer, Cluster, Database, Login, Mailbox, free_port, unique};

pub struct Api {
    pub url: String,
    http: reqwest::Client,
    child: Child,
    log: PathBuf,
    cluster: &'static Cluster,
    _watchdog: Watchdog,
}

/// What an API is started with.
pub struct ApiSettings {
    environment: BTreeMap<String, String>,
    log: PathBuf,
    cluster: &'static Cluster,
}

impl Api {
    /// An API on this database, with the defaults but for what the machine can't know.
    pub fn on(database: &Database) -> ApiSettings {
        let Login { name, password } = &database.api_login;
        let environment = [
            ("DB_HOST", "127.0.0.1"),
            ("DB_PORT", &database.cluster.port().to_string()),
            ("DB_USERNAME", name),
            ("DB_PASSWORD", password),
            ("DB_NAME", &database.name),
            ("JWT_SECRET", &database.cluster.jwt_secret),
            // All the people of a test come from one address, and in a hurry.
            ("LOGIN_LIMIT_ADDRESS", "off"),
            ("LOGIN_LIMIT_ACCOUNT", "off"),
            ("REFRESH_LIMIT_ADDRESS", "off"),
            ("INVITATION_LIMIT_ADDRESS", "off"),
            ("RESET_LIMIT_ADDRESS", "off"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        ApiSettings {
            environment: environment.into(),
            log: database.file(&format!("{}.log", unique())),
            cluster: database.cluster,
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A request without a token.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(&body)).await
    }

    /// Waits for `/ready` to say so, for as long as a slow machine may need.
    pub async fn is_ready(&self) {
        for _ in 0..600 {
            if let Ok(answer) = self.request(Method::GET, "/ready").send().await
                && answer.status() == 200
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the API doesn't become ready:\n{}", self.log());
    }

    /// Waits until a path leads somewhere, which without a token is a 401, or nowhere any more.
    pub async fn serves(&self, path: &str, is_served: bool) {
        let expected = if is_served { 401 } else { 404 };
        for _ in 0..600 {
            if self.get(path).await.status == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} is still not answered {expected}:\n{}", self.log());
    }

    pub fn port(&self) -> u16 {
        let (_, port) = self.url.rsplit_once(':').expect("the address has a port");
        port.parse().expect("a port is a number")
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        // It writes its lines together, up to 5 ms after they were logged.
        std::thread::sleep(Duration::from_millis(50));
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sockets that it holds: of clients, of the database, its own.
    pub fn connections(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let files = files.expect("the API runs, on Linux").flatten();
        let sockets = files.filter_map(|file| fs::read_link(file.path()).ok());
        let is_socket = |path: &PathBuf| path.to_string_lossy().starts_with("socket:");
        sockets.filter(is_socket).count()
    }

    /// Memory that it has now, in KiB.
    pub fn memory_kib(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the API runs, on Linux");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.trim().strip_suffix(" kB"));
        resident
            .and_then(|kib| kib.parse().ok())
            .expect("Linux tells it in kB")
    }

    /// Waits until it has logged this.
    pub async fn has_logged(&self, text: &str) {
        for _ in 0..600 {
            if self.log().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the API doesn't log {text:?}:\n{}", self.log());
    }

    /// SIGTERM, which is how a service is asked to end.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        crate::postgres::output_of(Command::new("sh").args([
            "-c",
            "kill -TERM \"$1\"",
            "kill",
            &pid,
        ]));
    }

    /// How it ended, once it has.
    pub async fn has_ended(&mut self) -> ExitStatus {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().expect("the API is our child") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the API doesn't end:\n{}", self.log());
    }
}

impl ApiSettings {
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// An API that hands its mails to this mailbox.
    pub fn mails_to(self, mailbox: &Mailbox) -> Self {
        self.set("MAIL_WEBHOOK_URL", &mailbox.url)
            .set("MAIL_WEBHOOK_SECRET", &mailbox.secret)
    }

    pub fn pool_size(self, size: u32) -> Self {
        self.set("POOL_SIZE", &size.to_string())
    }

    pub async fn start(self) -> Api {
        let mut api = self.spawn();
        if let Ok(Some(status)) = api.child.try_wait() {
            panic!("the API ended at once, with {status}:\n{}", api.log());
        }
        api.is_ready().await;
        api
    }

    /// Started, but perhaps not ready, and perhaps never to be.
    pub fn spawn(self) -> Api {
        let program = program();
        let port = free_port();
        let log = File::create(&self.log).expect("the cluster's folder is writable");
        let child = Command::new(&program)
            .env_clear()
            .envs(self.environment)
            .env("PORT", port.to_string())
            // Where there is no .env that would be read.
            .current_dir("/")
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} can't be started: {error}", program.display()));
        let watchdog = Watchdog::new("kill -9 \"$1\"", &[&child.id().to_string()]);
        Api {
            url: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::new(),
            child,
            log: self.log,
            cluster: self.cluster,
            _watchdog: watchdog,
        }
    }
}

/// The release build also in debug tests: unoptimised, argon2 takes seconds per password.
fn program() -> PathBuf {
    let program = std::env::var_os("PG_TENANCY_API")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            // target/debug/deps/e2e-0123 → target
            let test = std::env::current_exe().expect("a test knows its own path");
            let target = test
                .ancestors()
                .nth(3)
                .expect("cargo builds three folders deep");
            target.join("release/pg_tenancy_api")
        });
    assert!(
        program.exists(),
        "{} is missing: run `cargo build --release -p api`, or set PG_TENANCY_API",
        program.display()
    );
    program
}

impl Drop for Api {
    fn drop(&mut self) {
        // Errors would only mean that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the API ---\n{}", self.log());
            eprintln!("--- trouble of PostgreSQL ---\n{}", self.cluster.trouble());
        }
    }
}
