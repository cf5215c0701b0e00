//! Plans of the row functions, kept per backend, and their execution.
//!
//! A plan is generic: PostgreSQL's own choice would plan a `limit $n` anew in
//! each call, which took as long as the query itself. And it never scans a whole
//! table, however small that is when the plan is made: it will grow.
//!
//! Execution runs other people's code (policies, triggers, checks). Their errors
//! have to reach the client as they are, so PostgreSQL is called without pgrx's
//! guard, and nothing that has a destructor is alive while it runs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_long};

use pgrx::pg_sys;

use crate::fault::Fault;
use crate::rows::explain::Explaining;
use crate::rows::json::Json;
use crate::rows::relation::Relation;
use crate::rows::statement::{Shape, Statement, Verb};

/// More kinds of requests than an application has. Where there are more when a
/// transaction ends, all go: not earlier, because one may be in use.
const MOST_PLANS: usize = 256;

#[derive(Default)]
pub struct Plans(RefCell<HashMap<Shape, pg_sys::SPIPlanPtr>>);

impl Plans {
    /// The plan of a statement of that shape on the relation, made where missing.
    pub fn get(relation: &Relation, shape: Shape) -> Result<pg_sys::SPIPlanPtr, Fault> {
        if let Some(&plan) = relation.plans.0.borrow().get(&shape) {
            return Ok(plan);
        }
        let plan = prepare(&Statement::new(relation, &shape))?;
        relation.plans.0.borrow_mut().insert(shape, plan);
        Ok(plan)
    }

    /// At the end of a transaction: keeps no more than are useful.
    pub fn trim(&self) {
        let mut plans = self.0.borrow_mut();
        if plans.len() > MOST_PLANS {
            plans.drain().for_each(|(_, plan)| free(plan));
        }
    }
}

impl Drop for Plans {
    fn drop(&mut self) {
        self.0.borrow_mut().drain().for_each(|(_, plan)| free(plan));
    }
}

fn free(plan: pg_sys::SPIPlanPtr) {
    // SAFETY: a kept plan, out of the map. PostgreSQL counts its users itself.
    unsafe { pg_sys::SPI_freeplan(plan) };
}

fn prepare(statement: &Statement) -> Result<pg_sys::SPIPlanPtr, Fault> {
    let sql = CString::new(statement.sql.as_str())
        .map_err(|_| Fault::internal("a statement with a NUL"))?;
    let mut types = statement.types.clone();
    // SAFETY: the calls are in SPI's order; an error becomes a panic. The plan
    // is PostgreSQL's to count, and released as it was got.
    unsafe {
        if pg_sys::SPI_connect() != pg_sys::SPI_OK_CONNECT as c_int {
            return Err(Fault::internal("SPI_connect failed"));
        }
        let plan = pg_sys::SPI_prepare_cursor(
            sql.as_ptr(),
            types.len() as c_int,
            types.as_mut_ptr(),
            pg_sys::CURSOR_OPT_GENERIC_PLAN as c_int,
        );
        if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
            return Err(Fault::internal("a row function's statement was refused"));
        }
        // Planning asks the policies, which may raise: then nobody keeps the plan.
        let mut kept = Kept(plan);
        {
            let _without = WithoutSeqScan::start();
            let planned = pg_sys::SPI_plan_get_cached_plan(plan);
            if !planned.is_null() {
                pg_sys::ReleaseCachedPlan(planned, pg_sys::CurrentResourceOwner);
            }
        }
        pg_sys::SPI_finish();
        kept.0 = std::ptr::null_mut();
        Ok(plan)
    }
}

/// A kept plan that is freed again, unless it is taken out.
struct Kept(pg_sys::SPIPlanPtr);

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.0.is_null() {
            free(self.0);
        }
    }
}

/// While one of these lives, the planner scans a whole table only if it must.
struct WithoutSeqScan {
    before: bool,
}

impl WithoutSeqScan {
    fn start() -> Self {
        // SAFETY: a plain global of the planner, in this thread; an error ends
        // this value, and so puts it back.
        unsafe {
            let before = pg_sys::enable_seqscan;
            pg_sys::enable_seqscan = false;
            Self { before }
        }
    }
}

impl Drop for WithoutSeqScan {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { pg_sys::enable_seqscan = self.before };
    }
}

/// A plan with its arguments, all of it in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub struct Bound {
    pub plan: pg_sys::SPIPlanPtr,
    pub verb: Verb,
    pub values: *mut pg_sys::Datum,
    pub nulls: *const c_char,
    pub columns: Columns,
}

/// The places of the columns that come back, in memory that outlives the statement.
#[derive(Clone, Copy)]
pub struct Columns {
    places: *const usize,
    number: usize,
}

impl Columns {
    /// Those of a description, which lives as long as the transaction.
    pub fn of(places: &'static [usize]) -> Self {
        Self {
            places: places.as_ptr(),
            number: places.len(),
        }
    }

    /// A copy in the current memory context.
    pub fn copy(places: &[usize]) -> Self {
        // SAFETY: palloc answers with that much memory.
        let memory = unsafe {
            let memory: *mut usize = pg_sys::palloc(size_of_val(places)).cast();
            std::ptr::copy_nonoverlapping(places.as_ptr(), memory, places.len());
            memory
        };
        Self {
            places: memory,
            number: places.len(),
        }
    }

    pub fn as_slice(&self) -> &[usize] {
        // SAFETY: as it was made.
        unsafe { std::slice::from_raw_parts(self.places, self.number) }
    }
}

unsafe extern "C-unwind" {
    fn SPI_connect() -> c_int;
    fn SPI_execute_plan(
        plan: pg_sys::SPIPlanPtr,
        values: *mut pg_sys::Datum,
        nulls: *const c_char,
        read_only: bool,
        count: c_long,
    ) -> c_int;
    fn SPI_finish() -> c_int;
    fn SPI_plan_get_plan_sources(plan: pg_sys::SPIPlanPtr) -> *mut pg_sys::List;
    fn list_member_oid(list: *const pg_sys::List, member: pg_sys::Oid) -> bool;
}

/// Runs it and writes each row that comes back, with commas between, to `json`.
/// How many there were.
///
/// # Safety
/// Nothing with a destructor may be alive in the callers' frames.
pub unsafe fn run(bound: Bound, relation: &'static Relation, json: &mut Json) -> u64 {
    // SAFETY: the calls are in SPI's order; the rows are written, to memory that
    // was got before, ere SPI_finish frees them.
    unsafe {
        SPI_connect();
        execute(bound, relation);
        let rows = pg_sys::SPI_tuptable;
        let number = pg_sys::SPI_processed;
        json.rows(relation, bound.columns, rows, number);
        SPI_finish();
        number
    }
}

/// Runs a `Verb::Count`.
///
/// # Safety
/// As `run`.
pub unsafe fn count(bound: Bound, relation: &'static Relation) -> i64 {
    // SAFETY: the statement gives one row of one bigint, never NULL.
    unsafe {
        SPI_connect();
        execute(bound, relation);
        let table = pg_sys::SPI_tuptable;
        let mut is_null = false;
        let datum = pg_sys::SPI_getbinval(*(*table).vals, (*table).tupdesc, 1, &raw mut is_null);
        let number = datum.value() as i64;
        SPI_finish();
        number
    }
}

unsafe fn execute(bound: Bound, relation: &'static Relation) {
    // SAFETY: the bound plan takes these arguments. The explanation is taken
    // off again; on an error PostgreSQL resets the stack it stands on.
    unsafe {
        let mut explaining = Explaining::of_execution(relation, bound.verb);
        explaining.start();
        // A reading uses the snapshot of the statement that it is part of.
        SPI_execute_plan(
            bound.plan,
            bound.values,
            bound.nulls,
            bound.verb.is_reading(),
            0,
        );
        explaining.end();

        // Planned anew, the statement may have found another relation of that
        // name, after a schema was renamed.
        let source: *mut pg_sys::CachedPlanSource = (*(*SPI_plan_get_plan_sources(bound.plan))
            .elements)
            .ptr_value
            .cast();
        if !list_member_oid((*source).relationOids, relation.oid) {
            changed_under_way();
        }
    }
}

/// The relation is not what it was when the call began.
pub fn changed_under_way() -> ! {
    Fault::new("40001", "the table was changed at this moment")
        .hint("Try again.")
        .raise()
}
