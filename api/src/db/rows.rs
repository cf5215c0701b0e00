//! The statements of the row functions: one set for each table.

use std::sync::Arc;

use tokio_postgres::types::Type;

use super::{Call, Db, Json};
use crate::caller::Caller;
use crate::problem::Result;

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

impl Db {
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
