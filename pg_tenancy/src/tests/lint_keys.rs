//! lint(): references, cascades and unique keys that leave the tenant out.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::lint::*;
    use crate::tests::support::*;

    /// A parent that can be referred to by its id alone. That it can is a finding, too.
    fn parent() -> &'static str {
        isolated("class", "number integer, room uuid,");
        run("alter table class add constraint class_id unique (id)");
        "alter table class drop constraint class_id cascade"
    }

    fn definition(constraint: &str) -> String {
        text(&format!(
            "select pg_get_constraintdef(oid) from pg_constraint where conname = '{constraint}'"
        ))
    }

    /// Plants it, mends it, and then the parent's key.
    fn mends_reference(rule: &str, actions: &str) -> String {
        let key = parent();
        isolated_odd("class_id uuid,");
        let fix = fix_of(
            "error",
            rule,
            &format!("constraint class on {ODD}"),
            &format!(
                "alter table {ODD} add constraint class foreign key (class_id) references class (id) {actions}"
            ),
        );
        run(&fix);
        run(key);
        assert_eq!(findings(), "", "{fix}");
        definition("class")
    }

    #[pg_test]
    fn reference_without_tenant() {
        take_turn();
        assert_eq!(
            mends_reference("reference_without_tenant", "deferrable initially deferred"),
            "FOREIGN KEY (tenant_id, class_id) REFERENCES class(tenant_id, id) DEFERRABLE INITIALLY DEFERRED"
        );
    }

    #[pg_test]
    fn reference_without_tenant_to_a_key_that_has_none_with_it() {
        take_turn();
        isolated("class", "number integer not null unique,");
        isolated("students", "class integer,");
        let fix = fix_of(
            "error",
            "reference_without_tenant",
            "constraint class on public.students",
            "alter table students add constraint class foreign key (class) references class (number) on update cascade",
        );
        run(&fix);
        assert_eq!(
            definition("class"),
            "FOREIGN KEY (tenant_id, class) REFERENCES class(tenant_id, number) ON UPDATE CASCADE"
        );
        run("alter table class drop constraint class_number_key");
        assert_eq!(findings(), "");
    }

    #[pg_test]
    fn cascade_to_other_tenants() {
        take_turn();
        assert_eq!(
            mends_reference("cascade_crosses", "on delete cascade"),
            "FOREIGN KEY (tenant_id, class_id) REFERENCES class(tenant_id, id) ON DELETE CASCADE"
        );
    }

    #[pg_test]
    fn set_null_in_other_tenants() {
        take_turn();
        assert_eq!(
            mends_reference("cascade_crosses", "on delete set null on update restrict"),
            "FOREIGN KEY (tenant_id, class_id) REFERENCES class(tenant_id, id) ON UPDATE RESTRICT ON DELETE SET NULL (class_id)"
        );
    }

    #[pg_test]
    fn set_null_that_clears_the_tenant() {
        take_turn();
        isolated("class", "");
        isolated_odd("class_id uuid,");
        mends(
            "error",
            "cascade_crosses",
            &format!("constraint class on {ODD}"),
            &format!(
                "alter table {ODD} add constraint class foreign key (tenant_id, class_id) references class on delete set null"
            ),
        );
        assert_eq!(
            definition("class"),
            "FOREIGN KEY (tenant_id, class_id) REFERENCES class(tenant_id, id) ON DELETE SET NULL (class_id)"
        );
    }

    #[pg_test]
    fn cascade_from_a_shared_table() {
        take_turn();
        run("create table country (code text primary key)");
        isolated("address", "country text,");
        mends(
            "error",
            "cascade_crosses",
            "constraint country on public.address",
            "alter table address add constraint country foreign key (country) references country on delete cascade",
        );
        assert_eq!(
            definition("country"),
            "FOREIGN KEY (country) REFERENCES country(code)"
        );
    }

    #[pg_test]
    fn unique_without_tenant() {
        take_turn();
        isolated_odd("email text, number integer, room int4range,");
        mends(
            "warning",
            "unique_without_tenant",
            &format!("constraint \"E-mail\" on {ODD}"),
            &format!(
                "alter table {ODD} add constraint \"E-mail\" unique nulls not distinct (email) include (number)"
            ),
        );
        assert_eq!(
            definition("E-mail"),
            "UNIQUE NULLS NOT DISTINCT (tenant_id, email) INCLUDE (number)"
        );
        mends(
            "warning",
            "unique_without_tenant",
            r#""My School"."(odd""#,
            &format!("create unique index \"(odd\" on {ODD} (lower(email)) where number > 0"),
        );
        mends(
            "info",
            "unique_without_tenant",
            &format!("constraint surrogate on {ODD}"),
            &format!("alter table {ODD} add constraint surrogate unique (id)"),
        );
        let fix = fix_of(
            "warning",
            "unique_without_tenant",
            &format!("constraint booked on {ODD}"),
            &format!("alter table {ODD} add constraint booked exclude using gist (room with &&)"),
        );
        assert!(fix.starts_with("-- alter table"), "{fix}");
    }
}
