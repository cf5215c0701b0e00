//! `tenancy.uuid_v7()`: ids that sort by time.

use pgrx::pg_sys;

use crate::function::{Answer, uuid_datum};

sql_function!(tenancy_uuid_v7, pg_finfo_tenancy_uuid_v7, uuid_v7);

fn uuid_v7(_call: pg_sys::FunctionCallInfo) -> Answer {
    // The crate counts within a millisecond, so ids of one backend ascend.
    Ok(uuid_datum(uuid::Uuid::now_v7()))
}
