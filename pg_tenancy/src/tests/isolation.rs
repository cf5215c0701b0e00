//! The wall: everything that one tenant's SQL could try on another's rows.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    #[pg_test]
    fn a_tenant_reads_its_own_rows_and_no_others() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.task("ours");
        globex.task("theirs");
        become_app_of(&acme);
        assert_eq!(
            text("select string_agg(title, ',') from tenancy.tasks"),
            "ours"
        );
        assert_eq!(
            text("select string_agg(id::text, ',') from tenancy.projects"),
            acme.project.to_string()
        );
        assert_eq!(
            text("select string_agg(slug, ',') from tenancy.tenants"),
            "acme"
        );
        assert_eq!(
            text("select string_agg(user_id::text, ',') from tenancy.memberships"),
            acme.owner.to_string()
        );
        assert_eq!(
            text("select string_agg(email, ',') from tenancy.users"),
            "owner@acme.example"
        );
    }

    #[pg_test]
    fn a_tenant_changes_nothing_of_another() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let ours = acme.task("ours");
        let theirs = globex.task("theirs");
        become_app_of(&acme);
        let other = globex.id;
        for (attempt, expected) in [
            (format!("insert into tenancy.tasks (tenant_id, title) values ('{other}', 'x')"), "42501"),
            (format!("insert into tenancy.projects (tenant_id, title) values ('{other}', 'x')"), "42501"),
            (format!("update tenancy.tasks set title = 'x' where id = '{theirs}'"), "00000"),
            (format!("delete from tenancy.tasks where id = '{theirs}'"), "00000"),
            // The tenant's column is not granted for update at all.
            (format!("update tenancy.tasks set tenant_id = '{other}' where id = '{ours}'"), "42501"),
            (format!("insert into tenancy.tasks (id, title) values ('{theirs}', 'x')"), "42501"),
            ("truncate tenancy.tasks".to_owned(), "42501"),
            ("truncate tenancy.projects cascade".to_owned(), "42501"),
            ("create trigger spy after insert on tenancy.tasks execute function tenancy_private.keep_times()".to_owned(), "42501"),
            ("create index on tenancy.tasks (title)".to_owned(), "42501"),
            ("alter table tenancy.tasks disable row level security".to_owned(), "42501"),
            ("alter table tenancy.tasks no force row level security".to_owned(), "42501"),
            ("drop policy tenant_boundary on tenancy.tasks".to_owned(), "42501"),
            ("create policy open on tenancy.tasks using (true)".to_owned(), "42501"),
            ("set local row_security = off; select * from tenancy.tasks".to_owned(), "42501"),
            ("copy tenancy.tasks (tenant_id) from program 'true'".to_owned(), "42501"),
            ("update tenancy.users set email = 'x@y.z'".to_owned(), "42501"),
            ("insert into tenancy.memberships (user_id) values (tenancy.uuid_v7())".to_owned(), "42501"),
            ("update tenancy.memberships set role = 'owner'".to_owned(), "42501"),
            ("update tenancy.tenants set status = 'active'".to_owned(), "42501"),
            ("select password_hash from tenancy.users".to_owned(), "42501"),
            ("select * from tenancy.audit_log".to_owned(), "42501"),
            ("select * from tenancy.platform_administrators".to_owned(), "42501"),
            ("select tenancy_private.slug_of('x')".to_owned(), "42501"),
            ("select tenancy.report_tenants()".to_owned(), "42501"),
            ("select tenancy.find_credentials('owner@globex.example')".to_owned(), "42501"),
            ("select tenancy.register_tenant('x')".to_owned(), "42501"),
            (format!("select tenancy.suspend_tenant('{other}', 'x')"), "42501"),
        ] {
            assert_eq!(outcome(&attempt), expected, "{attempt}");
        }
        run("reset role");
        assert_eq!(
            text("select string_agg(title, ',' order by title) from tenancy.tasks"),
            "ours,theirs"
        );
    }

    #[pg_test]
    fn a_reference_stays_within_the_tenant() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        become_app_of(&acme);
        assert_eq!(
            outcome(&format!(
                "insert into tenancy.tasks (title, project_id) values ('x', '{}')",
                globex.project
            )),
            "23503"
        );
        assert_eq!(
            outcome(&format!(
                "insert into tenancy.tasks (title, assignee_id) values ('x', '{}')",
                globex.owner
            )),
            "23503"
        );
        assert_eq!(
            outcome(&format!(
                "update tenancy.projects set owner_id = '{}'",
                globex.owner
            )),
            "23503"
        );
        assert_eq!(
            outcome(&format!(
                "insert into tenancy.tasks (title, project_id) values ('x', '{}')",
                acme.project
            )),
            "00000"
        );
    }

    #[pg_test]
    fn deleting_a_project_leaves_its_tasks_to_the_tenant() {
        let acme = tenant("acme");
        become_app_of(&acme);
        run(&format!(
            "insert into tenancy.tasks (title, project_id) values ('x', '{}')",
            acme.project
        ));
        run("delete from tenancy.projects");
        assert_eq!(
            text("select concat(title, ' ', tenant_id, ' ', project_id) from tenancy.tasks"),
            format!("x {} ", acme.id)
        );
    }

    #[pg_test]
    fn ending_a_membership_keeps_the_persons_tasks() {
        let acme = tenant("acme");
        run(&format!(
            "insert into tenancy.tasks (tenant_id, title, assignee_id) values ('{}', 'x', '{}')",
            acme.id, acme.owner
        ));
        run("delete from tenancy.memberships");
        assert_eq!(
            number("select count(*) from tenancy.tasks where assignee_id is null"),
            1
        );
        assert_eq!(
            number("select count(*) from tenancy.projects where owner_id is null"),
            1
        );
    }

    #[pg_test]
    fn a_policy_added_later_does_not_open_the_wall() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.task("theirs");
        run("create policy generous on tenancy.tasks using (true) with check (true)");
        run("create policy generous on tenancy.users using (true)");
        run("create policy generous on tenancy.tenants using (true)");
        become_app_of(&acme);
        assert_eq!(number("select count(*) from tenancy.tasks"), 0);
        assert_eq!(number("select count(*) from tenancy.tenants"), 1);
        assert_eq!(number("select count(id) from tenancy.users"), 1);
        assert_eq!(
            outcome(&format!(
                "insert into tenancy.tasks (tenant_id, title) values ('{}', 'x')",
                globex.id
            )),
            "42501"
        );
    }

    /// A condition that tells what it saw must not see other tenants' rows.
    #[pg_test]
    fn a_leaking_function_sees_own_rows_only() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.task("ours");
        globex.task("theirs");
        run("create table tests.seen (title text)");
        run("grant insert on tests.seen to tenancy_app");
        run(
            "create function tests.leak(title text) returns boolean language plpgsql cost 0.0001
             as $$ begin insert into tests.seen values (title); return true; end $$",
        );
        become_app_of(&acme);
        run("select count(*) from tenancy.tasks where tests.leak(title)");
        run("reset role");
        assert_eq!(
            text("select string_agg(title, ',') from tests.seen"),
            "ours"
        );
    }

    #[pg_test]
    fn times_and_ids_are_the_databases() {
        let acme = tenant("acme");
        become_app_of(&acme);
        for column in ["id", "created_at", "updated_at"] {
            assert_eq!(
                outcome(&format!(
                    "insert into tenancy.tasks (title, {column}) values ('x', default)"
                )),
                "42501",
                "{column}"
            );
        }
        run("insert into tenancy.tasks (title) values ('x')");
        assert_eq!(
            outcome("update tenancy.tasks set created_at = now()"),
            "42501"
        );
        run("reset role");
        run("update tenancy.tasks set created_at = 'epoch', updated_at = 'epoch'");
        assert_eq!(
            number(
                "select count(*) from tenancy.tasks where created_at = now() and updated_at = now()"
            ),
            1
        );
    }

    #[pg_test]
    fn titles_and_statuses_are_checked() {
        let acme = tenant("acme");
        become_app_of(&acme);
        let insert = |title: &str, status: &str| {
            outcome(&format!(
                "insert into tenancy.tasks (title, status) values ({title}, '{status}')"
            ))
        };
        assert_eq!(insert("''", "todo"), "23514");
        assert_eq!(insert("null", "todo"), "23502");
        assert_eq!(insert("repeat('ü', 256)", "todo"), "23514");
        assert_eq!(insert("repeat('ü', 255)", "done"), "00000");
        assert_eq!(insert("'x'", "later"), "23514");
        assert_eq!(
            outcome("insert into tenancy.projects (title) values (repeat('x', 256))"),
            "23514"
        );
    }
}
