//! A row of the audit log that stays when its transaction rolls back.
//!
//! Who has read a report has read it, whatever becomes of the transaction. So
//! the row is written by a background worker, in a transaction of its own, and
//! the caller goes on only after that has committed. The entry goes to the
//! worker through a piece of shared memory, which both let go of at the end.

use std::ffi::{c_char, c_int};

use pgrx::{Spi, pg_guard, pg_sys};

use crate::fault::Fault;
use crate::function::{Answer, text_argument};

sql_function!(
    tenancy_commit_audit,
    pg_finfo_tenancy_commit_audit,
    commit_audit
);

/// The head of the shared memory; the entry's bytes follow.
#[repr(C)]
struct Message {
    database: pg_sys::Oid,
    /// Set by the worker, after its commit.
    is_written: bool,
    length: usize,
}

const WRITE: &str = "
insert into tenancy.audit_log (login, role, user_id, action, arguments)
select e.login, e.role, e.user_id, e.action, e.arguments
from pg_catalog.jsonb_to_record($1::pg_catalog.jsonb) as e (
    login pg_catalog.text, role pg_catalog.text, user_id pg_catalog.uuid,
    action pg_catalog.text, arguments pg_catalog.jsonb)";

fn commit_audit(call: pg_sys::FunctionCallInfo) -> Answer {
    let entry = text_argument(call, 0)?.as_bytes();
    // SAFETY: asks for the state of the server.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return Err(
            Fault::new("25006", "the audit log can't be written on a standby")
                .hint("Ask the primary server."),
        );
    }
    // SAFETY: the segment is as long as the message and its bytes, and mapped
    // until it is detached; on an error PostgreSQL detaches it. The worker is
    // over when it is read again.
    unsafe {
        let segment = pg_sys::dsm_create(size_of::<Message>() + entry.len(), 0);
        let message: *mut Message = pg_sys::dsm_segment_address(segment).cast();
        message.write(Message {
            database: pg_sys::MyDatabaseId,
            is_written: false,
            length: entry.len(),
        });
        std::ptr::copy_nonoverlapping(entry.as_ptr(), message.add(1).cast(), entry.len());

        let mut worker = worker(pg_sys::dsm_segment_handle(segment));
        let mut handle = std::ptr::null_mut();
        if !pg_sys::RegisterDynamicBackgroundWorker(&raw mut worker, &raw mut handle) {
            return Err(Fault::new(
                "53400",
                "the audit log can't be written: no background worker is free",
            )
            .hint("Try again, or raise max_worker_processes."));
        }
        pg_sys::WaitForBackgroundWorkerShutdown(handle);
        let is_written = std::ptr::read_volatile(&raw const (*message).is_written);
        pg_sys::dsm_detach(segment);
        if !is_written {
            return Err(Fault::new(
                "58000",
                "the audit log was not written, so the call is refused",
            )
            .hint("The server's log says why."));
        }
    }
    Ok(pg_sys::Datum::null())
}

fn worker(segment: pg_sys::dsm_handle) -> pg_sys::BackgroundWorker {
    let mut worker = pg_sys::BackgroundWorker {
        bgw_flags: (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION)
            as c_int,
        bgw_start_time: pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished,
        bgw_restart_time: pg_sys::BGW_NEVER_RESTART,
        bgw_main_arg: pg_sys::Datum::from(segment),
        // SAFETY: this backend's own id.
        bgw_notify_pid: unsafe { pg_sys::MyProcPid },
        ..Default::default()
    };
    fill(&mut worker.bgw_name, "pg_tenancy audit");
    fill(&mut worker.bgw_type, "pg_tenancy audit");
    fill(&mut worker.bgw_library_name, "pg_tenancy");
    fill(&mut worker.bgw_function_name, "tenancy_audit_worker");
    worker
}

fn fill<const LENGTH: usize>(place: &mut [c_char; LENGTH], text: &str) {
    for (to, from) in place.iter_mut().zip(text.bytes()) {
        *to = from as c_char;
    }
}

/// The worker: writes the entry, commits, and says so.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn tenancy_audit_worker(segment: pg_sys::Datum) {
    // SAFETY: PostgreSQL starts it in a process of its own, with the argument
    // that `worker` gave it. The caller keeps the segment until this one ends.
    unsafe {
        pg_sys::BackgroundWorkerUnblockSignals();
        let segment = pg_sys::dsm_attach(segment.value() as pg_sys::dsm_handle);
        if segment.is_null() {
            // Who asked has gone.
            return;
        }
        let message: *mut Message = pg_sys::dsm_segment_address(segment).cast();
        let bytes = std::slice::from_raw_parts(message.add(1).cast::<u8>(), (*message).length);
        let entry = String::from_utf8_lossy(bytes).into_owned();

        pg_sys::BackgroundWorkerInitializeConnectionByOid(
            (*message).database,
            pg_sys::InvalidOid,
            0,
        );
        // The worker is a superuser, because PostgreSQL 15 starts none for a role
        // without LOGIN, and it has the settings of the database, which the
        // database's owner chooses. So: nothing of theirs on the search path, and
        // no way back to the superuser (RESET ROLE fails in this context).
        pg_sys::SetConfigOption(
            c"search_path".as_ptr(),
            c"pg_catalog, pg_temp".as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
        pg_sys::StartTransactionCommand();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        pg_sys::SetUserIdAndSecContext(
            pg_sys::get_role_oid(c"tenancy_owner".as_ptr(), false),
            (pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION) as c_int,
        );
        if let Err(error) = Spi::run_with_args(WRITE, &[entry.into()]) {
            Fault::internal(format!("writing the audit log: {error}")).raise();
        }
        pg_sys::PopActiveSnapshot();
        pg_sys::CommitTransactionCommand();
        std::ptr::write_volatile(&raw mut (*message).is_written, true);
        pg_sys::dsm_detach(segment);
    }
}
