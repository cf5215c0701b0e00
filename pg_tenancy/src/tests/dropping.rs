//! The extension doesn't go by accident.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    #[pg_test]
    fn the_extension_does_not_go_with_its_tenants() {
        tenant("acme");
        assert_eq!(outcome("drop extension pg_tenancy"), "TN901");
        assert_eq!(
            outcome("drop extension if exists plpgsql_check, pg_tenancy"),
            "TN901"
        );
        assert_eq!(outcome("drop extension pg_tenancy restrict"), "TN901");
        assert_eq!(outcome("drop extension plpgsql cascade"), "TN901");
        assert_eq!(outcome("drop owned by session_user"), "TN901");
    }

    /// The boundary would go by dependency, and the policy that lets the application in stay.
    #[pg_test]
    fn the_extension_does_not_go_while_tables_are_isolated() {
        take_turn();
        run("create table public.notes (id integer primary key)");
        run("select tenancy.isolate_table('notes')");
        for sql in [
            "drop extension pg_tenancy cascade",
            "drop extension plpgsql cascade",
            "drop owned by session_user cascade",
        ] {
            let said = complaint(sql);
            assert!(
                said.starts_with("TN901") && said.contains("boundaries"),
                "{sql}: {said}"
            );
        }
    }
}
