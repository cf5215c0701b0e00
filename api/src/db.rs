//! The statements: all the SQL that the service knows.
//!
//! Each is one call of a function of the extension, so a request is one statement
//! and one transaction, and the database decides everything. Those that act for a
//! caller begin at `tenancy.enter($1)`, which verifies the caller's token again.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

pub use self::call::{Call, Failure};
pub use self::json::Json;
pub use self::pool::Pool;
pub use self::startup::Verdict;
use crate::app::App;
use crate::caller::Caller;
use crate::problem::{Problem, Result};

mod call;
mod json;
mod pool;
mod startup;

const REGISTER: &str = "select * from tenancy.register_tenant($1, $2, $3, $4)";
const CREDENTIALS: &str = "select * from tenancy.find_credentials($1)";
const SESSION: &str = "select * from tenancy.start_session($1, $2)";
const ME: &str = "select tenancy.me() from tenancy.enter($1)";
const REPORT_TENANTS: &str = "select tenancy.platform_report_tenants() from tenancy.enter($1)";
const ASSERT_SERVICE: &str = "select tenancy.assert_service($1)";
const VERSION: &str = "select tenancy.version()";

/// The database, for a handler. It exists only after the database has accepted this service.
#[derive(Clone)]
pub struct Db(Pool);

impl<S> FromRequestParts<S> for Db
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self> {
        let pool = App::from_ref(state).pool().clone();
        if !pool.is_accepted() {
            return Err(Failure::NotReady.into());
        }
        Ok(Self(pool))
    }
}

/// The row functions' statements for one table.
pub struct Table {
    list: Arc<str>,
    get: Arc<str>,
    insert: Arc<str>,
    update: Arc<str>,
    delete: Arc<str>,
}

impl Table {
    /// `relation` is the table's qualified name, as SQL writes it.
    pub fn new(relation: &str) -> Self {
        let relation = relation.replace('\'', "''");
        let statement = |call: &str| -> Arc<str> {
            let call = call.replace("{}", &relation);
            format!("select tenancy.{call} from tenancy.enter($1)").into()
        };
        Self {
            list: statement("list_rows('{}', $2)"),
            get: statement("get_row('{}', $2)"),
            insert: statement("insert_row('{}', $2)"),
            update: statement("update_row('{}', $2, $3)"),
            delete: statement("delete_row('{}', $2)"),
        }
    }
}

pub struct Registration {
    pub tenant_id: Uuid,
    pub name: String,
    pub slug: String,
    pub user_id: Uuid,
    pub email: String,
}

pub struct Credentials {
    pub user_id: Uuid,
    pub email: String,
    pub password_hash: Option<String>,
}

pub struct Session {
    pub tenant_id: Uuid,
    pub role: String,
    pub tenants: Json,
}

impl Db {
    pub async fn register_tenant(
        &self,
        name: String,
        slug: Option<String>,
        email: String,
        password_hash: String,
    ) -> Result<Registration> {
        let call = Call::new(REGISTER)
            .with(Type::TEXT, name)
            .with(Type::TEXT, slug)
            .with(Type::TEXT, email)
            .with(Type::TEXT, password_hash);
        let row = self.0.row(call).await?;
        Ok(Registration {
            tenant_id: column(&row, "tenant_id")?,
            name: column(&row, "name")?,
            slug: column(&row, "slug")?,
            user_id: column(&row, "user_id")?,
            email: column(&row, "email")?,
        })
    }

    pub async fn find_credentials(&self, email: String) -> Result<Option<Credentials>> {
        let call = Call::new(CREDENTIALS).with(Type::TEXT, email);
        let Some(row) = self.0.optional_row(call).await? else {
            return Ok(None);
        };
        Ok(Some(Credentials {
            user_id: column(&row, "user_id")?,
            email: column(&row, "email")?,
            password_hash: column(&row, "password_hash")?,
        }))
    }

    /// For a person whose password was right: `token` is our word on that.
    pub async fn start_session(&self, token: String, tenant: Option<String>) -> Result<Session> {
        let call = Call::new(SESSION)
            .with(Type::TEXT, token)
            .with(Type::TEXT, tenant);
        let row = self.0.row(call).await?;
        Ok(Session {
            tenant_id: column(&row, "tenant_id")?,
            role: column(&row, "role")?,
            tenants: column(&row, "tenants")?,
        })
    }

    pub async fn me(&self, caller: Caller) -> Result<Json> {
        self.answer(Call::of(caller, ME)).await
    }

    pub async fn report_tenants(&self, caller: Caller) -> Result<Json> {
        self.answer(Call::of(caller, REPORT_TENANTS)).await
    }

    pub async fn list(&self, caller: Caller, table: &Table, query: Json) -> Result<Json> {
        let call = Call::of(caller, table.list.clone()).with(Type::JSON, query);
        self.answer(call).await
    }

    pub async fn get(&self, caller: Caller, table: &Table, id: String) -> Result<Json> {
        let call = Call::of(caller, table.get.clone()).with(Type::TEXT, id);
        self.answer(call).await
    }

    pub async fn insert(&self, caller: Caller, table: &Table, fields: Json) -> Result<Json> {
        let call = Call::of(caller, table.insert.clone()).with(Type::JSON, fields);
        self.answer(call).await
    }

    pub async fn update(
        &self,
        caller: Caller,
        table: &Table,
        id: String,
        fields: Json,
    ) -> Result<Json> {
        let call = Call::of(caller, table.update.clone())
            .with(Type::TEXT, id)
            .with(Type::JSON, fields);
        self.answer(call).await
    }

    pub async fn delete(&self, caller: Caller, table: &Table, id: String) -> Result<Json> {
        let call = Call::of(caller, table.delete.clone()).with(Type::TEXT, id);
        self.answer(call).await
    }

    /// The version of the extension that is installed in the database.
    pub async fn version(&self) -> Result<String> {
        let row = self.0.row(Call::new(VERSION)).await?;
        first(&row)
    }

    /// The JSON that a call answers; 404 where it answers NULL, which is the database's "nothing here for you".
    async fn answer(&self, call: Call) -> Result<Json> {
        let row = self.0.row(call).await?;
        first::<Option<Json>>(&row)?.ok_or_else(Problem::not_found)
    }
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> Result<T> {
    row.try_get(name)
        .map_err(|error| Failure::Query(error).into())
}

fn first<'a, T: FromSql<'a>>(row: &'a Row) -> Result<T> {
    row.try_get(0).map_err(|error| Failure::Query(error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_as_a_literal_that_cannot_be_broken_out_of() {
        let table = Table::new("shop.\"o'clock\"");
        assert_eq!(
            &*table.update,
            "select tenancy.update_row('shop.\"o''clock\"', $2, $3) from tenancy.enter($1)"
        );
    }
}
