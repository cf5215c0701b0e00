//! Whether another extension watches what the executor does, as pg_stat_statements,
//! auto_explain and pgaudit do. What is read past the executor, they don't see (see
//! `rows::direct`).

use std::cell::Cell;

use pgrx::pg_sys;

/// Where the hooks of start, run, finish and end lead: 0 is nowhere.
type Hooks = [usize; 4];

single! {
    /// When ours were in place; `None` if others were there before.
    static OURS: Cell<Option<Hooks>> = Cell::new(None);
}

/// Puts our hooks in place, and remembers whether they are alone.
pub fn install(hooks: impl FnOnce()) {
    let is_first = now() == Hooks::default();
    hooks();
    OURS.set(is_first.then(now));
}

/// Whether anybody's hooks are there but ours.
pub fn is_watched() -> bool {
    OURS.get() != Some(now())
}

fn now() -> Hooks {
    // SAFETY: reads globals of this backend.
    unsafe {
        let (start, run) = (pg_sys::ExecutorStart_hook, pg_sys::ExecutorRun_hook);
        let (finish, end) = (pg_sys::ExecutorFinish_hook, pg_sys::ExecutorEnd_hook);
        [
            start.map_or(0, |hook| hook as usize),
            run.map_or(0, |hook| hook as usize),
            finish.map_or(0, |hook| hook as usize),
            end.map_or(0, |hook| hook as usize),
        ]
    }
}
