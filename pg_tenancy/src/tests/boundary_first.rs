//! Nothing happens for another tenant's row, not even what PostgreSQL allows.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// acme has five rows, globex one whose title is "secret".
    fn shop() -> Tenant {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run("create schema shop;
             create table shop.docs (id int primary key, title text, n int);
             create table shop.notes (id int primary key, doc_id int, words text)");
        run("select tenancy.isolate_table('shop.docs'), tenancy.isolate_table('shop.notes')");
        run(&format!(
            "insert into shop.docs (tenant_id, id, title, n)
             select '{0}', i, 'mine ' || i, i from generate_series(1, 5) as i;
             insert into shop.docs (tenant_id, id, title, n) values ('{1}', 100, 'secret', 100);
             insert into shop.notes (tenant_id, id, doc_id, words) values ('{0}', 1, 1, 'ours'), ('{1}', 2, 100, 'theirs');
             grant usage on schema shop to public;
             create function shop.count_me(key bigint) returns boolean language plpgsql volatile cost 0.0001 as $$
             begin
                 perform pg_advisory_xact_lock(key);
                 return true;
             end $$",
            acme.id, globex.id
        ));
        run("create index on shop.docs (title);
             create index on shop.docs (n);
             analyze shop.docs;
             analyze shop.notes");
        become_app_of(&acme);
        acme
    }

    /// Whether a query has the session take the advisory lock 77, which stays until the
    /// end: each query its own key.
    fn takes_a_lock(query: &str, key: i64) -> bool {
        run(&format!(
            "do $do$ begin perform from ({query}) as q; end $do$"
        ));
        number(&format!(
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and objid = {key}"
        )) > 0
    }

    #[pg_test]
    fn a_condition_that_asks_no_column_is_not_asked_for_others_rows() {
        shop();
        let mut key = 1000;
        for scan in [
            "enable_indexscan = off; set local enable_bitmapscan = off",
            "enable_seqscan = off",
            "enable_seqscan = on",
        ] {
            run(&format!("set local {scan}"));
            for (tables, right, wrong) in [
                ("shop.docs", "title >= 'secret'", "title >= 'secreu'"),
                ("shop.docs", "not title < 'secret'", "not title < 'secreu'"),
                ("shop.docs", "title = 'secret'", "title = 'nobody'"),
                (
                    "shop.docs as d join shop.notes as t on t.id = d.id",
                    "d.title = 'secret'",
                    "d.title = 'nobody'",
                ),
                (
                    "shop.docs as d left join shop.notes as t on t.id = d.id",
                    "d.title = 'secret'",
                    "d.title = 'nobody'",
                ),
                (
                    "tenancy.users",
                    "email = 'owner@globex.example'",
                    "email = 'nobody@globex.example'",
                ),
                ("tenancy.tenants", "slug = 'globex'", "slug = 'nobody'"),
            ] {
                // What is asked for the tenant's own rows is asked either way.
                for lock in [
                    "pg_try_advisory_xact_lock(KEY)",
                    "(id is null or pg_try_advisory_xact_lock(KEY))",
                    "shop.count_me(KEY)",
                ] {
                    if lock.contains("id is null") && tables != "shop.docs" {
                        continue;
                    }
                    let asked = [right, wrong].map(|condition| {
                        key += 1;
                        let lock = lock.replace("KEY", &key.to_string());
                        takes_a_lock(
                            &format!("select from {tables} where {condition} and {lock}"),
                            key,
                        )
                    });
                    assert_eq!(asked[0], asked[1], "{scan}: {tables} {right} {lock}");
                    let either = [right, wrong].map(|condition| {
                        key += 1;
                        let lock = lock.replace("KEY", &key.to_string());
                        takes_a_lock(
                            &format!("select from {tables} where not ({condition}) or {lock}"),
                            key,
                        )
                    });
                    assert_eq!(either, [false; 2], "{scan}: {tables} {right} {lock}");
                }
            }
        }
        // The same sees the tenant's own.
        assert!(takes_a_lock(
            "select from shop.docs where title = 'mine 1' and pg_try_advisory_xact_lock(1)",
            1
        ));
    }

    #[pg_test]
    fn an_error_tells_nothing_of_others_rows() {
        shop();
        run("set local plan_cache_mode = force_generic_plan");
        for scan in [
            "enable_indexscan = off; set local enable_bitmapscan = off",
            "enable_seqscan = off",
            "enable_seqscan = on",
        ] {
            run(&format!("set local {scan}"));
            for condition in [
                "title = 'secret' and n = 1 / zero + id",
                "title >= 'secret' and (id < 0 or id = 1 / zero)",
                "title > 'n' and n::bigint <> 1 / zero",
            ] {
                let query = format!(
                    "do $do$ declare zero int := 0; begin perform from shop.docs where {condition}; end $do$"
                );
                assert_eq!(outcome(&query), "00000", "{scan}: {condition}");
            }
        }
    }
}
