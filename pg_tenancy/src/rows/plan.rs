//! Plans of the row functions, kept per backend, and their execution.
//!
//! A plan is generic: PostgreSQL's own choice would plan a `limit $n` anew in
//! each call, which took as long as the query itself. And it never scans a whole
//! table, however small that is when the plan is made: it will grow.
//!
//! Execution runs other people's code (policies, triggers, checks). Their errors
//! have to reach the client as they are, so PostgreSQL is called without pgrx's
//! guard, and nothing that has a destructor is alive while it runs.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_long};

use pgrx::pg_sys;
use rustc_hash::FxHashMap;

use crate::fault::Fault;
use crate::rows::columns::Columns;
use crate::rows::direct::{self, Known};
use crate::rows::explain::Explaining;
use crate::rows::include::Includes;
use crate::rows::json::Json;
use crate::rows::planning::Planning;
use crate::rows::relation::Relation;
use crate::rows::statement::{Shape, Statement, Verb};
use crate::soft_delete;

/// More kinds of requests than an application has. Where there are more when a
/// transaction ends, all go: not earlier, because one may be in use.
const MOST_PLANS: usize = 256;

single! {
    /// Of some relation there are more.
    static ARE_TOO_MANY: Cell<bool> = Cell::new(false);
}

/// Whether `trim` has something to do for some relation, since this was asked before.
pub fn are_too_many() -> bool {
    ARE_TOO_MANY.take()
}

#[derive(Default)]
pub struct Plans(RefCell<FxHashMap<Shape, Box<Plan>>>);

/// A kept plan of one statement.
pub struct Plan {
    pub spi: pg_sys::SPIPlanPtr,
    pub source: *mut pg_sys::CachedPlanSource,
    pub way: Cell<Known>,
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: a kept plan, out of the map. PostgreSQL counts its users itself.
        unsafe { pg_sys::SPI_freeplan(self.spi) };
    }
}

impl Plans {
    /// The plan of a statement of that shape on the relation, made where missing.
    /// It stays where it is until the transaction ends.
    pub fn get(relation: &Relation, shape: Shape) -> Result<*const Plan, Fault> {
        if let Some(plan) = relation.plans.0.borrow().get(&shape) {
            return Ok(&raw const **plan);
        }
        let plan = Box::new(prepare(relation, &shape)?);
        let place = &raw const *plan;
        let mut plans = relation.plans.0.borrow_mut();
        plans.insert(shape, plan);
        if plans.len() > MOST_PLANS {
            ARE_TOO_MANY.set(true);
        }
        Ok(place)
    }

    /// At the end of a transaction: keeps no more than are useful.
    pub fn trim(&self) {
        let mut plans = self.0.borrow_mut();
        if plans.len() > MOST_PLANS {
            plans.clear();
        }
    }
}

fn prepare(relation: &Relation, shape: &Shape) -> Result<Plan, Fault> {
    let statement = Statement::new(relation, shape);
    let verb = shape.verb;
    let sql = CString::new(statement.sql.as_str())
        .map_err(|_| Fault::internal("a statement with a NUL"))?;
    let mut types = statement.types;
    // Whose tenant's rows are expected must be who asks.
    let options = if verb == Verb::Expect {
        pg_sys::CURSOR_OPT_CUSTOM_PLAN
    } else {
        pg_sys::CURSOR_OPT_GENERIC_PLAN
    };
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
            options as c_int,
        );
        if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
            return Err(Fault::internal("a row function's statement was refused"));
        }
        // Planning asks the policies, which may raise: then nobody keeps the plan.
        let kept = Plan {
            spi: plan,
            source: (*(*SPI_plan_get_plan_sources(plan)).elements)
                .ptr_value
                .cast(),
            way: Cell::new(Known::NOTHING),
        };
        if verb.is_of_deleted() {
            soft_delete::show(relation.oid, &sql);
        }
        if verb != Verb::Expect {
            let _planning = Planning::start(shape.is_by_key(relation));
            let planned = pg_sys::SPI_plan_get_cached_plan(plan);
            if !planned.is_null() {
                pg_sys::ReleaseCachedPlan(planned, pg_sys::CurrentResourceOwner);
            }
        }
        soft_delete::hide();
        pg_sys::SPI_finish();
        Ok(kept)
    }
}

/// A plan with its arguments, all of it in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub struct Bound {
    pub plan: *const Plan,
    pub verb: Verb,
    pub values: *mut pg_sys::Datum,
    pub nulls: *mut c_char,
    /// How many values there are.
    pub total: usize,
    /// Where among the values limit and offset are.
    pub numbers: usize,
    pub columns: Columns,
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
    pub fn GetCachedPlan(
        source: *mut pg_sys::CachedPlanSource,
        params: pg_sys::ParamListInfo,
        owner: pg_sys::ResourceOwner,
        environment: *mut pg_sys::QueryEnvironment,
    ) -> *mut pg_sys::CachedPlan;
    pub fn ReleaseCachedPlan(plan: *mut pg_sys::CachedPlan, owner: pg_sys::ResourceOwner);
    fn SPI_plan_get_plan_sources(plan: pg_sys::SPIPlanPtr) -> *mut pg_sys::List;
    fn SPI_getbinval(
        tuple: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
        column: c_int,
        is_null: *mut bool,
    ) -> pg_sys::Datum;
    fn list_member_oid(list: *const pg_sys::List, member: pg_sys::Oid) -> bool;
}

/// What a statement has found, until SPI_finish.
#[derive(Clone, Copy)]
pub struct Found {
    pub table: *mut pg_sys::SPITupleTable,
    pub number: u64,
}

/// Runs it and writes each row that comes back, with commas between, to `json`.
/// How many there were.
///
/// # Safety
/// Nothing with a destructor may be alive in the callers' frames.
pub unsafe fn run(
    bound: Bound,
    relation: &'static Relation,
    includes: Includes,
    json: &mut Json,
) -> u64 {
    // SAFETY: the calls are in SPI's order; the rows are written, to memory that
    // was got before, ere SPI_finish frees them.
    unsafe {
        if includes.are_none() {
            let mut before: &[u8] = b"";
            let number = direct::walk(bound, relation, u64::MAX, |reader| {
                json.push(before);
                json.row(reader, Includes::none());
                before = b",";
            });
            if let Some(number) = number {
                return number;
            }
        }
        start();
        let found = execute(bound, relation);
        includes.load(&[found]);
        json.rows(relation, bound.columns, found, includes);
        finish();
        found.number
    }
}

/// Before `execute`; what that finds is there until `finish`.
///
/// # Safety
/// As `run`.
pub unsafe fn start() {
    // SAFETY: the caller's promise.
    unsafe { SPI_connect() };
}

/// # Safety
/// After `start`.
pub unsafe fn finish() {
    // SAFETY: the caller's promise.
    unsafe { SPI_finish() };
}

/// Runs it for the number of its rows.
///
/// # Safety
/// As `run`.
pub unsafe fn number(bound: Bound, relation: &'static Relation) -> i64 {
    // SAFETY: the caller's promise.
    unsafe {
        start();
        let found = execute(bound, relation);
        finish();
        found.number as i64
    }
}

/// Runs a statement that gives one row of numbers, none of them NULL: the first of them.
///
/// # Safety
/// As `run`.
pub unsafe fn numbers<const LENGTH: usize>(
    bound: Bound,
    relation: &'static Relation,
) -> [i64; LENGTH] {
    // SAFETY: as it says.
    unsafe {
        start();
        let table = execute(bound, relation).table;
        let mut numbers = [0; LENGTH];
        for (number, column) in numbers.iter_mut().zip(1..) {
            let mut is_null = false;
            let (tuple, descriptor) = (*(*table).vals, (*table).tupdesc);
            *number = SPI_getbinval(tuple, descriptor, column, &raw mut is_null).value() as i64;
        }
        finish();
        numbers
    }
}

/// # Safety
/// As `run`, between `start` and `finish`.
pub unsafe fn execute(bound: Bound, relation: &'static Relation) -> Found {
    // SAFETY: the bound plan takes these arguments. The explanation is taken
    // off again; on an error PostgreSQL resets the stack it stands on.
    unsafe {
        let mut explaining = Explaining::of_execution(relation, bound.verb);
        explaining.start();
        let source = (*bound.plan).source;
        // Should it be planned anew.
        if bound.verb.is_of_deleted() {
            soft_delete::show(relation.oid, CStr::from_ptr((*source).query_string));
        }
        // A reading uses the snapshot of the statement that it is part of.
        SPI_execute_plan(
            (*bound.plan).spi,
            bound.values,
            bound.nulls,
            bound.verb.is_reading(),
            0,
        );
        soft_delete::hide();
        explaining.end();
        let found = Found {
            table: pg_sys::SPI_tuptable,
            number: pg_sys::SPI_processed,
        };

        // Planned anew, the statement may have found another relation of that
        // name, after a schema was renamed.
        if !list_member_oid((*source).relationOids, relation.oid) {
            changed_under_way();
        }
        found
    }
}

/// The relation is not what it was when the call began.
pub fn changed_under_way() -> ! {
    Fault::new("40001", "the table was changed at this moment")
        .hint("Try again.")
        .raise()
}
