//! Ends what a test started, also when the test process is killed.
//!
//! A shell waits for the end of a pipe that only this process holds open. However
//! the process ends, the pipe closes, and the shell cleans up.

use std::process::{Child, ChildStdin, Command, Stdio};

pub struct Watchdog {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Runs the script with these arguments ($1, $2 …) when this value or this process ends.
    pub fn new(script: &str, arguments: &[&str]) -> Self {
        // Ctrl-C goes to the whole terminal, and must not end the one who cleans up.
        let script = format!("trap '' INT TERM HUP; cat >/dev/null; {script}");
        let mut shell = Command::new("sh")
            .args(["-c", &script, "watchdog"])
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh can't be started");
        let pipe = shell.stdin.take();
        Self { shell, pipe }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // An error would only mean that it is gone already.
        let _ = self.shell.wait();
    }
}
