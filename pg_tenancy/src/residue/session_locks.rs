//! Advisory locks that this connection keeps beyond the transaction.
//!
//! `pg_locks` doesn't tell them from a transaction's. PostgreSQL notes in the backend who
//! owns a lock, and a session's has no owner.

use pgrx::pg_sys;

/// Whether there is one.
pub fn is_any() -> bool {
    // SAFETY: a copy of the locks of all backends, of that length.
    unsafe {
        let all = pg_sys::GetLockStatusData();
        let number = usize::try_from((*all).nelements).unwrap_or(0);
        (0..number).any(|at| {
            let lock = &*(*all).locks.add(at);
            let is_ours = lock.pid == pg_sys::MyProcPid
                && pg_sys::LockTagType::Type::from(lock.locktag.locktag_type)
                    == pg_sys::LockTagType::LOCKTAG_ADVISORY;
            is_ours
                && (1..pg_sys::MAX_LOCKMODES)
                    .filter(|mode| lock.holdMask & 1 << mode != 0)
                    .any(|mode| is_of_session(&lock.locktag, mode as pg_sys::LOCKMODE))
        })
    }
}

/// Takes the lock, which we have, once more: that shows the note about it.
unsafe fn is_of_session(tag: &pg_sys::LOCKTAG, mode: pg_sys::LOCKMODE) -> bool {
    let mut note: *mut pg_sys::LOCALLOCK = std::ptr::null_mut();
    // SAFETY: it doesn't wait; the note lives while we have the lock.
    unsafe {
        let taken = pg_sys::LockAcquireExtended(
            tag,
            mode,
            false,
            true,
            true,
            &raw mut note,
            #[cfg(feature = "pg18")]
            false,
        );
        if taken == pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL {
            return false;
        }
        let number = usize::try_from((*note).numLockOwners).unwrap_or(0);
        let is_of_session = (0..number).any(|at| (*(*note).lockOwners.add(at)).owner.is_null());
        pg_sys::LockRelease(tag, mode, false);
        is_of_session
    }
}
