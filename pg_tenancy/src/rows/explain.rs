//! Errors of PostgreSQL in the words of the request.
//!
//! PostgreSQL says that a row violates "tasks_title_length"; the person who sent
//! it has to hear that "title" must be 1 to 255 characters long. While a row
//! function converts a value or runs its statement, it stands in PostgreSQL's
//! stack of error contexts, and puts its own words into an error that passes.

use std::ffi::c_void;

use pgrx::pg_sys;

use crate::backend;
use crate::fault::{in_postgres_memory, reword, rewrite, sqlstate};
use crate::rows::cursor::{HINT, MESSAGE};
use crate::rows::relation::{Constraint, Relation};
use crate::rows::report::{report, say};
use crate::rows::served::Standing;
use crate::rows::statement::Verb;
use crate::rows::types::Kind;

/// On the stack of error contexts between `start` and `end`.
pub struct Explaining {
    context: pg_sys::ErrorContextCallback,
    work: Work,
    /// How many savepoints there were. An error within a deeper one is somebody's
    /// own, who may be waiting for just that code.
    level: i32,
}

#[derive(Clone, Copy)]
enum Work {
    Converting {
        relation: &'static Relation,
        field: usize,
    },
    /// A value of a cursor.
    GoingOn,
    Executing {
        relation: &'static Relation,
        verb: Verb,
    },
    /// One of several rows; around what is done with it.
    Row(usize),
}

impl Explaining {
    pub fn of_conversion(relation: &'static Relation, field: usize) -> Self {
        Self::new(Work::Converting { relation, field })
    }

    pub fn of_cursor() -> Self {
        Self::new(Work::GoingOn)
    }

    pub fn of_execution(relation: &'static Relation, verb: Verb) -> Self {
        Self::new(Work::Executing { relation, verb })
    }

    pub fn of_row(row: usize) -> Self {
        Self::new(Work::Row(row))
    }

    fn new(work: Work) -> Self {
        Self {
            context: pg_sys::ErrorContextCallback {
                previous: std::ptr::null_mut(),
                callback: Some(explain),
                arg: std::ptr::null_mut(),
            },
            work,
            level: backend::nesting_level(),
        }
    }

    /// # Safety
    /// It must not move before `end`, which must follow, unless an error does.
    pub unsafe fn start(&mut self) {
        // SAFETY: the stack of this backend; `self` stays where it is.
        unsafe {
            self.context.previous = pg_sys::error_context_stack;
            self.context.arg = (&raw mut *self).cast();
            pg_sys::error_context_stack = &raw mut self.context;
        }
    }

    /// # Safety
    /// After `start`.
    pub unsafe fn end(&mut self) {
        // SAFETY: it is on top, because PostgreSQL leaves the stack as it was.
        unsafe { pg_sys::error_context_stack = self.context.previous };
    }
}

unsafe extern "C-unwind" fn explain(explaining: *mut c_void) {
    // SAFETY: `start` put it there; PostgreSQL calls this while it raises.
    unsafe {
        let explaining = explaining.cast::<Explaining>();
        if (*explaining).level != backend::nesting_level() {
            return;
        }
        let code = pg_sys::geterrcode();
        match (*explaining).work {
            Work::Converting { relation, field } if is_about_a_value(code) => {
                explain_conversion(relation, field);
            }
            // The type has changed since.
            Work::GoingOn if is_about_a_value(code) => {
                let (message, hint) = (in_postgres_memory(MESSAGE), in_postgres_memory(HINT));
                rewrite("TN415", message, hint, in_postgres_memory("cursor"));
            }
            Work::Executing { relation, verb } if is_about_a_rule(code) => {
                explain_execution(relation, verb, code);
            }
            // PostgreSQL asks from the inside out: the words are ours by now.
            Work::Row(row) if is_ours(code) => name_row(row),
            _ => {}
        }
    }
}

/// Data exceptions and a domain's check; and what types that read names say of one that
/// isn't there, which would tell who may not look.
pub fn is_about_a_value(code: i32) -> bool {
    const CLASS: i32 = (1 << 12) - 1;
    let is_of = |class: &&str| code & CLASS == sqlstate(class) & CLASS;
    code == sqlstate("23514")
        || ["22000", "42000", "3F000", "3D000", "0A000"]
            .iter()
            .any(is_of)
}

/// Class TN.
fn is_ours(code: i32) -> bool {
    const CLASS: i32 = (1 << 12) - 1;
    code & CLASS == sqlstate("TN001") & CLASS
}

fn is_about_a_rule(code: i32) -> bool {
    ["23502", "23503", "23505", "23514"]
        .iter()
        .any(|known| code == sqlstate(known))
}

unsafe fn explain_conversion(relation: &Relation, field: usize) {
    let field = &relation.fields[field];
    let what = match field.kind {
        Kind::Other => format!("\"{}\" is not a valid {}", field.name, field.type_name),
        kind => format!("\"{}\" must be {}", field.name, kind.expected()),
    };
    let what = match field.kind {
        Kind::Text => format!("\"{}\" is too long", field.name),
        _ => what,
    };
    // SAFETY: called from the context callback.
    unsafe { say("TN405", &what, &field.name) };
}

unsafe fn explain_execution(relation: &Relation, verb: Verb, code: i32) {
    // SAFETY: called from the context callback.
    let Some(report) = (unsafe { report() }) else {
        return;
    };
    let is_ours = report.schema.as_deref() == Some(relation.schema.as_str())
        && report.table.as_deref() == Some(relation.table.as_str());
    let is_reference = code == sqlstate("23503");
    // A reference to this row, or one of a table that a trigger writes to.
    let is_view = relation.standing == Standing::View;
    let is_referred_to = match verb {
        Verb::Delete => true,
        Verb::Update => !is_ours && !is_view,
        _ => false,
    };
    if is_reference && is_referred_to {
        // SAFETY: as above.
        unsafe { say("TN413", "other rows still refer to this one", "") };
        return;
    }
    let has_column = report.column.is_some();
    // Of a view, it is about a table below, which nobody here knows.
    let (name, rule) = if is_ours {
        let known = report
            .constraint
            .and_then(|name| relation.constraints.iter().find(|known| known.name == name));
        match known {
            Some(constraint) => about(relation, constraint),
            None if code == sqlstate("23502") => {
                let column = report.column.unwrap_or_default();
                (field_of(relation, &column), None)
            }
            None => return,
        }
    } else if is_view {
        (None, None)
    } else {
        return;
    };
    let (code, of_field, of_row) = match code {
        _ if is_reference => (
            "TN411",
            "must be that of a row in this tenant",
            "a reference must be to a row in this tenant",
        ),
        code if code == sqlstate("23505") => ("TN412", "is taken", "a value is taken"),
        code if code == sqlstate("23502") => {
            ("TN410", "is required", "a required value is missing")
        }
        _ => ("TN410", "breaks a rule", "a value breaks a rule"),
    };
    let rule = rule.filter(|_| code != "TN412");
    let message = match name {
        Some(name) => format!("\"{name}\" {}", rule.as_deref().unwrap_or(of_field)),
        None => of_row.to_owned(),
    };
    // SAFETY: as above.
    unsafe {
        say(code, &message, name.unwrap_or_default());
        if name.is_none() && has_column {
            // PostgreSQL has named it already.
            reword(in_postgres_memory(&message), std::ptr::null(), c"".as_ptr());
        }
    }
}

/// The field that a constraint is about, which is its last one beside the tenant, and
/// what must be. Neither tells of a column that the caller doesn't see.
fn about<'relation>(
    relation: &'relation Relation,
    constraint: &Constraint,
) -> (Option<&'relation str>, Option<String>) {
    let tenant = relation.tenant.map(|place| &relation.fields[place].column);
    let columns = constraint.columns.iter().rev();
    let mut fields = columns
        .filter(|column| Some(*column) != tenant)
        .map(|column| field_of(relation, column));
    let last = fields.next().flatten();
    if last.is_none() || !fields.all(|field| field.is_some()) {
        return (last, None);
    }
    let named = || format!("breaks the rule {}", constraint.name);
    let is_check = constraint.is_check;
    let rule = constraint.rule.clone();
    (last, rule.or_else(|| is_check.then(named)))
}

/// The field of a column that the caller sees.
fn field_of<'relation>(relation: &'relation Relation, column: &str) -> Option<&'relation str> {
    let mut fields = relation.fields.iter();
    let field = fields.find(|field| field.column == column)?;
    let is_seen = field.is_readable || field.is_insertable || field.is_updatable;
    is_seen.then_some(field.name.as_str())
}

/// Says which of several rows an error of ours is about.
///
/// # Safety
/// Only in the context callback.
unsafe fn name_row(row: usize) {
    // SAFETY: the caller's promise.
    let Some(report) = (unsafe { report() }) else {
        return;
    };
    let field = match report.column.filter(|field| !field.is_empty()) {
        Some(field) => format!("{row}.{field}"),
        None => row.to_string(),
    };
    let message = format!("row {row}: {}", report.message.unwrap_or_default());
    // SAFETY: as above.
    unsafe {
        reword(
            in_postgres_memory(&message),
            std::ptr::null(),
            in_postgres_memory(&field),
        );
    }
}
