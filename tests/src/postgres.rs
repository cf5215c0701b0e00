//! PostgreSQL's programs, and the user they run as.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The newest that the extension knows comes last: the default is the oldest.
const MAJORS: [u32; 4] = [15, 16, 17, 18];

/// One of PostgreSQL's programs, by its name: the one beside `PG_CONFIG`, or else Debian's.
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let pg_config = std::env::var_os("PG_CONFIG")
            .map(PathBuf::from)
            .or_else(|| {
                MAJORS
                    .iter()
                    .map(|major| {
                        PathBuf::from(format!("/usr/lib/postgresql/{major}/bin/pg_config"))
                    })
                    .find(|path| path.exists())
            });
        let pg_config =
            pg_config.expect("no PostgreSQL was found: run `make setup`, or set PG_CONFIG");
        PathBuf::from(output_of(Command::new(pg_config).arg("--bindir")).trim())
    });
    folder.join(name)
}

/// A command that runs as whoever the server runs as: PostgreSQL refuses to run as root.
pub fn as_server(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The user postgres may not be allowed into this process's folder.
    command.current_dir("/");
    command
}

pub fn is_root() -> bool {
    static IS_ROOT: OnceLock<bool> = OnceLock::new();
    *IS_ROOT.get_or_init(|| output_of(Command::new("id").arg("-u")).trim() == "0")
}

/// The name of the user who runs the tests.
pub fn user() -> String {
    output_of(Command::new("id").arg("-un")).trim().to_owned()
}

/// What a command prints; panics with what it complains about if it fails.
pub fn output_of(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8(output.stdout).expect("programs print UTF-8")
}

/// A command's output, whether it succeeds or not.
pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"))
}
