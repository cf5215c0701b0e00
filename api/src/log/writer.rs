//! Lines on their way to standard output: collected, and written together by a thread
//! of their own. A write for each request would be a tenth of what a request costs, and
//! a slow reader would hold up whoever serves requests.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// So long, lines are collected.
const PAUSE: Duration = Duration::from_millis(5);
/// So much may wait. Beyond it, whoever logs waits until it is written: no line is lost.
const MOST: usize = 1024 * 1024;

/// Where lines go; each clone is the same place.
#[derive(Clone, Default)]
pub struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or the end.
    begun: Condvar,
    /// There is room again.
    taken: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    has_ended: bool,
}

/// The thread that writes. When it is dropped, all is written.
pub struct Writer {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Writes what comes to `lines` from now on. Fails where there can be no more threads.
    pub fn start(lines: Lines, out: impl Write + Send + 'static) -> io::Result<Self> {
        let of_thread = lines.clone();
        let thread = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || of_thread.write_to(out))?;
        Ok(Self {
            lines,
            thread: Some(thread),
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.lines.state().has_ended = true;
        self.lines.0.begun.notify_all();
        if let Some(thread) = self.thread.take() {
            // It doesn't panic.
            let _ = thread.join();
        }
    }
}

impl Lines {
    fn write_to(&self, mut out: impl Write) {
        let mut taken = Vec::new();
        loop {
            let mut state = self.state();
            while state.waiting.is_empty() && !state.has_ended {
                state = self.wait(&self.0.begun, state);
            }
            if !state.has_ended {
                drop(state);
                thread::sleep(PAUSE);
                state = self.state();
            }
            let has_ended = state.has_ended;
            mem::swap(&mut state.waiting, &mut taken);
            drop(state);
            self.0.taken.notify_all();
            // Nobody can be told that standard output is gone.
            let _ = out.write_all(&taken).and_then(|()| out.flush());
            taken.clear();
            if has_ended {
                return;
            }
        }
    }

    /// What waits.
    #[cfg(test)]
    pub fn text(&self) -> String {
        String::from_utf8(self.state().waiting.clone()).unwrap()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, what: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        what.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        // After the end nobody takes anything any more.
        while state.waiting.len() >= MOST && !state.has_ended {
            state = self.wait(&self.0.taken, state);
        }
        let is_first = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if is_first {
            self.0.begun.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Tells what is written to it, and goes on when it is told to.
    struct Slow(Sender<Vec<u8>>, Receiver<()>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            let _ = self.1.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Slow, Receiver<Vec<u8>>, Sender<()>) {
        let (written, reader) = channel();
        let (go_on, may) = channel();
        (Slow(written, may), reader, go_on)
    }

    #[test]
    fn lines_are_written_whole_and_in_order_and_none_is_lost_at_the_end() {
        let (out, reader, go_on) = slow();
        drop(go_on);
        let lines = Lines::default();
        let writer = Writer::start(lines.clone(), out).unwrap();
        let expected: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        for line in expected.split_inclusive('\n') {
            (&lines).write_all(line.as_bytes()).unwrap();
        }
        drop(writer);
        let written: Vec<u8> = reader.iter().flatten().collect();
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn a_line_is_written_though_nothing_follows_it() {
        let (out, reader, go_on) = slow();
        let lines = Lines::default();
        let _writer = Writer::start(lines.clone(), out).unwrap();
        for line in [b"one\n", b"two\n"] {
            (&lines).write_all(line).unwrap();
            assert_eq!(reader.recv().unwrap(), line);
            go_on.send(()).unwrap();
        }
        drop(go_on);
    }

    #[test]
    fn who_logs_faster_than_it_is_read_waits_and_no_line_is_lost() {
        let (out, reader, go_on) = slow();
        let lines = Lines::default();
        let writer = Writer::start(lines.clone(), out).unwrap();
        let logging = thread::spawn(move || {
            for _ in 0..4 {
                (&lines).write_all(&[b'x'; MOST]).unwrap();
            }
        });
        let mut written = 0;
        for bytes in reader {
            assert!(bytes.len() <= MOST);
            written += bytes.len();
            if written == 4 * MOST {
                break;
            }
            go_on.send(()).unwrap();
        }
        logging.join().unwrap();
        drop(go_on);
        drop(writer);
        assert_eq!(written, 4 * MOST);
    }
}
