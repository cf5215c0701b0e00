//! What a platform administrator may see of all tenants. Who is one, the database says.

use crate::caller::Caller;
use crate::db::Db;
use crate::page::Page;
use crate::problem::Result;

/// `GET /admin/reports/tenants`: one row per tenant. 403 for anybody else.
pub async fn tenants(caller: Caller, db: Db) -> Result<Page> {
    db.report_tenants(caller).await.map(Page)
}
