//! What every request shares: the pool, the keys, the hasher, the limits.

use std::sync::Arc;

use crate::db::Pool;
use crate::password::Passwords;
use crate::settings::{Limits, Settings};
use crate::token::Tokens;

#[derive(Clone)]
pub struct App(Arc<Parts>);

struct Parts {
    pool: Pool,
    tokens: Tokens,
    passwords: Passwords,
    limits: Limits,
}

impl App {
    /// Fails, with what to do about it, when a setting is no good. Connects to nothing.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        Ok(Self(Arc::new(Parts {
            tokens: Tokens::new(&settings.token)?,
            pool: Pool::new(&settings.database)?,
            passwords: Passwords::new(&settings.password)?,
            limits: settings.limits.clone(),
        })))
    }

    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }
}
