//! Taking a table out from under the wall again.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    fn students() -> Tenant {
        let acme = tenant("acme");
        run("create table students (id serial primary key, name text)");
        run(
            "create table marks (id integer primary key, student integer references students on delete set null)",
        );
        run("insert into students (name) values ('Ann')");
        run("insert into marks values (1, 1)");
        for table in ["students", "marks"] {
            text(&format!(
                "select tenancy.isolate_table('{table}', tenant => '{}')",
                acme.id
            ));
        }
        acme
    }

    fn definition(constraint: &str) -> String {
        text(&format!(
            "select pg_get_constraintdef(oid) from pg_constraint where conname = '{constraint}'"
        ))
    }

    #[pg_test]
    fn a_released_table_works_as_before_and_keeps_rows_and_column() {
        take_turn();
        let acme = students();
        text("select tenancy.release_table('students')");
        assert_eq!(
            text("select concat(id, name, tenant_id) from students"),
            format!("1Ann{}", acme.id)
        );
        assert_eq!(definition("students_pkey"), "PRIMARY KEY (id)");
        assert_eq!(
            definition("marks_student_fkey"),
            "FOREIGN KEY (student) REFERENCES students(id) ON DELETE SET NULL (student)"
        );
        run("insert into students (name) values ('Bob')");
        assert_eq!(
            number("select count(*) from pg_policy where polrelid = 'students'::regclass"),
            0
        );
        assert_eq!(
            number(
                "select count(*) from pg_class where relname = 'students' and (relrowsecurity or relforcerowsecurity)"
            ),
            0
        );
        assert_eq!(
            text(
                "select string_agg(relation::text, ',') from tenancy.isolated_tables where relation::text in ('students', 'marks')"
            ),
            "marks"
        );
    }

    #[pg_test]
    fn the_application_does_not_see_a_released_table() {
        take_turn();
        let acme = students();
        text("select tenancy.release_table('students')");
        become_app_of(&acme);
        assert_eq!(outcome("select * from students"), "42501");
        assert_eq!(number("select count(*) from marks"), 1);
    }

    #[pg_test]
    fn what_still_refers_to_isolated_rows_names_its_tenant() {
        take_turn();
        students();
        text("select tenancy.release_table('marks')");
        assert_eq!(
            definition("marks_student_fkey"),
            "FOREIGN KEY (tenant_id, student) REFERENCES students(tenant_id, id) ON DELETE SET NULL (student)"
        );
        assert_eq!(outcome("insert into marks values (2, 1)"), "23502");
    }

    #[pg_test]
    fn a_table_can_be_isolated_again() {
        take_turn();
        students();
        for _ in 0..2 {
            text("select tenancy.release_table('students')");
            text("select tenancy.isolate_table('students')");
            assert_eq!(definition("students_pkey"), "PRIMARY KEY (tenant_id, id)");
            assert!(definition("marks_student_fkey").contains("(tenant_id, student)"));
        }
    }

    #[pg_test]
    fn a_key_that_only_the_tenant_makes_unique_is_kept_when_told_to() {
        take_turn();
        students();
        let globex = tenant("globex");
        run(&format!(
            "insert into students (id, name, tenant_id) values (1, 'Cem', '{}')",
            globex.id
        ));
        assert_eq!(
            complaint("select tenancy.release_table('students')"),
            "TN709 : more than one tenant has a row of public.students with the key 1"
        );
        assert_eq!(
            text("select tenancy_private.tenant_column('students')::text"),
            "tenant_id"
        );
        text("select tenancy.release_table('students', keep_keys => true)");
        assert_eq!(definition("students_pkey"), "PRIMARY KEY (tenant_id, id)");
        assert_eq!(number("select count(*) from students"), 2);
    }

    #[pg_test]
    fn own_policies_survive_a_release() {
        take_turn();
        students();
        run("create policy own on students using (true)");
        text("select tenancy.release_table('students')");
        assert_eq!(
            text(
                "select string_agg(polname, ',') from pg_policy where polrelid = 'students'::regclass"
            ),
            "own"
        );
        assert_eq!(
            number("select count(*) from pg_class where relname = 'students' and relrowsecurity"),
            1
        );
    }

    #[pg_test]
    fn a_table_of_one_row_per_tenant_keeps_its_key() {
        take_turn();
        let acme = tenant("acme");
        run("create table companies (id uuid primary key, name text)");
        run(
            "create table bills (id integer primary key, company_id uuid not null references companies)",
        );
        run(&format!(
            "insert into companies values ('{0}', 'x'); insert into bills values (1, '{0}')",
            acme.id
        ));
        text("select tenancy.isolate_table('companies', tenant_column => 'id')");
        text("select tenancy.isolate_table('bills', tenant_column => 'company_id')");
        assert_eq!(
            definition("bills_company_id_fkey"),
            "FOREIGN KEY (company_id) REFERENCES companies(id)"
        );
        for table in ["companies", "bills"] {
            text(&format!("select tenancy.release_table('{table}')"));
        }
        assert_eq!(definition("companies_pkey"), "PRIMARY KEY (id)");
        assert_eq!(definition("bills_pkey"), "PRIMARY KEY (id)");
        assert_eq!(outcome("insert into bills values (2, null)"), "23502");
    }

    #[pg_test]
    fn partitions_are_released_with_their_table() {
        take_turn();
        run(
            "create table events (id bigint, at date, primary key (id, at)) partition by range (at)",
        );
        run(
            "create table events_20 partition of events for values from ('2020-01-01') to ('2021-01-01')",
        );
        text("select tenancy.isolate_table('events')");
        assert_eq!(
            outcome("select tenancy.release_table('events_20')"),
            "TN701"
        );
        text("select tenancy.release_table('events')");
        assert_eq!(
            number(
                "select count(*) from tenancy.isolated_tables where relation::text like 'events%'"
            ),
            0
        );
        run("insert into events values (1, '2020-02-02')");
    }

    #[pg_test]
    fn what_is_not_isolated_is_not_released() {
        take_turn();
        run("create table plain (id integer)");
        assert_eq!(outcome("select tenancy.release_table('plain')"), "TN708");
        assert_eq!(
            outcome("select tenancy.release_table('tenancy.tasks')"),
            "TN701"
        );
    }
}
