//! An argument that its type doesn't take, in the words of the request: as `explain`
//! does for columns, while the type reads the text.

use std::ffi::{c_char, c_void};

use pgrx::pg_sys;

use crate::backend;
use crate::fault::{in_postgres_memory, rewrite};
use crate::rows::explain::is_about_a_value;
use crate::rows::types::Kind;

/// On the stack of error contexts between `start` and `end`. All of it is
/// PostgreSQL's memory, or plain.
#[derive(Clone, Copy)]
pub struct Refusing {
    context: pg_sys::ErrorContextCallback,
    message: *const c_char,
    field: *const c_char,
    /// How many savepoints there were. An error within a deeper one is somebody's own.
    level: i32,
}

impl Refusing {
    pub fn new(name: &str, kind: Kind, type_name: &str) -> Self {
        let message = match kind {
            Kind::Other => format!("\"{name}\" is not a valid {type_name}"),
            // Of a text only a domain's rule can say no.
            Kind::Text => format!("\"{name}\" is not acceptable"),
            kind => format!("\"{name}\" must be {}", kind.expected()),
        };
        Self {
            context: pg_sys::ErrorContextCallback {
                previous: std::ptr::null_mut(),
                callback: Some(refuse),
                arg: std::ptr::null_mut(),
            },
            message: in_postgres_memory(&message),
            field: in_postgres_memory(name),
            level: 0,
        }
    }

    /// # Safety
    /// It must not move before `end`, which must follow, unless an error does.
    pub unsafe fn start(&mut self) {
        // SAFETY: the stack of this backend; `self` stays where it is.
        unsafe {
            self.level = backend::nesting_level();
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

unsafe extern "C-unwind" fn refuse(refusing: *mut c_void) {
    // SAFETY: `start` put it there; PostgreSQL calls this while it raises.
    unsafe {
        let refusing = refusing.cast::<Refusing>();
        if (*refusing).level == backend::nesting_level() && is_about_a_value(pg_sys::geterrcode()) {
            rewrite(
                "TN405",
                (*refusing).message,
                std::ptr::null(),
                (*refusing).field,
            );
        }
    }
}
