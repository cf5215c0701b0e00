//! The event trigger that keeps `drop extension pg_tenancy` from taking the
//! tenants with it.

use pgrx::{Spi, pg_sys};

use crate::fault::Fault;
use crate::function::Answer;

sql_function!(tenancy_guard_drop, pg_finfo_tenancy_guard_drop, guard_drop);

fn guard_drop(call: pg_sys::FunctionCallInfo) -> Answer {
    // SAFETY: PostgreSQL calls it as an event trigger at the start of a DROP
    // EXTENSION; it is checked that the node is one.
    let is_ours = unsafe {
        let event = (*call).context.cast::<pg_sys::EventTriggerData>();
        if event.is_null() || (*event).type_ != pg_sys::NodeTag::T_EventTriggerData {
            return Err(Fault::new(
                "39P03",
                "this is a function for an event trigger",
            ));
        }
        let statement = (*event).parsetree.cast::<pg_sys::DropStmt>();
        (*statement).type_ == pg_sys::NodeTag::T_DropStmt
            && (*statement).removeType == pg_sys::ObjectType::OBJECT_EXTENSION
            && (*statement).behavior != pg_sys::DropBehavior::DROP_CASCADE
            && names((*statement).objects).any(|name| name == c"pg_tenancy")
    };
    let has_tenants = is_ours
        && Spi::get_one::<bool>("select exists (select from tenancy.tenants)")
            .ok()
            .flatten()
            .unwrap_or(true);
    if has_tenants {
        return Err(Fault::new(
            "TN901",
            "dropping pg_tenancy would drop its tenants, users, projects and tasks",
        )
        .hint("Back them up with pg_dump; DROP EXTENSION pg_tenancy CASCADE drops all of it."));
    }
    Ok(pg_sys::Datum::null())
}

/// The names in the list of a DROP EXTENSION.
///
/// # Safety
/// `list` must be null or a list of String nodes.
unsafe fn names<'list>(list: *mut pg_sys::List) -> impl Iterator<Item = &'list std::ffi::CStr> {
    // SAFETY: the caller's promise.
    let length = unsafe { list.as_ref() }.map_or(0, |list| list.length as usize);
    (0..length).map(move |i| unsafe {
        let node = (*(*list).elements.add(i))
            .ptr_value
            .cast::<pg_sys::String>();
        std::ffi::CStr::from_ptr((*node).sval)
    })
}
