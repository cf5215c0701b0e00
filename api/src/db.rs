//! The statements: all the SQL that the service knows, here and in the folder beside.
//!
//! Each is one call of a function of the extension, so a request is one statement
//! and one transaction, and the database decides everything. Those that act for a
//! caller in a tenant enter it first, by `tenancy.enter($1)`, which verifies the caller's
//! token again; those about a person or a session take the token themselves. What the service
//! alone can know (that a password was right), it says by a word that it signs.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

pub use self::call::{Call, Failure};
pub use self::json::Json;
pub use self::keys::Issuer;
pub use self::pool::{Connection, Pool};
pub use self::rows::Id;
pub use self::sessions::Session;
pub use self::startup::Verdict;
use crate::app::App;
use crate::caller::Caller;
use crate::error::{is_refused_word, of_refused_word};
use crate::problem::{Problem, Result};
use crate::token::Purpose;

mod accounts;
mod call;
mod cancel;
mod catalog;
mod json;
mod keys;
mod link;
mod named;
mod people;
mod pool;
mod rows;
mod sessions;
mod startup;
mod tls;

const ME: &str = "select tenancy.me() from tenancy.enter($1)";
const REPORT_TENANTS: &str = "select tenancy.platform_report_tenants() from tenancy.enter($1)";
const ASSERT_SERVICE: &str = "select tenancy.assert_service($1)";
const STATEMENT_TIMEOUT: &str = "select current_setting('statement_timeout')";
const VERSION: &str = "select tenancy.version()";

/// The database, for a handler. It exists only after the database has accepted this service.
#[derive(Clone)]
pub struct Db(App);

impl<S> FromRequestParts<S> for Db
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self> {
        Self::of(&App::from_ref(state))
    }
}

impl Db {
    /// 503 until the database has accepted this service.
    pub fn of(app: &App) -> Result<Self> {
        if !app.pool().is_accepted() {
            return Err(Failure::NotReady.into());
        }
        Ok(Self(app.clone()))
    }

    pub async fn me(&self, caller: Caller) -> Result<Json> {
        self.answer(Call::of(caller, ME)).await
    }

    pub async fn report_tenants(&self, caller: Caller) -> Result<Json> {
        self.answer(Call::of(caller, REPORT_TENANTS)).await
    }

    /// The version of the extension that is installed in the database.
    pub async fn version(&self) -> Result<String> {
        let row = self.pool().row(Call::new(VERSION)).await?;
        first(&row)
    }

    fn pool(&self) -> &Pool {
        self.0.pool()
    }

    /// The JSON that a call answers; 404 where it answers NULL, which is the database's "nothing here for you".
    async fn answer(&self, call: Call) -> Result<Json> {
        let row = self.pool().row(call).await?;
        last::<Option<Json>>(&row)?.ok_or_else(Problem::not_found)
    }

    /// A call that answers nothing, or what nobody wants to know.
    async fn deed(&self, call: Call) -> Result<()> {
        self.pool().rows(call).await?;
        Ok(())
    }

    /// A call with our word as its first parameter. A key that was retired since it was
    /// chosen is not the caller's fault: then with the one that signs now, once.
    async fn with_word(
        &self,
        purpose: Purpose,
        user_id: Uuid,
        call: impl Fn(String) -> Call,
    ) -> Result<Option<Row>> {
        let word = || {
            let word = self.0.tokens().word(purpose, user_id);
            word.map_err(|error| Problem::internal(format!("can't sign a word: {error}")))
        };
        match self.pool().optional_row(call(word()?)).await {
            Err(failure) if is_refused_word(&failure) => {}
            answered => return Ok(answered?),
        }
        self.choose_key().await?;
        let answered = self.pool().optional_row(call(word()?)).await;
        answered.map_err(|failure| match is_refused_word(&failure) {
            true => of_refused_word(&failure),
            false => failure.into(),
        })
    }
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, name: &str) -> Result<T> {
    row.try_get(name)
        .map_err(|error| Failure::Query(error).into())
}

/// What a statement answers: before it may stand what `tenancy.enter` does.
fn last<'a, T: FromSql<'a>>(row: &'a Row) -> Result<T> {
    row.try_get(row.len().saturating_sub(1))
        .map_err(|error| Failure::Query(error).into())
}

fn first<'a, T: FromSql<'a>>(row: &'a Row) -> Result<T> {
    row.try_get(0).map_err(|error| Failure::Query(error).into())
}
