//! The tenant as a constant, for one execution.
//!
//! Where an index is searched for `tenant_id = current_tenant_id()`, PostgreSQL readies
//! an expression, looks up the function and the right to call it, and calls it once. A
//! transaction of somebody whom the context binds has one tenant until it ends. So while
//! such a statement starts, the call is replaced by what it would answer: the key of the
//! search is ready at once.

use std::cell::Cell;
use std::mem::offset_of;

use pgrx::pg_sys::NodeTag;
use pgrx::{pg_guard, pg_sys};

use crate::backend;
use crate::boundary_first::{current_tenant_id, may_call};
use crate::context;
use crate::readers;
use crate::trust::length;

/// Where a call comes from in the text of a query, which nothing else does: one that can
/// be replaced (see `boundary_first`).
const MARK: i32 = -7_378;

single! {
    /// The role that may call the function, as far as is known.
    static CALLER: Cell<pg_sys::Oid> = Cell::new(pg_sys::InvalidOid);
    static FUNCTION: Cell<pg_sys::Oid> = Cell::new(pg_sys::InvalidOid);
}

/// Asks PostgreSQL to tell when a right may have changed, once per backend.
pub fn watch() {
    for cache in [
        pg_sys::SysCacheIdentifier::PROCOID,
        pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE,
        pg_sys::SysCacheIdentifier::AUTHOID,
    ] {
        // SAFETY: the callback has the type asked for and lives as long as the backend.
        unsafe {
            pg_sys::CacheRegisterSyscacheCallback(
                cache as i32,
                Some(on_change),
                pg_sys::Datum::null(),
            );
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_change(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    CALLER.set(pg_sys::InvalidOid);
}

/// The tenant, if it is that of the rest of the transaction, and the role that runs now
/// may ask for it.
pub fn of_this_execution() -> Option<pg_sys::Datum> {
    if !context::is_bound() || !may_ask() {
        return None;
    }
    readers::tenant_datum().ok().flatten()
}

fn may_ask() -> bool {
    let role = backend::role();
    if CALLER.get() == role {
        return true;
    }
    let function = FUNCTION.get();
    // SAFETY: a look-up in the caches of the catalog. What it hears of on the way comes
    // before it is noted.
    let may = function != pg_sys::InvalidOid && unsafe { may_call(function) };
    if may {
        CALLER.set(role);
    }
    may
}

/// Marks the calls in the conditions of an index that can be replaced.
///
/// # Safety
/// Conditions of a plan that was just made.
pub unsafe fn mark(conditions: *mut pg_sys::List) {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..length(conditions) {
            if let Some(call) = call_in(pg_sys::list_nth(conditions, i).cast()) {
                let function = current_tenant_id();
                if (*call).funcid == function && function != pg_sys::InvalidOid {
                    (*call).location = MARK;
                    FUNCTION.set(function);
                }
            }
        }
    }
}

/// What a condition compares the index with, if that is a call.
unsafe fn call_in(condition: *mut pg_sys::Node) -> Option<*mut pg_sys::FuncExpr> {
    // SAFETY: a condition of an index; each node has the type that its tag says.
    unsafe {
        let compares = condition.cast::<pg_sys::OpExpr>();
        if (*condition).type_ != NodeTag::T_OpExpr || length((*compares).args) != 2 {
            return None;
        }
        let value = (*(*(*compares).args).elements.add(1))
            .ptr_value
            .cast::<pg_sys::FuncExpr>();
        ((*value).xpr.type_ == NodeTag::T_FuncExpr).then_some(value)
    }
}

/// A list and what is in it, as PostgreSQL lays it out.
#[repr(C)]
struct Listed<const LENGTH: usize> {
    head: pg_sys::List,
    cells: [pg_sys::ListCell; LENGTH],
}

/// More conditions than an index that is searched for a tenant has, mostly.
const MOST: usize = 6;

/// The conditions with a constant in place of the call, in one piece of memory.
#[repr(C)]
struct Replaced {
    conditions: Listed<MOST>,
    compares: pg_sys::OpExpr,
    arguments: Listed<2>,
    constant: pg_sys::Const,
}

/// The conditions, in which the tenant is a constant where a call was marked. They are
/// the same ones where there is none; else in memory that is the caller's to free.
///
/// # Safety
/// Conditions of an index, of a plan after `mark`.
pub unsafe fn put_in(
    conditions: *mut pg_sys::List,
    tenant: pg_sys::Datum,
    memory: pg_sys::MemoryContext,
) -> *mut pg_sys::List {
    // SAFETY: the caller's promise; all that is read of the new memory is written.
    unsafe {
        let number = length(conditions) as usize;
        if number > MOST {
            return conditions;
        }
        let is_marked = |&i: &usize| is_marked((*(*conditions).elements.add(i)).ptr_value.cast());
        let Some(place) = (0..number).find(is_marked) else {
            return conditions;
        };
        let replaced: *mut Replaced =
            pg_sys::MemoryContextAlloc(memory, size_of::<Replaced>()).cast();

        let whole = (*(*conditions).elements.add(place))
            .ptr_value
            .cast::<pg_sys::OpExpr>();
        let call = (*(*(*whole).args).elements.add(1))
            .ptr_value
            .cast::<pg_sys::FuncExpr>();
        (&raw mut (*replaced).constant).write(pg_sys::Const {
            xpr: pg_sys::Expr {
                type_: NodeTag::T_Const,
            },
            consttype: (*call).funcresulttype,
            consttypmod: -1,
            constlen: size_of::<[u8; 16]>() as i32,
            constvalue: tenant,
            location: -1,
            ..Default::default()
        });
        let arguments = &raw mut (*replaced).arguments;
        fill(arguments, (*whole).args);
        (*arguments).cells[1].ptr_value = (&raw mut (*replaced).constant).cast();
        (&raw mut (*replaced).compares).write(*whole);
        (*replaced).compares.args = arguments.cast();
        let conditions_now = &raw mut (*replaced).conditions;
        fill(conditions_now, conditions);
        (*conditions_now).cells[place].ptr_value = (&raw mut (*replaced).compares).cast();
        conditions_now.cast()
    }
}

unsafe fn is_marked(condition: *mut pg_sys::Node) -> bool {
    // SAFETY: a condition of an index.
    unsafe { call_in(condition).is_some_and(|call| (*call).location == MARK) }
}

/// The same list in that place, which is large enough.
unsafe fn fill<const LENGTH: usize>(listed: *mut Listed<LENGTH>, list: *mut pg_sys::List) {
    // SAFETY: the cells follow the head, whose own are of no length.
    unsafe {
        let number = length(list) as usize;
        let cells = listed
            .cast::<u8>()
            .add(offset_of!(Listed<LENGTH>, cells))
            .cast::<pg_sys::ListCell>();
        std::ptr::copy_nonoverlapping((*list).elements, cells, number);
        let head = &raw mut (*listed).head;
        (*head).type_ = (*list).type_;
        (*head).length = (*list).length;
        (*head).max_length = LENGTH as i32;
        (*head).elements = cells;
    }
}
