//! Words for tests of whole products: their tables isolated, attacked, served,
//! dumped, released.

use serde_json::Value;
use tests::{Database, Person, World};
use tokio_postgres::Client;

/// A product's tables in a world with three tenants.
pub struct Product {
    pub world: World,
    pub dba: Client,
    tables: &'static [&'static str],
}

impl Product {
    pub async fn new(tables: &'static [&'static str]) -> Self {
        let world = World::new().await;
        let dba = world.database.superuser().await;
        Self { world, dba, tables }
    }

    pub async fn run(&self, sql: &str) {
        self.dba.batch_execute(sql).await.expect(sql);
    }

    /// Every row of every table, as the DBA sees it.
    pub async fn digests(&self) -> Vec<String> {
        digests(&self.dba, self.tables).await
    }

    /// What tenancy.isolated_tables says of these tables.
    pub async fn isolated(&self) -> Vec<String> {
        isolated(&self.dba, self.tables).await
    }

    pub async fn assert_sound(&self) {
        assert_sound(&self.dba, self.tables).await;
    }

    /// Dumped, restored elsewhere: the same rows, as well isolated.
    pub async fn restored(&self) -> Database {
        let backup = self.world.database.login(&["tenancy_backup"]).await;
        let dump = self.world.database.dump(&backup);
        let restored = Database::empty(self.world.database.cluster).await;
        restored.restore(&dump);

        let dba = restored.superuser().await;
        assert_eq!(digests(&dba, self.tables).await, self.digests().await);
        assert_eq!(isolated(&dba, self.tables).await, self.isolated().await);
        assert_sound(&dba, self.tables).await;
        restored
    }

    /// Released, one after the other: the rows stay, and nobody but the DBA comes to them.
    pub async fn release(&self, person: &Person<'_>) {
        let before = self.digests().await;
        for table in self.tables {
            self.run(&format!("select tenancy.release_table('{table}')"))
                .await;
        }
        assert_eq!(self.digests().await, before);
        assert_eq!(self.isolated().await, Vec::<String>::new());
        for table in self.tables {
            let refusal = Session::of(&self.world.database, person)
                .await
                .refusal(&format!("select count(*) from {table}"))
                .await;
            assert_eq!(refusal, "42501", "{table}");
        }
    }
}

async fn digests(dba: &Client, tables: &[&str]) -> Vec<String> {
    let mut digests = Vec::new();
    for table in tables {
        let query = format!(
            "select concat('{table} ', count(*), ' ', md5(string_agg(t::text, '|' order by t::text collate \"C\"))) from {table} as t"
        );
        digests.push(dba.query_one(&query, &[]).await.expect(&query).get(0));
    }
    digests
}

async fn isolated(dba: &Client, tables: &[&str]) -> Vec<String> {
    let query = "select format('%s by %s', relation, tenant_column) from tenancy.isolated_tables
        where relation = any ($1::text[]::regclass[]) order by 1";
    let rows = dba.query(query, &[&tables]).await.expect(query);
    rows.iter().map(|row| row.get(0)).collect()
}

async fn assert_sound(dba: &Client, tables: &[&str]) {
    for table in tables {
        let query = "select concat(attack, ': ', outcome, ': ', detail)
            from tenancy.assert_isolated($1::text::regclass)
            where outcome <> 'held' and attack <> 'copy'";
        let rows = dba.query(query, &[table]).await.expect(table);
        let findings: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(findings, Vec::<String>::new(), "{table}");
    }
}

/// SQL of an application that has entered a person's tenant.
pub struct Session {
    client: Client,
    token: String,
}

impl Session {
    pub async fn of(database: &Database, person: &Person<'_>) -> Self {
        Self {
            client: database.connect(&database.api_login).await,
            token: person.token.clone(),
        }
    }

    /// What a row function answers.
    pub async fn answer(&self, call: &str) -> Value {
        let query = format!("select ({call})::text from tenancy.enter($1)");
        let row = self
            .client
            .query_one(&query, &[&self.token])
            .await
            .expect(call);
        row.get::<_, Option<String>>(0)
            .map_or(Value::Null, |text| serde_json::from_str(&text).expect(call))
    }

    /// The one number of a query.
    pub async fn number(&mut self, query: &str) -> i64 {
        let transaction = self.client.transaction().await.expect("a transaction");
        transaction
            .execute("select tenancy.enter($1)", &[&self.token])
            .await
            .expect("the token is good");
        let row = transaction.query_one(query, &[]).await.expect(query);
        transaction.commit().await.expect(query);
        row.get(0)
    }

    /// The SQLSTATE of a statement that is refused.
    pub async fn refusal(&mut self, statement: &str) -> String {
        let transaction = self.client.transaction().await.expect("a transaction");
        transaction
            .execute("select tenancy.enter($1)", &[&self.token])
            .await
            .expect("the token is good");
        let error = transaction
            .execute(statement, &[])
            .await
            .expect_err(statement);
        error.code().expect(statement).code().to_owned()
    }
}
