//! What the planner may choose for a row function's statement.

use pgrx::pg_sys;

/// While one of these lives, the planner scans a whole table only if it must, and
/// where the rows come in the order of the key, sorts only if it must.
pub struct Planning {
    before: [bool; 3],
}

impl Planning {
    pub fn start(is_by_key: bool) -> Self {
        // SAFETY: plain globals of the planner, in this thread; an error ends
        // this value, and so puts them back.
        unsafe {
            let before = [
                pg_sys::enable_seqscan,
                pg_sys::enable_sort,
                pg_sys::enable_bitmapscan,
            ];
            pg_sys::enable_seqscan = false;
            if is_by_key {
                pg_sys::enable_sort = false;
                pg_sys::enable_bitmapscan = false;
            }
            Self { before }
        }
    }
}

impl Drop for Planning {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe {
            [
                pg_sys::enable_seqscan,
                pg_sys::enable_sort,
                pg_sys::enable_bitmapscan,
            ] = self.before;
        }
    }
}
