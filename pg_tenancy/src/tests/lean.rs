//! What an execution takes beside its plan goes with it.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// A function's statements share the memory of the query that calls it.
    #[pg_test]
    fn a_function_that_reads_a_row_many_times_takes_no_more_memory() {
        let acme = tenant("acme");
        run("create table tests.notes (id int primary key, title text);
             select tenancy.isolate_table('tests.notes');
             create function tests.title_of(wanted int) returns text language sql volatile
             as 'select title from tests.notes where id = wanted';
             create function tests.memory() returns bigint language sql volatile
             security definer set search_path = pg_catalog
             as 'select sum(total_bytes)::bigint from pg_backend_memory_contexts'");
        run(&format!(
            "insert into tests.notes (tenant_id, id, title) values ('{}', 1, 'one')",
            acme.id
        ));
        become_app_of(&acme);
        let growth = number(
            "select max(x.memory) - min(x.memory) + 0 * count(x.title)
             from (select n, tests.title_of(1) as title,
                       case when n in (1000, 41000) then tests.memory() end as memory
                   from generate_series(1, 41000) as n) as x",
        );
        assert!(growth < 1_000_000, "{growth} bytes");
    }
}
