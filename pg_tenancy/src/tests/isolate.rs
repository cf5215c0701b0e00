//! Putting a table of one's own under the wall: what it has afterwards, who sees
//! what, and where its rows get their tenant from.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::json;

    use crate::tests::support::*;

    /// A school's table, with a row for each of two companies.
    fn students() {
        run("create table public.students (
                id integer primary key, name text not null, company integer)");
        run("insert into public.students values (1, 'Ann', 10), (2, 'Bob', 20)");
    }

    fn mapping(acme: &Tenant, globex: &Tenant) -> String {
        run(&format!(
            "create table public.companies as
             select * from (values (10, '{}'::uuid), (20, '{}'::uuid)) as c (key, tenant_id)",
            acme.id, globex.id
        ));
        "mapping => 'public.companies', mapping_column => 'company'".to_owned()
    }

    fn isolate(arguments: &str) -> String {
        text(&format!("select tenancy.isolate_table({arguments})"))
    }

    fn plan(arguments: &str) -> i64 {
        number(&format!(
            "select count(*) from tenancy.plan_isolate_table({arguments})"
        ))
    }

    #[pg_test]
    fn an_empty_table_is_isolated_with_one_call() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run("create table public.notes (id uuid primary key default tenancy.uuid_v7(), body text)");
        isolate("'public.notes'");
        become_app_of(&acme);
        run("insert into notes (body) values ('ours')");
        run("reset role");
        run(&format!(
            "insert into notes (tenant_id, body) values ('{}', 'theirs')",
            globex.id
        ));
        become_role("tenancy_app");
        assert_eq!(text("select string_agg(body, ',') from notes"), "ours");
    }

    #[pg_test]
    fn a_second_call_has_no_effect() {
        take_turn();
        let acme = tenant("acme");
        students();
        let arguments = format!("'students', tenant => '{}'", acme.id);
        assert!(isolate(&arguments).contains("now"));
        let before =
            text("select string_agg(xmin::text, ',') from pg_class where relname like 'students%'");
        assert_eq!(
            isolate(&arguments),
            "public.students is isolated by \"tenant_id\" already"
        );
        assert_eq!(
            isolate("'students'"),
            "public.students is isolated by \"tenant_id\" already"
        );
        assert_eq!(plan(&arguments), 0);
        assert_eq!(
            text("select string_agg(xmin::text, ',') from pg_class where relname like 'students%'"),
            before
        );
    }

    #[pg_test]
    fn the_plan_is_what_the_call_does_and_changes_nothing_itself() {
        take_turn();
        let acme = tenant("acme");
        students();
        let arguments = format!("'students', tenant => '{}'", acme.id);
        let steps = plan(&arguments);
        assert_eq!(
            maybe("select tenancy_private.tenant_column('students')::text"),
            None
        );
        assert!(isolate(&arguments).ends_with(&format!(" {steps} statements")));
    }

    #[pg_test]
    fn every_step_of_a_plan_says_lock_work_and_purpose() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        students();
        let arguments = format!("'students', {}", mapping(&acme, &globex));
        for online in ["false", "true"] {
            assert_eq!(
                plan(&format!("{arguments}, online => {online}")),
                number(&format!(
                    "select count(*) from tenancy.plan_isolate_table({arguments}, online => {online})
                     where num_nulls(statement, lock, work, purpose) = 0 and statement <> ''"
                ))
            );
        }
        // What holds the table for long is not in the plan for a table in use.
        assert_eq!(
            number(&format!(
                "select count(*) from tenancy.plan_isolate_table({arguments}, online => true)
                 where lock like 'ACCESS EXCLUSIVE%' and work <> 'none'"
            )),
            0
        );
    }

    #[pg_test]
    fn rows_take_their_tenant_from_a_mapping() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        students();
        isolate(&format!("'students', {}", mapping(&acme, &globex)));
        become_app_of(&acme);
        assert_eq!(text("select string_agg(name, ',') from students"), "Ann");
    }

    #[pg_test]
    fn rows_take_their_tenant_from_a_query_over_text_keys() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run("create table bills (id bigint primary key, customer text)");
        run("insert into bills values (1, 'acme'), (2, 'globex')");
        isolate(
            "'bills', mapping => ' SELECT slug, id FROM tenancy.tenants', mapping_column => 'customer'",
        );
        become_app_of(&globex);
        assert_eq!(number("select id from bills"), 2);
        let _ = acme;
    }

    #[pg_test]
    fn rows_take_their_tenant_from_the_row_they_refer_to() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        students();
        run(
            "create table marks (id integer primary key, student integer not null references students, mark integer)",
        );
        run("insert into marks values (1, 1, 5), (2, 2, 6)");
        assert_eq!(
            outcome("select tenancy.isolate_table('marks', parent => 'student')"),
            "TN705"
        );
        isolate(&format!("'students', {}", mapping(&acme, &globex)));
        isolate("'marks', parent => 'student'");
        become_app_of(&acme);
        assert_eq!(number("select mark from marks"), 5);
    }

    #[pg_test]
    fn a_column_of_another_name_is_taken() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run("create table \"Bills\" (id bigint primary key, \"Customer's\" uuid)");
        run(&format!(
            "insert into \"Bills\" values (1, '{}'), (2, '{}')",
            acme.id, globex.id
        ));
        isolate("'\"Bills\"', tenant_column => 'Customer''s'");
        assert_eq!(
            text(
                "select tenant_column::text from tenancy.isolated_tables where relation = '\"Bills\"'::regclass"
            ),
            "Customer's"
        );
        become_app_of(&acme);
        assert_eq!(number("select id from \"Bills\""), 1);
        run("insert into \"Bills\" (id) values (3)");
        assert_eq!(number("select count(*) from \"Bills\""), 2);
    }

    #[pg_test]
    fn a_row_without_a_tenant_is_named_and_nothing_changes() {
        take_turn();
        let acme = tenant("acme");
        students();
        assert_eq!(
            complaint("select tenancy.isolate_table('students')"),
            "TN703 : public.students has 2 rows without a tenant that exists: id 1; id 2"
        );
        assert_eq!(
            complaint(&format!(
                "select tenancy.isolate_table('students',
                    mapping => 'select 10, ''{}''::uuid', mapping_column => 'company')",
                acme.id
            )),
            "TN703 : public.students has 1 row without a tenant that exists: id 2"
        );
        assert_eq!(
            text(
                "select string_agg(attname, ',' order by attnum) from pg_attribute where attrelid = 'students'::regclass and attnum > 0"
            ),
            "id,name,company"
        );
    }

    #[pg_test]
    fn a_tenant_that_does_not_exist_is_none() {
        take_turn();
        run("create table loose (id integer primary key, tenant_id uuid)");
        run("insert into loose values (7, tenancy.uuid_v7())");
        assert_eq!(
            complaint("select tenancy.isolate_table('loose')"),
            "TN703 : public.loose has 1 row without a tenant that exists: id 7"
        );
        assert_eq!(
            outcome("select tenancy.isolate_table('loose', tenant => tenancy.uuid_v7())"),
            "TN601"
        );
    }

    #[pg_test]
    fn filling_does_not_wake_triggers() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        students();
        run(
            "create function tests.never() returns trigger language plpgsql as
             $$ begin raise exception 'woken'; end $$",
        );
        run(
            "create trigger never before update on students for each row execute function tests.never()",
        );
        isolate(&format!("'students', {}", mapping(&acme, &globex)));
        assert_eq!(outcome("update students set name = name"), "P0001");
    }

    #[pg_test]
    fn the_row_functions_serve_it_at_once() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        students();
        isolate(&format!("'students', {}", mapping(&acme, &globex)));
        become_app_of(&acme);
        let page = answer("tenancy.list_rows('students')");
        assert_eq!(page["data"][0]["name"], "Ann");
        assert_eq!(page["data"].as_array().map(Vec::len), Some(1));
        assert_eq!(maybe("select tenancy.get_row('students', '2')::text"), None);
        let made = answer("tenancy.insert_row('students', '{\"id\": 3, \"name\": \"Cem\"}')");
        assert_eq!(made["tenantId"], json!(acme.id));
        // Another tenant's key is free in this one.
        answer("tenancy.insert_row('students', '{\"id\": 2, \"name\": \"Dan\"}')");
        assert_eq!(answer("tenancy.delete_row('students', '2')")["name"], "Dan");
        run("reset role");
        assert_eq!(text("select name from students where id = 2"), "Bob");
    }

    #[pg_test]
    fn attacks_on_an_isolated_table_fail() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        students();
        run("grant all on students to public");
        run("grant all on students to tenancy_app");
        run("create view roll as select * from students");
        run("grant select on roll to tenancy_app");
        run("create materialized view copied as select * from students");
        run("grant select on copied to tenancy_app");
        isolate(&format!("'students', {}", mapping(&acme, &globex)));
        run("create policy generous on students using (true) with check (true)");
        become_app_of(&acme);
        let other = globex.id;
        for (attempt, expected) in [
            (format!("insert into students (id, name, tenant_id) values (9, 'x', '{other}')"), "42501"),
            (format!("update students set tenant_id = '{other}'"), "42501"),
            (format!("insert into students (id, name) values (1, 'x') on conflict (tenant_id, id) do update set tenant_id = '{other}'"), "42501"),
            (format!("merge into students as s using (values (1)) as v (id) on s.id = v.id when matched then update set tenant_id = '{other}'"), "42501"),
            ("update students set name = 'x' where id = 2".to_owned(), "00000"),
            ("delete from students where id = 2".to_owned(), "00000"),
            ("truncate students".to_owned(), "42501"),
            ("create table mine (id integer references students)".to_owned(), "42501"),
            ("create trigger t after insert on students execute function tenancy_private.keep_times()".to_owned(), "42501"),
            ("alter table students disable row level security".to_owned(), "42501"),
            ("alter table students no force row level security".to_owned(), "42501"),
            ("drop policy tenant_boundary on students".to_owned(), "42501"),
            ("create index on students (name)".to_owned(), "42501"),
            ("set local row_security = off; select * from students".to_owned(), "42501"),
            ("select * from copied".to_owned(), "42501"),
            ("select tenancy.release_table('students')".to_owned(), "42501"),
            ("select tenancy.isolate_table('students')".to_owned(), "42501"),
            ("select * from tenancy.plan_isolate_table('students')".to_owned(), "42501"),
            ("call tenancy.backfill_tenant('students')".to_owned(), "42501"),
            ("select * from tenancy.isolated_tables".to_owned(), "42501"),
        ] {
            assert_eq!(outcome(&attempt), expected, "{attempt}");
        }
        assert_eq!(text("select string_agg(name, ',') from roll"), "Ann");
        assert_eq!(number("select count(*) from students where id = 2"), 0);
        run("reset role");
        assert_eq!(
            text("select string_agg(concat(name, ' ', tenant_id = company_of.tenant), ',' order by id) from students, lateral (select case id when 1 then '{acme}'::uuid else '{globex}' end as tenant) as company_of"
                .replace("{acme}", &acme.id.to_string())
                .replace("{globex}", &globex.id.to_string())
                .as_str()),
            "Ann t,Bob t"
        );
    }

    #[pg_test]
    fn without_a_tenant_it_is_closed_also_for_its_owner() {
        take_turn();
        let acme = tenant("acme");
        run("create role teacher");
        students();
        run("alter table students owner to teacher");
        isolate(&format!("'students', tenant => '{}'", acme.id));
        become_role("teacher");
        assert_eq!(number("select count(*) from students"), 0);
        for role in ["teacher", "tenancy_app", "tenancy_gateway"] {
            become_role(role);
            let read = outcome("select * from students");
            let expected = if role == "teacher" { "00000" } else { "TN001" };
            assert_eq!(read, expected, "{role}");
            let write = outcome("insert into students values (4, 'x')");
            assert_ne!(write, "00000", "{role}");
        }
        run("reset role");
        assert_eq!(number("select count(*) from students"), 2);
    }

    #[pg_test]
    fn own_policies_stay_and_no_other_widens_them() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        students();
        run("create policy only_a on students using (name like 'A%')");
        isolate(&format!("'students', tenant => '{}'", acme.id));
        become_app_of(&acme);
        assert_eq!(text("select string_agg(name, ',') from students"), "Ann");
        let _ = globex;
    }

    #[pg_test]
    fn a_table_whose_dba_brings_policies_gets_none() {
        take_turn();
        let acme = tenant("acme");
        students();
        isolate(&format!(
            "'students', tenant => '{}', policy => false",
            acme.id
        ));
        become_app_of(&acme);
        assert_eq!(number("select count(*) from students"), 0);
    }

    #[pg_test]
    fn hand_made_policies_are_replaced_when_told_to() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run("create table docs (id integer primary key, tenant_id uuid not null, body text)");
        run("alter table docs enable row level security");
        run("create policy tenant_isolation on docs
             using (tenant_id = current_setting('app.current_tenant_id', true)::uuid)");
        run("create policy tenant_boundary on docs using (true)");
        run(&format!(
            "insert into docs values (1, '{}', 'ours'), (2, '{}', 'theirs')",
            acme.id, globex.id
        ));
        isolate("'docs', replace_policies => true");
        assert_eq!(
            text(
                "select string_agg(polname, ',' order by polname) from pg_policy where polrelid = 'docs'::regclass"
            ),
            "all_in_tenant,tenant_boundary"
        );
        assert_eq!(plan("'docs', replace_policies => true"), 0);
        become_app_of(&acme);
        run(&format!(
            "set local app.current_tenant_id = '{}'",
            globex.id
        ));
        assert_eq!(text("select string_agg(body, ',') from docs"), "ours");
    }

    #[pg_test]
    fn a_serial_and_an_identity_number_new_rows() {
        take_turn();
        let acme = tenant("acme");
        run("create schema \"The School\"");
        run(
            "create table \"The School\".\"order\" (id serial primary key, \"select\" integer generated always as identity)",
        );
        isolate("'\"The School\".\"order\"'");
        become_app_of(&acme);
        run("insert into \"The School\".\"order\" default values");
        assert_eq!(number("select id::bigint from \"The School\".\"order\""), 1);
        assert_eq!(
            outcome("select setval('\"The School\".order_id_seq', 99)"),
            "42501"
        );
    }

    #[pg_test]
    fn an_index_leads_with_the_tenant() {
        take_turn();
        run("create table plain (v integer)");
        run("create table led (tenant_id uuid, v integer)");
        run("create index led_by_tenant on led (tenant_id, v)");
        isolate("'plain'");
        isolate("'led'");
        assert_eq!(
            text("select string_agg(indexdef, ';') from pg_indexes where tablename = 'plain'"),
            "CREATE INDEX plain_tenant_id_idx ON public.plain USING btree (tenant_id)"
        );
        assert_eq!(
            number("select count(*) from pg_indexes where tablename = 'led'"),
            1
        );
    }
}
