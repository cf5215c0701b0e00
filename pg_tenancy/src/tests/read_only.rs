//! A context that can only read: nothing that SQL has makes it write.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    fn become_viewer_of(tenant: &Tenant) {
        run(&format!(
            "update tenancy.memberships set role = 'viewer' where user_id = '{}'",
            tenant.owner
        ));
        become_role("tenancy_gateway");
        run(&format!(
            "select tenancy.set_tenant_context('{}', '{}')",
            tenant.id, tenant.owner
        ));
        become_role("tenancy_app");
    }

    #[pg_test]
    fn no_way_back_to_writing() {
        let acme = tenant("acme");
        let task = acme.task("Plan");
        run("create sequence public.numbers");
        run("grant usage on sequence public.numbers to tenancy_app");
        run(
            "create function public.write() returns void language plpgsql as
             'begin insert into tenancy.tasks (title) values (''x''); end'",
        );
        become_viewer_of(&acme);
        let write = "insert into tenancy.tasks (title) values ('x')";
        for attempt in [
            write.to_owned(),
            "update tenancy.tasks set title = 'x'".to_owned(),
            "delete from tenancy.tasks".to_owned(),
            "copy tenancy.tasks (title) from program 'echo x'".to_owned(),
            "select public.write()".to_owned(),
            "select nextval('public.numbers')".to_owned(),
            "with w as (insert into tenancy.tasks (title) values ('x') returning 1) select * from w".to_owned(),
            "create table public.t ()".to_owned(),
            "create temporary table t (a int) on commit drop".to_owned(),
            "select from tenancy.tasks for update".to_owned(),
            format!("do $$ begin perform set_config('transaction_read_only', 'off', true); {write}; end $$"),
            format!("do $$ begin set transaction read write; {write}; end $$"),
            // A reset asks no check hook.
            format!("do $$ begin reset transaction_read_only; {write}; end $$"),
            format!("do $$ begin set local transaction_read_only to default; {write}; end $$"),
            format!("do $$ begin set transaction_read_only to default; {write}; end $$"),
            format!("do $$ begin perform set_config('transaction_read_only', null, true); {write}; end $$"),
            format!("do $$ begin perform set_config('transaction_read_only', null, false); {write}; end $$"),
            "select set_config('transaction_read_only', null, true), nextval('public.numbers')".to_owned(),
            "select set_config('transaction_read_only', null, true), public.write()".to_owned(),
            "select tenancy.insert_row('tenancy.tasks', '{\"title\":\"x\"}')".to_owned(),
            format!("select tenancy.delete_row('tenancy.tasks', '{task}')"),
        ] {
            assert_ne!(outcome(&attempt), "00000", "{attempt}");
        }
        run("reset transaction_read_only");
        run("reset all");
        assert_eq!(text("show transaction_read_only"), "on");
        assert_eq!(outcome(write), "25006");
        assert_eq!(number("select count(*) from tenancy.tasks"), 1);
    }

    /// Entering within a block that catches errors is taken back with that block, but for
    /// the context.
    #[pg_test]
    fn no_number_of_a_sequence_either() {
        let acme = tenant("acme");
        run("create sequence public.numbers");
        run("grant usage on sequence public.numbers to tenancy_gateway");
        run(&format!(
            "update tenancy.memberships set role = 'viewer' where user_id = '{}'",
            acme.owner
        ));
        become_role("tenancy_gateway");
        let draw = format!(
            "do $$ declare number bigint; begin
                 begin
                     perform tenancy.set_tenant_context('{}', '{}');
                 exception when division_by_zero then null;
                 end;
                 number := nextval('public.numbers');
             end $$",
            acme.id, acme.owner
        );
        assert_eq!(outcome(&draw), "25006");
    }

    #[pg_test]
    fn what_holds_it_goes_with_the_context() {
        let acme = tenant("acme");
        run(&format!(
            "do $$ begin
                update tenancy.memberships set role = 'viewer' where user_id = '{0}';
                perform tenancy.set_tenant_context('{1}', '{0}');
                raise division_by_zero;
             exception when division_by_zero then null;
             end $$",
            acme.owner, acme.id
        ));
        assert_eq!(text("show transaction_read_only"), "off");
        run("reset transaction_read_only");
        assert_eq!(text("show transaction_read_only"), "off");
        become_app_of(&acme);
        run("insert into tenancy.tasks (title) values ('x')");
    }
}
