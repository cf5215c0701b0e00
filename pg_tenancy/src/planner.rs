//! What happens when a query is planned: the boundary is put beside trusted conditions
//! (see `trust`) and before all others (`boundary_first`), is asked of a row once (`met`,
//! `lean`), and the plan isn't printed.
//!
//! With `debug_print_plan`, which everybody may set, PostgreSQL sends each plan
//! to the client, and its estimates tell what other tenants have, as EXPLAIN's do.

use std::cell::Cell;
use std::ffi::{c_char, c_int};

use pgrx::{pg_guard, pg_sys};

use crate::backend;
use crate::{boundary_first, context, late, lean, met, settings, soft_delete, trust};

single! {
    static NEXT: Cell<pg_sys::planner_hook_type> = Cell::new(None);
}

/// Puts the hook in place, once per backend.
pub fn install() {
    // SAFETY: the function has the type asked for; who was there before is called.
    unsafe {
        NEXT.set(pg_sys::planner_hook);
        pg_sys::planner_hook = Some(on_planning);
    }
}

unsafe extern "C-unwind" {
    fn standard_planner(
        query: *mut pg_sys::Query,
        text: *const c_char,
        options: c_int,
        params: pg_sys::ParamListInfo,
    ) -> *mut pg_sys::PlannedStmt;
}

#[pg_guard]
unsafe extern "C-unwind" fn on_planning(
    query: *mut pg_sys::Query,
    text: *const c_char,
    options: c_int,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: PostgreSQL looks at the flag after it has planned; the arguments are
    // passed on as they are.
    unsafe {
        let is_hidden = context::current().is_some() && settings::is_explain_refused();
        if is_hidden && !pg_sys::has_bypassrls_privilege(backend::role()) {
            pg_sys::Debug_print_plan = false;
        }
        soft_delete::prepare(query, text);
        let has_boundary = boundary_first::mark(query);
        met::take_off(query);
        trust::plan_beside(query, params);
        let plan = match NEXT.get() {
            Some(next) => next(query, text, options, params),
            None => standard_planner(query, text, options, params),
        };
        if has_boundary {
            boundary_first::put_first(plan);
            lean::mark(plan);
        }
        late::mark(plan);
        plan
    }
}
