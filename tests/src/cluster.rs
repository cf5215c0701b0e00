//! A PostgreSQL cluster for the tests: its own folder, port and socket, removed in
//! the end.
//!
//! The tests of one process share one, because making one takes seconds. A test that
//! stops or kills the server makes its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::postgres::{as_server, is_root, output_of, program, run, user};
use crate::watchdog::Watchdog;
use crate::{free_port, unique};

pub struct Cluster {
    folder: PathBuf,
    port: u16,
    /// What the APIs on this cluster sign with; every database of it knows the key.
    pub jwt_secret: String,
    _watchdog: Watchdog,
}

/// How much a cluster may lose when the machine loses power.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// For speed: nothing here survives the test anyway.
    None,
    /// As in production, for tests that kill the server.
    Full,
}

impl Cluster {
    /// The one that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(Durability::None))
    }

    /// One for a test that stops the server. It lasts as long as the process.
    pub fn of_its_own(durability: Durability) -> &'static Self {
        Box::leak(Box::new(Self::new(durability)))
    }

    fn new(durability: Durability) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("pg_tenancy-e2e-{}-{number}", std::process::id()));
        fs::create_dir(&folder)
            .unwrap_or_else(|error| panic!("can't make {}: {error}", folder.display()));
        if is_root() {
            output_of(Command::new("chown").arg("postgres:").arg(&folder));
        }
        output_of(Command::new("chmod").arg("700").arg(&folder));

        let data = folder.join("data");
        let watchdog = Watchdog::new(
            r#"[ "$1" = root ] && as="runuser -u postgres --"; $as "$2" -D "$3" -m immediate stop; rm -rf "$4""#,
            &[
                if is_root() { "root" } else { "" },
                &program("pg_ctl").display().to_string(),
                &data.display().to_string(),
                &folder.display().to_string(),
            ],
        );
        let mut cluster = Self {
            folder,
            port: 0,
            jwt_secret: unique() + &unique(),
            _watchdog: watchdog,
        };
        cluster.initialise(durability);
        cluster.port = (0..5)
            .map(|_| free_port())
            .find(|port| cluster.try_start(*port))
            .unwrap_or_else(|| panic!("PostgreSQL doesn't start:\n{}", cluster.log()));
        cluster
    }

    fn initialise(&self, durability: Durability) {
        output_of(
            as_server(&program("initdb"))
                .arg("-D")
                .arg(self.data())
                .args([
                    "--username=postgres",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "--auth-local=peer",
                    "--auth-host=reject",
                    "--no-sync",
                    "--no-instructions",
                ]),
        );
        let durable = if durability == Durability::None {
            "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
        } else {
            ""
        };
        let socket = self.folder.display();
        self.append("postgresql.conf", &format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{socket}'\nmax_connections = 200\n{durable}",
        ));
        self.replace(
            "pg_hba.conf",
            "local all postgres peer map=dba\nhost all all 127.0.0.1/32 scram-sha-256\n",
        );
        self.replace(
            "pg_ident.conf",
            &format!("dba {} postgres\ndba postgres postgres\n", user()),
        );
    }

    fn append(&self, file: &str, text: &str) {
        let path = self.data().join(file);
        let before = fs::read_to_string(&path).expect("initdb makes the file");
        self.replace(file, &(before + text));
    }

    /// In place, so that the file stays the server's.
    fn replace(&self, file: &str, text: &str) {
        fs::write(self.data().join(file), text).expect("the data folder is writable");
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn try_start(&self, port: u16) -> bool {
        let mut command = as_server(&program("pg_ctl"));
        command
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(self.log_file());
        command.args(["-w", "-t", "60", "-o", &format!("-p {port}"), "start"]);
        // The server keeps what it inherits: with a pipe, the output would never end.
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command.status().expect("pg_ctl can't be started").success()
    }

    /// Lets nobody in by TCP without TLS, and shows this certificate. Restarts.
    pub fn shows(&self, certificate: &str, key: &str) {
        self.stop();
        for (file, text) in [("server.crt", certificate), ("server.key", key)] {
            self.replace(file, text);
            let path = self.data().join(file);
            if is_root() {
                output_of(Command::new("chown").arg("postgres:").arg(&path));
            }
            output_of(Command::new("chmod").arg("600").arg(&path));
        }
        self.append("postgresql.conf", "ssl = on\n");
        self.replace(
            "pg_hba.conf",
            "local all postgres peer map=dba\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
        );
        self.start();
    }

    /// The folder of its socket, through which the superuser comes.
    pub fn socket(&self) -> &Path {
        &self.folder
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A file in the cluster's folder, which is removed with it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn log_file(&self) -> PathBuf {
        self.file("server.log")
    }

    /// All that the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// What it has logged of crashes and of ends that nobody ordered.
    pub fn trouble(&self) -> String {
        let log = self.log();
        let signs = ["terminated by signal", "PANIC", "FATAL", "crash", "WARNING"];
        let lines = log
            .lines()
            .filter(|line| signs.iter().any(|sign| line.contains(sign)));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// Stops the server as `systemctl stop` would.
    pub fn stop(&self) {
        output_of(
            as_server(&program("pg_ctl"))
                .arg("-D")
                .arg(self.data())
                .args(["-m", "fast", "-w", "stop"]),
        );
    }

    /// Starts it again on the same port.
    pub fn start(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.try_start(self.port) {
            // After a kill the last processes may still hold the shared memory.
            assert!(
                Instant::now() < deadline,
                "PostgreSQL doesn't start again:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The number of the server's first process.
    pub fn process(&self) -> u32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).expect("the server runs");
        let pid = file.lines().next().and_then(|pid| pid.parse().ok());
        pid.expect("the file starts with the pid")
    }

    /// `kill -9` of the server, as the kernel does it when memory runs out.
    pub fn kill(&self) {
        let pid = self.process().to_string();
        output_of(Command::new("sh").args(["-c", "kill -9 \"$1\"", "kill", &pid]));
        while run(Command::new("sh").args(["-c", "kill -0 \"$1\"", "kill", &pid]))
            .status
            .success()
        {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
