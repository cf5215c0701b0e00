//! Statics of a backend, which has one thread.
//!
//! In a shared library each use of a `thread_local!` is a call, and a request makes some
//! seventy; these are plain memory, as PostgreSQL's own globals are.

use std::cell::RefCell;
use std::ops::Deref;

/// Something that only the backend's one thread has to do with.
pub struct Single<T>(T);

// SAFETY: PostgreSQL calls us, and is called, from the main thread of its process alone
// (pgrx refuses other threads), and no thread that we or a library start comes here.
unsafe impl<T> Sync for Single<T> {}

impl<T> Single<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Single<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Single<RefCell<T>> {
    pub fn with_borrow<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.borrow())
    }

    pub fn with_borrow_mut<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        change(&mut self.0.borrow_mut())
    }

    pub fn set(&self, value: T) {
        self.0.replace(value);
    }
}

/// Like `thread_local!`, with values that are known when it is compiled.
macro_rules! single {
    ($($(#[$meta:meta])* $visible:vis static $name:ident: $type:ty = $value:expr;)*) => {
        $(
            $(#[$meta])*
            $visible static $name: $crate::single::Single<$type> =
                $crate::single::Single::new($value);
        )*
    };
}
