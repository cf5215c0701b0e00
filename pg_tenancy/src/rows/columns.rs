//! Which columns of a relation a statement gives.

use pgrx::pg_sys;

/// The places of the columns that come back, in memory that outlives the statement.
#[derive(Clone, Copy)]
pub struct Columns {
    places: *const usize,
    number: usize,
    /// How many of them, the first ones, are told.
    told: usize,
}

impl Columns {
    /// Those of a description, which lives as long as the transaction.
    pub fn of(places: &'static [usize]) -> Self {
        Self {
            places: places.as_ptr(),
            number: places.len(),
            told: places.len(),
        }
    }

    /// A copy in the current memory context.
    pub fn copy(places: &[usize]) -> Self {
        Self::of(in_postgres_memory(places))
    }

    /// The same, of which so many are told.
    pub fn telling(self, told: usize) -> Self {
        Self { told, ..self }
    }

    pub fn told(&self) -> &[usize] {
        &self.as_slice()[..self.told]
    }

    pub fn as_slice(&self) -> &[usize] {
        // SAFETY: as it was made.
        unsafe { std::slice::from_raw_parts(self.places, self.number) }
    }
}

/// A copy in the current memory context, and gone with it.
pub fn in_postgres_memory<T: Copy>(items: &[T]) -> &'static [T] {
    // SAFETY: palloc answers with that much memory, and aligns it for whatever it is.
    unsafe {
        let memory: *mut T = pg_sys::palloc(size_of_val(items)).cast();
        std::ptr::copy_nonoverlapping(items.as_ptr(), memory, items.len());
        std::slice::from_raw_parts(memory, items.len())
    }
}
