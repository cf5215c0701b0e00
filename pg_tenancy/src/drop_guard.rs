//! The event trigger that keeps `drop extension pg_tenancy`, or `drop owned`, from
//! taking the tenants along, or the walls of the users' own tables.

use std::cell::Cell;

use pgrx::pg_sys;

use crate::committed::Question;
use crate::fault::Fault;
use crate::function::Answer;

sql_function!(tenancy_guard_drop, pg_finfo_tenancy_guard_drop, guard_drop);

thread_local! {
    static TENANTS_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
    static ISOLATED_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
    static OWNER_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

/// Whether there are tenants.
const TENANTS: Question = Question {
    sql: c"select 'yes' from tenancy.tenants limit 1",
    types: &[],
    plan: &TENANTS_PLAN,
};

/// Whether there are isolated tables beside the extension's own.
const ISOLATED: Question = Question {
    sql: c"select 'yes' from pg_catalog.pg_policy as p
           where p.polname = 'tenant_boundary' and not exists (
               select from pg_catalog.pg_depend as d
               where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = p.polrelid
                 and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.deptype = 'e')
           limit 1",
    types: &[],
    plan: &ISOLATED_PLAN,
};

/// Whether a role owns the extension.
const OWNER: Question = Question {
    sql: c"select 'yes' from pg_catalog.pg_extension as e
           where e.extname = 'pg_tenancy' and e.extowner = $1",
    types: &[pg_sys::OIDOID],
    plan: &OWNER_PLAN,
};

fn guard_drop(call: pg_sys::FunctionCallInfo) -> Answer {
    // SAFETY: PostgreSQL calls it as an event trigger at the start of a
    // statement; its tag says which node it is.
    let dropped = unsafe {
        let event = (*call).context.cast::<pg_sys::EventTriggerData>();
        if event.is_null() || (*event).type_ != pg_sys::NodeTag::T_EventTriggerData {
            return Err(Fault::new(
                "39P03",
                "this is a function for an event trigger",
            ));
        }
        let node = (*event).parsetree;
        match (*node).type_ {
            pg_sys::NodeTag::T_DropStmt => dropped_by_name(node.cast()),
            pg_sys::NodeTag::T_DropOwnedStmt if would_drop_owned(node.cast())? => Some(Drop::Along),
            _ => None,
        }
    };
    let Some(dropped) = dropped else {
        return Ok(pg_sys::Datum::null());
    };
    // Their boundaries would go, and what lets the application in would stay.
    if dropped != Drop::Alone && ISOLATED.ask(&[], |row| row.is_some())? {
        return Err(Fault::new(
            "TN901",
            "this would drop the boundaries of isolated tables, and leave every tenant's rows open to the application",
        )
        .hint("Release each first: tenancy.isolated_tables has them, tenancy.release_table() does it."));
    }
    if dropped != Drop::Cascading && TENANTS.ask(&[], |row| row.is_some())? {
        return Err(Fault::new(
            "TN901",
            "this would drop pg_tenancy with its tenants, users, projects and tasks",
        )
        .hint("Back them up with pg_dump; DROP EXTENSION pg_tenancy CASCADE drops all of it."));
    }
    Ok(pg_sys::Datum::null())
}

/// How a statement would drop the extension.
#[derive(PartialEq)]
enum Drop {
    /// By its name, and PostgreSQL refuses where anything depends on it.
    Alone,
    /// By its name, with all that depends on it: the tenants are meant to go.
    Cascading,
    /// With something else.
    Along,
}

unsafe fn dropped_by_name(statement: *mut pg_sys::DropStmt) -> Option<Drop> {
    // SAFETY: the caller has looked at its tag.
    unsafe {
        if (*statement).removeType != pg_sys::ObjectType::OBJECT_EXTENSION {
            return None;
        }
        let is_cascading = (*statement).behavior == pg_sys::DropBehavior::DROP_CASCADE;
        let names_ours = names((*statement).objects).any(|name| name == c"pg_tenancy");
        if names_ours {
            return Some(if is_cascading {
                Drop::Cascading
            } else {
                Drop::Alone
            });
        }
        // Ours has functions in that language.
        let names_plpgsql = names((*statement).objects).any(|name| name == c"plpgsql");
        (is_cascading && names_plpgsql).then_some(Drop::Along)
    }
}

/// DROP OWNED takes extensions along without being asked to cascade.
unsafe fn would_drop_owned(statement: *mut pg_sys::DropOwnedStmt) -> Result<bool, Fault> {
    // SAFETY: the caller has looked at its tag; the list is one of RoleSpec nodes.
    let roles: Vec<pg_sys::Oid> = unsafe {
        let list = (*statement).roles;
        let length = list.as_ref().map_or(0, |list| list.length as usize);
        (0..length)
            .map(|i| {
                (*(*list).elements.add(i))
                    .ptr_value
                    .cast::<pg_sys::RoleSpec>()
            })
            .map(|role| pg_sys::get_rolespec_oid(role, true))
            .collect()
    };
    for role in roles {
        if OWNER.ask(&[Some(pg_sys::Datum::from(role))], |row| row.is_some())? {
            return Ok(true);
        }
    }
    Ok(false)
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
