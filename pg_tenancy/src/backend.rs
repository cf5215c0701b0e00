//! What PostgreSQL knows of this backend: who is at work, in which transaction, and when.
//!
//! None of these functions of PostgreSQL can fail, so they are called without pgrx's
//! guard, which costs more than they do. Nothing that can raise belongs here.

use pgrx::pg_sys;

mod unguarded {
    use pgrx::pg_sys;

    unsafe extern "C-unwind" {
        pub fn GetUserId() -> pg_sys::Oid;
        pub fn GetOuterUserId() -> pg_sys::Oid;
        pub fn GetSessionUserIsSuperuser() -> bool;
        pub fn GetCurrentTransactionNestLevel() -> std::ffi::c_int;
        pub fn GetTopTransactionIdIfAny() -> pg_sys::TransactionId;
        pub fn IsInParallelMode() -> bool;
        pub fn InSecurityRestrictedOperation() -> bool;
        pub fn GetCurrentTimestamp() -> pg_sys::TimestampTz;
    }
}

/// The role whose privileges count now.
pub fn role() -> pg_sys::Oid {
    // SAFETY: reads a global of this backend; so do those below.
    unsafe { unguarded::GetUserId() }
}

/// The role that the session has set, whoever owns the function that runs.
pub fn outer_role() -> pg_sys::Oid {
    unsafe { unguarded::GetOuterUserId() }
}

/// Whether who logged in is a superuser.
pub fn is_superusers() -> bool {
    unsafe { unguarded::GetSessionUserIsSuperuser() }
}

/// How many transactions are in each other: 1 without a savepoint.
pub fn nesting_level() -> i32 {
    unsafe { unguarded::GetCurrentTransactionNestLevel() }
}

/// Whether this transaction has a number, as what writes has.
pub fn has_transaction_id() -> bool {
    unsafe { unguarded::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId }
}

pub fn is_in_parallel_mode() -> bool {
    unsafe { unguarded::IsInParallelMode() }
}

/// Whether what runs is what a table's owner has put into an index or a materialized
/// view, for somebody who maintains it.
pub fn is_in_maintenance() -> bool {
    unsafe { unguarded::InSecurityRestrictedOperation() }
}

/// Microseconds since 2000.
pub fn now() -> i64 {
    unsafe { unguarded::GetCurrentTimestamp() }
}

/// The number of this transaction, which the next one on this backend hasn't; 0 outside.
pub fn transaction() -> u32 {
    // SAFETY: this backend's own entry, which is there while it runs.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        let number = (*pg_sys::MyProc).lxid;
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        let number = (*pg_sys::MyProc).vxid.lxid;
        number
    }
}
