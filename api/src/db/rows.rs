//! The statements of what is exposed: one set for all resources, whose names are parameters.
//!
//! These are most of what the service asks, so they enter in the select list, which
//! PostgreSQL evaluates from left to right: `from tenancy.enter($1)` would cost it a scan
//! with a store of its rows. That holds for functions that are VOLATILE, as all of these
//! are; and one that ran before its tenant was entered would refuse, with TN001.

use tokio_postgres::types::Type;

use super::{Call, Db, Json, last};
use crate::caller::Caller;
use crate::error::of_function;
use crate::problem::Result;

const LIST: &str = "select tenancy.enter($1), tenancy.list_resource($2, $3)";
const GET: &str = "select tenancy.enter($1), tenancy.get_resource($2, $3, $4)";
const INSERT: &str = "select tenancy.enter($1), tenancy.insert_resource($2, $3)";
const INSERT_ONCE: &str = "select tenancy.enter($1), tenancy.insert_resource_once($2, $3, $4)";
const UPDATE: &str = "select tenancy.enter($1), tenancy.update_resource($2, $3, $4, $5)";
const DELETE: &str = "select tenancy.enter($1), tenancy.delete_resource($2, $3, $4)";
const RESTORE: &str = "select tenancy.enter($1), tenancy.restore_resource($2, $3)";
const CALL: &str = "select tenancy.enter($1), tenancy.call_function($2, $3)";
const CALL_ONCE: &str = "select tenancy.enter($1), tenancy.call_function_once($2, $3, $4)";

/// Which row: the values of its key, as texts.
pub type Id = Vec<String>;

impl Db {
    pub async fn list(&self, caller: Caller, resource: String, query: Json) -> Result<Json> {
        let call = Call::of(caller, LIST)
            .with(Type::TEXT, resource)
            .with(Type::JSON, query);
        self.answer(call).await
    }

    pub async fn get(&self, caller: Caller, resource: String, id: Id, query: Json) -> Result<Json> {
        let call = Call::of(caller, GET)
            .with(Type::TEXT, resource)
            .with(Type::TEXT_ARRAY, id)
            .with(Type::JSON, query);
        self.answer(call).await
    }

    /// One row, or all of an array. With a key: once under that key.
    pub async fn insert(
        &self,
        caller: Caller,
        resource: String,
        body: Json,
        key: Option<String>,
    ) -> Result<Json> {
        let statement = if key.is_some() { INSERT_ONCE } else { INSERT };
        let call = Call::of(caller, statement)
            .with(Type::TEXT, resource)
            .with(Type::JSON, body);
        self.answer(once(call, key)).await
    }

    /// Where tags are given, only a row that has one of them now.
    pub async fn update(
        &self,
        caller: Caller,
        resource: String,
        id: Id,
        fields: Json,
        tags: Option<Vec<String>>,
    ) -> Result<Json> {
        let call = Call::of(caller, UPDATE)
            .with(Type::TEXT, resource)
            .with(Type::TEXT_ARRAY, id)
            .with(Type::JSON, fields)
            .with(Type::TEXT_ARRAY, tags);
        self.answer(call).await
    }

    pub async fn delete(
        &self,
        caller: Caller,
        resource: String,
        id: Id,
        tags: Option<Vec<String>>,
    ) -> Result<Json> {
        let call = Call::of(caller, DELETE)
            .with(Type::TEXT, resource)
            .with(Type::TEXT_ARRAY, id)
            .with(Type::TEXT_ARRAY, tags);
        self.answer(call).await
    }

    pub async fn restore(&self, caller: Caller, resource: String, id: Id) -> Result<Json> {
        let call = Call::of(caller, RESTORE)
            .with(Type::TEXT, resource)
            .with(Type::TEXT_ARRAY, id);
        self.answer(call).await
    }

    /// What a function answers; `None` where it answers nothing.
    pub async fn call_function(
        &self,
        caller: Caller,
        function: String,
        arguments: Json,
        key: Option<String>,
    ) -> Result<Option<Json>> {
        let statement = if key.is_some() { CALL_ONCE } else { CALL };
        let call = Call::of(caller, statement)
            .with(Type::TEXT, function)
            .with(Type::JSON, arguments);
        let row = self.pool().row(once(call, key)).await;
        last(&row.map_err(of_function)?)
    }
}

fn once(call: Call, key: Option<String>) -> Call {
    match key {
        Some(key) => call.with(Type::TEXT, key),
        None => call,
    }
}
