//! Questions to the database about what is committed at this moment.
//!
//! A transaction's snapshot may be old (REPEATABLE READ), and then it shows a
//! membership that has ended and a catalog that has changed. These questions are
//! asked with a snapshot of their own, the latest. They only read, so they work on
//! a standby as well.
//!
//! There are two ways: `Question` is SQL; `by_key` is without, for what is asked often.
//! What was found holds until `told` hears otherwise.

pub mod by_key;
pub mod place;
pub mod told;

use std::cell::Cell;
use std::ffi::CStr;
use std::thread::LocalKey;

use pgrx::pg_sys;

use crate::fault::Fault;
use crate::function::content;

/// Where a question's plan is kept, for as long as the backend lives.
pub type Plan = LocalKey<Cell<pg_sys::SPIPlanPtr>>;

/// A question. Its plan is generic: the arguments are all that changes.
pub struct Question {
    pub sql: &'static CStr,
    pub types: &'static [pg_sys::Oid],
    pub plan: &'static Plan,
}

/// The first row of an answer.
#[derive(Clone, Copy)]
pub struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Question {
    /// Asks, and has `read` take what it needs from the first row, if there is one.
    pub fn ask<T>(
        &self,
        arguments: &[Option<pg_sys::Datum>],
        read: impl FnOnce(Option<Row>) -> T,
    ) -> Result<T, Fault> {
        let mut values: Vec<_> = arguments
            .iter()
            .map(|argument| argument.unwrap_or(pg_sys::Datum::null()))
            .collect();
        let nulls: Vec<_> = arguments
            .iter()
            .map(|argument| (if argument.is_some() { b' ' } else { b'n' }) as std::ffi::c_char)
            .collect();
        // SAFETY: the calls are in SPI's order, and an error in one of them
        // becomes a panic that ends the transaction. `read` copies what it
        // takes, before SPI_finish frees the row.
        unsafe {
            if pg_sys::SPI_connect() != pg_sys::SPI_OK_CONNECT as i32 {
                return Err(Fault::internal("SPI_connect failed"));
            }
            let plan = self.plan()?;
            pg_sys::SPI_execute_snapshot(
                plan,
                values.as_mut_ptr(),
                nulls.as_ptr(),
                pg_sys::GetLatestSnapshot(),
                std::ptr::null_mut(),
                true,
                false,
                1,
            );
            let table = pg_sys::SPI_tuptable;
            let row = (!table.is_null() && (*table).numvals > 0).then(|| Row {
                tuple: *(*table).vals,
                descriptor: (*table).tupdesc,
            });
            let answer = read(row);
            pg_sys::SPI_finish();
            Ok(answer)
        }
    }

    unsafe fn plan(&self) -> Result<pg_sys::SPIPlanPtr, Fault> {
        let known = self.plan.get();
        if !known.is_null() {
            return Ok(known);
        }
        let mut types = self.types.to_vec();
        // SAFETY: within SPI_connect and SPI_finish; a kept plan lives on.
        unsafe {
            let plan = pg_sys::SPI_prepare_cursor(
                self.sql.as_ptr(),
                types.len() as i32,
                types.as_mut_ptr(),
                pg_sys::CURSOR_OPT_GENERIC_PLAN as i32,
            );
            if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
                return Err(Fault::internal("a question could not be planned"));
            }
            self.plan.set(plan);
            Ok(plan)
        }
    }
}

impl Row {
    /// The text in the column of that number, from 1; `None` for NULL. The column
    /// is of a text type.
    pub fn text(self, column: i32) -> Option<String> {
        String::from_utf8(self.bytes(column)?).ok()
    }

    /// The bytes of a text or bytea.
    pub fn bytes(self, column: i32) -> Option<Vec<u8>> {
        let mut is_null = false;
        // SAFETY: the row lives until SPI_finish; the column is a varlena.
        unsafe {
            let datum =
                pg_sys::SPI_getbinval(self.tuple, self.descriptor, column, &raw mut is_null);
            (!is_null).then(|| content(datum).to_vec())
        }
    }
}
