//! How many rows a list has in all: counted, or estimated where there are many.
//!
//! An estimate takes nothing from what PostgreSQL knows of values, because that is
//! about all tenants: `title in ('ours', 'their secret')` would tell how often the
//! second one is somewhere. What PostgreSQL expects of the tenant alone is the base,
//! and how many of the tenant's own first rows meet the filter is the share. Both
//! are rounded.

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::fault::Fault;
use crate::rows::bind::{Unread, bind};
use crate::rows::filter::Condition;
use crate::rows::plan::{self, Bound, GetCachedPlan, ReleaseCachedPlan};
use crate::rows::relation::Relation;
use crate::rows::statement::{Shape, Verb};

/// As many are counted one by one.
const FEW: i64 = 1_000;
/// So many rows are looked at for their share; where the tenant has no more, they
/// are counted.
const SAMPLE: i64 = 5_000;

/// What a request says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    Exact,
    Estimated,
}

/// A count that is asked for, in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub enum Counting {
    Exact(Unread),
    Estimated {
        few: Unread,
        expect: Unread,
        /// Where there is a filter.
        sample: Option<Unread>,
    },
}

/// How many there are.
pub struct Total {
    pub number: i64,
    pub is_estimate: bool,
}

impl Counting {
    /// By `Verb::Count` or `Verb::CountDeleted`. TN405 for a value of the filter that is none.
    pub fn read(
        relation: &'static Relation,
        counted: Verb,
        precision: Precision,
        filter: &[Condition],
    ) -> Result<Self, Fault> {
        let of = |verb, numbers: &[i64]| {
            let terms = if verb == Verb::Expect { &[] } else { filter };
            bind(
                relation,
                Shape::of(verb, terms),
                terms.to_vec(),
                &[],
                numbers,
            )
        };
        Ok(match precision {
            // Of what was deleted there is little.
            _ if counted.is_of_deleted() => Self::Exact(of(counted, &[])?),
            Precision::Exact => Self::Exact(of(counted, &[])?),
            Precision::Estimated => Self::Estimated {
                few: of(Verb::Few, &[FEW + 1])?,
                expect: of(Verb::Expect, &[])?,
                sample: if filter.is_empty() {
                    None
                } else {
                    Some(of(Verb::Sample, &[SAMPLE])?)
                },
            },
        })
    }

    /// # Safety
    /// As `plan::run`.
    pub unsafe fn count(self, relation: &'static Relation) -> Total {
        let exactly = |number| Total {
            number,
            is_estimate: false,
        };
        // SAFETY: the caller's promise; each statement gives as many numbers.
        unsafe {
            let (few, expect, sample) = match self {
                Self::Exact(count) => {
                    let [number] = plan::numbers(count.read(relation), relation);
                    return exactly(number);
                }
                Self::Estimated {
                    few,
                    expect,
                    sample,
                } => (few, expect, sample),
            };
            let counted = plan::number(few.read(relation), relation);
            if counted <= FEW {
                return exactly(counted);
            }
            let mut estimate = expected(expect.read(relation));
            if let Some(sample) = sample {
                let [met, seen] = plan::numbers(sample.read(relation), relation);
                if seen < SAMPLE {
                    return exactly(met);
                }
                estimate = estimate.max(seen as f64) * met as f64 / seen as f64;
            }
            Total {
                number: round(estimate).max(FEW + 1),
                is_estimate: true,
            }
        }
    }
}

/// To two digits: it is no better than that, and tells no more.
fn round(estimate: f64) -> i64 {
    // A number of rows, which PostgreSQL bounds by 1e100.
    let number = estimate.min(1e15) as i64;
    let digits = number.checked_ilog10().unwrap_or(0);
    let unit = 10_i64.pow(digits.saturating_sub(1));
    (number + unit / 2) / unit * unit
}

unsafe extern "C-unwind" {
    fn makeParamList(number: c_int) -> pg_sys::ParamListInfo;
}

/// How many rows PostgreSQL expects from a `Verb::Expect`, planned for this moment.
///
/// # Safety
/// As `run`.
unsafe fn expected(bound: Bound) -> f64 {
    // SAFETY: a kept plan of one statement; planned with parameters, if none, it is
    // planned for them, and not for whoever asked first.
    unsafe {
        let source = (*bound.plan).source;
        let owner = pg_sys::CurrentResourceOwner;
        let planned = GetCachedPlan(source, makeParamList(0), owner, std::ptr::null_mut());
        let statement: *mut pg_sys::PlannedStmt =
            (*(*(*planned).stmt_list).elements).ptr_value.cast();
        let rows = (*(*statement).planTree).plan_rows;
        ReleaseCachedPlan(planned, owner);
        rows
    }
}

#[cfg(test)]
mod unit_tests {
    use super::round;

    #[test]
    fn an_estimate_has_two_digits() {
        for (estimate, rounded) in [
            (0.0, 0),
            (7.4, 7),
            (42.0, 42),
            (1_234.0, 1_200),
            (1_250.0, 1_300),
            (99_600.0, 100_000),
            (1_000_000.0, 1_000_000),
            (1e100, 1_000_000_000_000_000),
        ] {
            assert_eq!(round(estimate), rounded, "{estimate}");
        }
    }
}
