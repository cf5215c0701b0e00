//! Where the tools are, and how one is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::{World, unique};

/// A program of the virtual environment of Python.
pub fn python(name: &str) -> Command {
    Command::new(folder("PG_TENANCY_VENV").join("bin").join(name))
}

/// A folder of its own for a tool's work, with these files of `tests/` in it. It goes with
/// the cluster.
pub fn workshop(world: &World, files: &str) -> PathBuf {
    let workshop = world.database.cluster.file(&unique());
    fs::create_dir(&workshop).expect("the cluster's folder is writable");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(files);
    for entry in fs::read_dir(&source).expect("the files are in the repository") {
        let path = entry.expect("a folder can be read").path();
        if path.is_file() {
            let name = path.file_name().expect("a file has a name");
            fs::copy(&path, workshop.join(name)).expect("a file can be copied");
        }
    }
    workshop
}

/// The same for what is written in JavaScript, with its packages.
pub fn node_workshop(world: &World) -> PathBuf {
    let workshop = workshop(world, "client");
    let packages = folder("PG_TENANCY_NODE").join("node_modules");
    std::os::unix::fs::symlink(packages, workshop.join("node_modules"))
        .expect("a link can be made");
    workshop
}

fn folder(variable: &str) -> PathBuf {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    folder.unwrap_or_else(|| panic!("{variable} is not set: `make test` sets up what is needed"))
}

/// Runs it to its end, and fails if it does. Its output is shown as it comes.
pub async fn succeeds(mut command: Command) {
    let shown = format!("{command:?}");
    // The mailbox and the connections of this test go on meanwhile.
    let status = tokio::task::spawn_blocking(move || command.status())
        .await
        .expect("waiting doesn't panic");
    let status = status.unwrap_or_else(|error| panic!("{shown} can't be started: {error}"));
    assert!(status.success(), "{status}: {shown}");
}
