//! Keys and references of an isolated table: the tenant is in all of them, so
//! that nothing crosses and nothing tells of other tenants' rows.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// Courses, and enrolments that refer to them; a row of each per tenant.
    fn courses(action: &str) -> [Tenant; 2] {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run("create table courses (id integer primary key, code text unique, tenant_id uuid)");
        run(&format!(
            "create table enrolments (id integer primary key, tenant_id uuid,
                course integer default 1 constraint to_course references courses {action},
                earlier integer references enrolments on delete cascade)"
        ));
        run(&format!(
            "insert into courses values (1, 'm', '{}'), (2, 'a', '{}')",
            acme.id, globex.id
        ));
        run(&format!(
            "insert into enrolments values (1, '{}', 1, null), (2, '{}', 2, null)",
            acme.id, globex.id
        ));
        [acme, globex]
    }

    fn isolate(arguments: &str) {
        text(&format!("select tenancy.isolate_table({arguments})"));
    }

    fn definition(table: &str, constraint: &str) -> String {
        text(&format!(
            "select pg_get_constraintdef(oid) from pg_constraint
             where conrelid = '{table}'::regclass and conname = '{constraint}'"
        ))
    }

    #[pg_test]
    fn references_get_the_tenant_whichever_table_comes_first() {
        take_turn();
        for order in [["courses", "enrolments"], ["enrolments", "courses"]] {
            courses("on delete cascade on update cascade deferrable initially deferred");
            run("set constraints all immediate");
            run("comment on constraint to_course on enrolments is 'must be a course'");
            for table in order {
                isolate(&format!("'{table}'"));
            }
            assert_eq!(
                definition("enrolments", "to_course"),
                "FOREIGN KEY (tenant_id, course) REFERENCES courses(tenant_id, id) ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"
            );
            assert_eq!(
                text("select obj_description(oid) from pg_constraint where conname = 'to_course'"),
                "must be a course"
            );
            assert_eq!(
                definition("courses", "courses_pkey"),
                "PRIMARY KEY (tenant_id, id)"
            );
            assert_eq!(
                definition("enrolments", "enrolments_pkey"),
                "PRIMARY KEY (tenant_id, id)"
            );
            assert_eq!(
                definition("enrolments", "enrolments_earlier_fkey"),
                "FOREIGN KEY (tenant_id, earlier) REFERENCES enrolments(tenant_id, id) ON DELETE CASCADE"
            );
            // The key that references landed on meanwhile became the primary key.
            assert_eq!(
                number("select count(*) from pg_index where indrelid = 'courses'::regclass"),
                2
            );
            run("drop table enrolments, courses");
            run(
                "delete from tenancy.projects; delete from tenancy.memberships; delete from tenancy.tenants; delete from tenancy.users",
            );
        }
    }

    #[pg_test]
    fn set_null_and_set_default_keep_the_tenant() {
        take_turn();
        for (action, left) in [("set null", "-"), ("set default", "1")] {
            let [acme, _globex] = courses(&format!("on delete {action}"));
            isolate("'courses'");
            isolate("'enrolments'");
            run(&format!(
                "insert into courses values (3, 'x', '{}')",
                acme.id
            ));
            run("update enrolments set course = 3 where id = 1");
            run("delete from courses where id = 3");
            assert_eq!(
                text(
                    "select concat(tenant_id, ' ', coalesce(course::text, '-')) from enrolments where id = 1"
                ),
                format!("{} {left}", acme.id)
            );
            run("drop table enrolments, courses");
            run(
                "delete from tenancy.projects; delete from tenancy.memberships; delete from tenancy.tenants; delete from tenancy.users",
            );
        }
    }

    #[pg_test]
    fn a_reference_to_another_tenants_row_is_refused() {
        take_turn();
        let [acme, _globex] = courses("");
        isolate("'courses'");
        isolate("'enrolments'");
        become_app_of(&acme);
        assert_eq!(
            outcome("insert into enrolments (id, course) values (3, 2)"),
            "23503"
        );
        assert_eq!(outcome("update enrolments set course = 2"), "23503");
        assert_eq!(
            outcome("insert into enrolments (id, course) values (3, 1)"),
            "00000"
        );
    }

    #[pg_test]
    fn rows_that_cross_are_named_and_nothing_changes() {
        take_turn();
        courses("");
        run("update enrolments set course = 1 where id = 2");
        isolate("'courses'");
        let before = definition("enrolments", "to_course");
        assert_eq!(
            complaint("select tenancy.isolate_table('enrolments')"),
            "TN704 : public.enrolments has 1 row with a reference to another tenant's row of public.courses, by \"to_course\": id 2 to id 1"
        );
        assert_eq!(definition("enrolments", "to_course"), before);
        assert_eq!(definition("courses", "courses_pkey"), "PRIMARY KEY (id)");
        assert_eq!(
            maybe("select tenancy_private.tenant_column('enrolments')::text"),
            None
        );
    }

    #[pg_test]
    fn rows_that_cross_are_found_from_the_other_side_and_within_a_table() {
        take_turn();
        let [_, globex] = courses("");
        run("update enrolments set course = 1 where id = 2");
        isolate("'enrolments'");
        assert_eq!(outcome("select tenancy.isolate_table('courses')"), "TN704");
        let _ = globex;
    }

    #[pg_test]
    fn a_table_that_refers_to_itself_may_not_cross() {
        take_turn();
        courses("");
        run("update enrolments set earlier = 1 where id = 2");
        assert_eq!(
            outcome("select tenancy.isolate_table('enrolments')"),
            "TN704"
        );
    }

    #[pg_test]
    fn uniqueness_is_per_tenant_where_asked() {
        take_turn();
        let [acme, _globex] = courses("");
        run("create unique index by_lower on courses (lower(code)) where code is not null");
        assert_eq!(
            outcome("select tenancy.isolate_table('courses', unique_per_tenant => '{nobody}')"),
            "TN705"
        );
        isolate("'courses', unique_per_tenant => '{courses_code_key,by_lower}'");
        assert_eq!(
            definition("courses", "courses_code_key"),
            "UNIQUE (tenant_id, code)"
        );
        become_app_of(&acme);
        assert_eq!(
            outcome("insert into courses (id, code) values (3, 'a')"),
            "00000"
        );
        assert_eq!(
            outcome("insert into courses (id, code) values (4, 'M')"),
            "23505"
        );
    }

    #[pg_test]
    fn uniqueness_stays_where_it_is_not_asked_for() {
        take_turn();
        let [acme, _globex] = courses("");
        isolate("'courses'");
        assert_eq!(definition("courses", "courses_code_key"), "UNIQUE (code)");
        become_app_of(&acme);
        assert_eq!(
            outcome("insert into courses (id, code) values (3, 'a')"),
            "23505"
        );
    }

    #[pg_test]
    fn a_key_that_others_need_waits_for_them() {
        take_turn();
        courses("");
        run("create view per_course as select id, code, count(*) from courses group by id");
        isolate("'courses'");
        isolate("'enrolments'");
        assert_eq!(definition("courses", "courses_pkey"), "PRIMARY KEY (id)");
        assert!(definition("enrolments", "to_course").contains("courses(tenant_id, id)"));
        assert_eq!(
            number("select count(*) from tenancy.plan_isolate_table('courses')"),
            0
        );
        run("drop view per_course");
        isolate("'courses'");
        assert_eq!(
            definition("courses", "courses_pkey"),
            "PRIMARY KEY (tenant_id, id)"
        );
    }

    #[pg_test]
    fn a_reference_over_two_columns_stays_all_or_nothing() {
        take_turn();
        let acme = tenant("acme");
        run("create table rooms (house integer, number integer, primary key (house, number))");
        run("create table desks (id integer primary key, house integer, number integer,
                constraint in_room foreign key (house, number) references rooms match full on delete set null)");
        run("insert into rooms values (1, 1)");
        run("insert into desks values (1, 1, 1), (2, null, null)");
        for table in ["rooms", "desks"] {
            isolate(&format!("'{table}', tenant => '{}'", acme.id));
        }
        become_app_of(&acme);
        assert_eq!(outcome("insert into desks values (3, 1, null)"), "23514");
        assert_eq!(outcome("insert into desks values (3, null, null)"), "00000");
        run("delete from rooms");
        assert_eq!(number("select count(*) from desks where house is null"), 3);
    }

    #[pg_test]
    fn a_reference_that_is_not_validated_stays_so() {
        take_turn();
        let acme = tenant("acme");
        run("create table a (id integer primary key)");
        run("create table b (id integer primary key, a integer)");
        run("insert into b values (1, 99)");
        run("alter table b add constraint dangling foreign key (a) references a not valid");
        isolate("'a'");
        isolate(&format!("'b', tenant => '{}'", acme.id));
        assert_eq!(
            definition("b", "dangling"),
            "FOREIGN KEY (tenant_id, a) REFERENCES a(tenant_id, id) NOT VALID"
        );
    }

    #[pg_test]
    fn what_would_take_the_tenant_away_is_refused() {
        take_turn();
        run("create table a (id integer primary key)");
        run("create table b (id integer primary key, a integer references a on update set null)");
        isolate("'a'");
        assert_eq!(outcome("select tenancy.isolate_table('b')"), "TN706");
        run(
            "create table c (id integer primary key, tenant_id uuid references tenancy.tenants on delete cascade)",
        );
        isolate("'c'");
        assert_eq!(
            number(
                "select count(*) from pg_constraint where conrelid = 'c'::regclass and contype = 'f'"
            ),
            1
        );
    }

    #[pg_test]
    fn a_unique_key_that_an_open_table_refers_to_is_refused() {
        take_turn();
        run("create table a (id integer primary key, code text unique)");
        run("create table b (id integer primary key, code text references a (code))");
        assert_eq!(
            outcome("select tenancy.isolate_table('a', unique_per_tenant => '{a_code_key}')"),
            "TN706"
        );
        isolate("'a'");
        isolate("'b'");
        assert_eq!(
            definition("b", "b_code_fkey"),
            "FOREIGN KEY (tenant_id, code) REFERENCES a(tenant_id, code)"
        );
    }

    #[pg_test]
    fn replication_and_details_of_a_key_stay() {
        take_turn();
        run(
            "create table r (id integer not null, n integer not null, x integer,
                constraint r_pk primary key (id) include (x) deferrable initially deferred,
                constraint r_n unique nulls not distinct (n) with (fillfactor = 60))",
        );
        run("alter table r replica identity using index r_n");
        isolate("'r', unique_per_tenant => '{*}'");
        assert_eq!(
            definition("r", "r_pk"),
            "PRIMARY KEY (tenant_id, id) INCLUDE (x) DEFERRABLE INITIALLY DEFERRED"
        );
        assert_eq!(
            definition("r", "r_n"),
            "UNIQUE NULLS NOT DISTINCT (tenant_id, n)"
        );
        assert_eq!(
            text(
                "select concat(c.reloptions, i.indisreplident) from pg_class as c join pg_index as i on i.indexrelid = c.oid where relname = 'r_n'"
            ),
            "{fillfactor=60}t"
        );
    }

    /// PostgreSQL checks a deferrable key by a trigger, which must not be silenced
    /// with the table's own.
    #[pg_test]
    fn filling_does_not_slip_past_a_deferrable_key() {
        let acme = tenant("acme");
        run("create schema s;
             create table s.codes (id int primary key, tenant_id uuid, code text,
                 unique (tenant_id, code) deferrable initially deferred);
             create function s.touch() returns trigger language plpgsql as 'begin return new; end';
             create trigger touch before update on s.codes for each row execute function s.touch();
             insert into s.codes values (1, null, 'x'), (2, null, 'x');
             set constraints all immediate");
        let isolate = format!(
            "select tenancy.isolate_table('s.codes', tenant => '{}')",
            acme.id
        );
        assert_eq!(outcome(&isolate), "23505");
        assert_eq!(
            number("select count(*) from s.codes where tenant_id is null"),
            2
        );
        run("update s.codes set code = 'y' where id = 2");
        assert_eq!(outcome(&isolate), "00000");
    }
}
