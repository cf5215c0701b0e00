//! Who am I, and where?

use crate::caller::Caller;
use crate::db::{Db, Json};
use crate::problem::Result;

/// `GET /me`: the caller, their tenant and their role in it.
pub async fn me(caller: Caller, db: Db) -> Result<Json> {
    db.me(caller).await
}
