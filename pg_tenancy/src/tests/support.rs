//! Words for the tests: people, tenants, and how a statement ends.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pgrx::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

pub const SECRET: &str = "a secret of the tests, which is long enough";

extension_sql!(
    r"
    -- How a statement ends: its SQLSTATE, or 00000 and its effects.
    create function tests.outcome(statement text) returns text language plpgsql as $$
    begin
        execute statement;
        return '00000';
    exception when others then
        return sqlstate;
    end $$;

    -- What it says when it fails.
    create function tests.complaint(statement text) returns text language plpgsql as $$
    declare
        field text;
    begin
        execute statement;
        return null;
    exception when others then
        get stacked diagnostics field = column_name;
        return sqlstate || ' ' || field || ': ' || sqlerrm;
    end $$;

    create table tests.turn ();

    -- The lines of a plan.
    create function tests.plan(query text) returns setof text language plpgsql as $$
    begin
        return query execute 'explain (costs off) ' || query;
    end $$;
    create function tests.estimate(query text) returns setof text language plpgsql as $$
    begin
        return query execute 'explain ' || query;
    end $$;
    grant usage on schema tests to public;
    ",
    name = "test_support",
    requires = [tests]
);

#[pg_schema]
mod tests {}

/// A tenant and its owner, who has a token.
pub struct Tenant {
    pub id: Uuid,
    pub owner: Uuid,
    pub project: Uuid,
}

/// Waits until no other test is under way: they use the same names, and would
/// wait for each other in circles.
pub fn take_turn() {
    run("lock table tests.turn in share row exclusive mode");
}

/// Registers a tenant of that name, whose owner is `owner@NAME.example`.
pub fn tenant(name: &str) -> Tenant {
    take_turn();
    let row = text(&format!(
        "select concat(tenant_id, ' ', user_id)
         from tenancy.register_tenant('{name}', null, 'owner@{name}.example')"
    ));
    let mut ids = row.split(' ').map(|id| id.parse().expect("an id"));
    let (id, owner): (Uuid, Uuid) = (ids.next().expect("two"), ids.next().expect("two"));
    let project = text(&format!(
        "select id::text from tenancy.projects where tenant_id = '{id}'"
    ));
    Tenant {
        id,
        owner,
        project: project.parse().expect("an id"),
    }
}

impl Tenant {
    /// A new task of this tenant, made by the DBA; its id.
    pub fn task(&self, title: &str) -> Uuid {
        text(&format!(
            "insert into tenancy.tasks (tenant_id, title) values ('{}', '{title}') returning id::text",
            self.id
        ))
        .parse()
        .expect("an id")
    }

    pub fn claims(&self) -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({
            "sub": self.owner, "tenantId": self.id, "email": "owner@example.com",
            "role": "owner", "iat": now, "exp": now + 3600, "jti": Uuid::new_v4(),
        })
    }

    pub fn token(&self) -> String {
        sign(&self.claims(), "test", SECRET)
    }

    /// A token that belongs to a session.
    pub fn token_of(&self, session: &str) -> String {
        let mut claims = self.claims();
        claims["sid"] = json!(session);
        sign(&claims, "test", SECRET)
    }

    /// The owner logs in here.
    pub fn log_in(&self) -> Login {
        self.log_in_as(self.owner)
    }

    /// A person logs in here.
    pub fn log_in_as(&self, person: Uuid) -> Login {
        let row = text(&format!(
            "select concat(session_id, ' ', refresh_token)
             from tenancy.start_session('{}', '{}', 'a browser', '192.0.2.1')",
            word(person, "session"),
            self.id
        ));
        let (session, refresh) = row.split_once(' ').expect("two");
        let mut claims = self.claims();
        claims["sub"] = json!(person);
        claims["sid"] = json!(session);
        Login {
            session: session.to_owned(),
            token: sign(&claims, "test", SECRET),
            refresh: refresh.to_owned(),
        }
    }

    /// Makes somebody a member.
    pub fn add_member(&self, person: Uuid, role: &str) {
        run(&format!(
            "insert into tenancy.memberships (tenant_id, user_id, role, created_at)
             values ('{}', '{person}', '{role}', now() + interval '1 day')",
            self.id
        ));
    }
}

/// A session, its access token and its first refresh token.
pub struct Login {
    pub session: String,
    pub token: String,
    pub refresh: String,
}

/// A word of the service about a person, for a purpose; a new one each time.
pub fn word(person: Uuid, purpose: &str) -> String {
    let now = jsonwebtoken::get_current_timestamp();
    let claims = json!({
        "sub": person, "tenantId": Uuid::nil(), "purpose": purpose,
        "iat": now, "exp": now + 60, "jti": Uuid::new_v4(),
    });
    sign(&claims, "test", SECRET)
}

/// The key that the tokens of these tests are signed with. This connection counts as
/// clean, as one does that has entered before.
pub fn add_key() {
    take_turn();
    crate::residue::count_as_clean();
    run(&format!(
        "select tenancy.add_signing_key('{SECRET}', 'test')"
    ));
}

pub fn sign(claims: &Value, kid: &str, secret: &str) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(
        &header,
        claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .expect("a token")
}

/// Goes on as that role.
pub fn become_role(role: &str) {
    run(&format!("set local role {role}"));
}

/// Goes on as an application whose tenant this is.
pub fn become_app_of(tenant: &Tenant) {
    become_role("tenancy_gateway");
    run(&format!(
        "select tenancy.set_tenant_context('{}')",
        tenant.id
    ));
    become_role("tenancy_app");
}

pub fn run(sql: &str) {
    Spi::run(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The one value of a query, which is not NULL, as text.
pub fn text(sql: &str) -> String {
    maybe(sql).unwrap_or_else(|| panic!("{sql}: null"))
}

/// The one value of a query, as text; `None` for NULL or no row.
pub fn maybe(sql: &str) -> Option<String> {
    match Spi::get_one::<String>(sql) {
        Ok(value) => value,
        Err(pgrx::spi::Error::InvalidPosition) => None,
        Err(error) => panic!("{sql}: {error}"),
    }
}

pub fn number(sql: &str) -> i64 {
    Spi::get_one::<i64>(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .unwrap_or_else(|| panic!("{sql}: null"))
}

/// How a statement ends: its SQLSTATE, or `00000` and its effects.
pub fn outcome(sql: &str) -> String {
    Spi::get_one_with_args::<String>("select tests.outcome($1)", &[sql.into()])
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .unwrap_or_default()
}

/// `SQLSTATE field: message` of a statement that fails.
pub fn complaint(sql: &str) -> String {
    Spi::get_one_with_args::<String>("select tests.complaint($1)", &[sql.into()])
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .unwrap_or_else(|| panic!("{sql}: no error"))
}

/// A row function's answer.
pub fn answer(sql: &str) -> Value {
    serde_json::from_str(&text(&format!("select ({sql})::text"))).expect("JSON")
}

/// A new member of the tenant, `NAME@TENANT'S ID.example`.
pub fn member(tenant: &Tenant, name: &str, role: &str) -> Uuid {
    let id: Uuid = text(&format!(
        "insert into tenancy.users (email) values ('{name}@{}.example') returning id::text",
        tenant.id
    ))
    .parse()
    .expect("an id");
    run(&format!(
        "insert into tenancy.memberships (tenant_id, user_id, role) values ('{}', '{id}', '{role}')",
        tenant.id
    ));
    id
}

/// Goes on as the DBA, in no tenant. Only a superuser can leave a context, and not
/// a viewer's: the transaction stays read-only.
pub fn become_dba() {
    run("reset role");
    run("set local pg_tenancy.context = ''");
}

/// Goes on as an application in which that person has entered the tenant.
pub fn become_person(tenant: &Tenant, person: Uuid) {
    become_dba();
    become_role("tenancy_gateway");
    run(&format!(
        "select tenancy.set_tenant_context('{}', '{person}')",
        tenant.id
    ));
    become_role("tenancy_app");
}

/// An access token of that person in that tenant.
pub fn token_of(tenant: &Tenant, person: Uuid) -> String {
    let mut claims = tenant.claims();
    claims["sub"] = json!(person);
    sign(&claims, "test", SECRET)
}

/// One that is good as a stored password.
pub const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA";

/// The call of `list_rows` for that query.
pub fn list_call(relation: &str, query: &Value) -> String {
    format!(
        "select tenancy.list_rows('{relation}', {})",
        pgrx::spi::quote_literal(query.to_string())
    )
}

/// A page of a list.
pub fn list(relation: &str, query: &Value) -> Value {
    answer(&list_call(relation, query))
}

/// The rows of all pages of a list, walked by cursor, and how many pages there were.
pub fn walk(relation: &str, query: &Value) -> (Vec<Value>, usize) {
    let mut rows = Vec::new();
    let mut query = query.clone();
    for pages in 1..1_000 {
        let page = list(relation, &query);
        rows.extend(page["data"].as_array().expect("rows").clone());
        match page.get("nextCursor") {
            Some(cursor) => query["cursor"] = cursor.clone(),
            None => return (rows, pages),
        }
    }
    panic!("a walk without end")
}
