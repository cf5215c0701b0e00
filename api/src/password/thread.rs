//! A thread for one hash, which gives way to everything else: whoever logs in can wait a
//! moment, and who asks for rows meanwhile needn't notice.

use std::io;
use std::thread::Builder;

use rustix::process::nice;

/// The least urgent there is. It still gets some hundredth of a core that others want.
const NICENESS: i32 = 19;

/// Does `work` on a new thread, whose making is nothing beside a hash. Fails where there can
/// be no more threads.
pub fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = Builder::new().name("password".to_owned());
    thread.spawn(move || {
        // Of this thread alone, on Linux. Where it is forbidden, the hash is as urgent as all.
        if let Err(error) = nice(NICENESS) {
            tracing::debug!(%error, "a thread that hashes can't give way");
        }
        work();
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;
    use std::sync::mpsc::channel;

    #[test]
    fn a_hash_gives_way_and_nothing_else_does() {
        let own = getpriority_process(None).unwrap();
        let (tell, told) = channel();
        spawn(move || tell.send(getpriority_process(None).unwrap()).unwrap()).unwrap();
        assert_eq!(told.recv().unwrap(), NICENESS);
        assert_eq!(getpriority_process(None).unwrap(), own);
    }
}
