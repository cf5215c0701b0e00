//! What a platform administrator may see of all tenants. Who is one, the database says.

use crate::caller::Caller;
use crate::db::{Db, Json};
use crate::problem::Result;

/// `GET /admin/reports/tenants`: one row per tenant. 403 for anybody else.
pub async fn tenants(caller: Caller, db: Db) -> Result<Json> {
    db.report_tenants(caller).await
}
