//! Rules that hold for every object of the extension, also those of tomorrow.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// The rows of a query that should have none.
    fn none(sql: &str) {
        let rows = maybe(&format!(
            "select string_agg(x::text, E'\\n') from ({sql}) as q (x)"
        ));
        assert_eq!(rows, None);
    }

    #[pg_test]
    fn every_table_is_under_forced_row_level_security() {
        none(
            "select c.oid::regclass from pg_class as c
             where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
               and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)",
        );
    }

    #[pg_test]
    fn every_table_with_a_tenant_has_the_boundary() {
        none(
            "select c.oid::regclass from pg_class as c
             where c.relnamespace = 'tenancy'::regnamespace and c.relkind in ('r', 'p')
               and (c.relname in ('tenants', 'users') or exists (
                   select from pg_attribute as a where a.attrelid = c.oid and a.attname = 'tenant_id'))
               and not exists (
                   select from pg_policy as p
                   where p.polrelid = c.oid and p.polname = 'tenant_boundary'
                     and not p.polpermissive and p.polcmd = '*' and p.polroles = '{0}')",
        );
    }

    #[pg_test]
    fn every_key_and_reference_of_tenant_data_leads_with_the_tenant() {
        none(
            "select k.conname from pg_constraint as k
             join pg_attribute as t on t.attrelid = k.conrelid and t.attname = 'tenant_id'
             where k.connamespace = 'tenancy'::regnamespace and k.contype in ('p', 'u', 'f')
               and k.conkey[1] <> t.attnum
               -- A person belongs to no tenant.
               and k.confrelid is distinct from 'tenancy.users'::regclass",
        );
    }

    #[pg_test]
    fn every_table_goes_with_a_dump() {
        none(
            "select c.oid::regclass from pg_class as c
             where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
               and c.relkind in ('r', 'p', 'S')
               and not c.oid = any ((select extconfig from pg_extension where extname = 'pg_tenancy')::oid[])",
        );
    }

    #[pg_test]
    fn everything_belongs_to_the_owner_nobody_is() {
        none(
            "select p.oid::regprocedure from pg_proc as p
             where p.pronamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
               and p.proowner <> 'tenancy_owner'::regrole and p.prorettype <> 'event_trigger'::regtype",
        );
        none(
            "select c.oid::regclass from pg_class as c
             where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
               and c.relkind in ('r', 'p', 'v', 'm', 'S') and c.relowner <> 'tenancy_owner'::regrole",
        );
    }

    #[pg_test]
    fn every_definer_function_pins_its_path() {
        none(
            "select p.oid::regprocedure from pg_proc as p
             where p.pronamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
               and p.prosecdef
               and p.proconfig is distinct from array['search_path=pg_catalog, pg_temp']",
        );
    }

    #[pg_test]
    fn everything_of_the_interface_is_described() {
        none(
            "select p.oid::regprocedure from pg_proc as p
             where p.pronamespace = 'tenancy'::regnamespace and obj_description(p.oid, 'pg_proc') is null",
        );
        none(
            "select c.oid::regclass from pg_class as c
             where c.relnamespace = 'tenancy'::regnamespace and c.relkind in ('r', 'p', 'v')
               and obj_description(c.oid, 'pg_class') is null",
        );
    }

    /// What each role may, from the catalog, is the list in grants.txt: whoever
    /// adds a function, table or role decides here, with open eyes.
    #[pg_test]
    fn grants_are_the_expected_list() {
        let found = text(
            "select string_agg(line, E'\\n' order by line collate \"C\") from (
                select format('function %s: %s', p.oid::regprocedure, grantee(a.grantee)) as line
                from pg_proc as p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
                where p.pronamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
                  and a.grantee <> p.proowner
                union all
                select format('schema %s %s: %s', n.nspname, lower(a.privilege_type), grantee(a.grantee))
                from pg_namespace as n, aclexplode(n.nspacl) as a
                where n.nspname like 'tenancy%' and a.grantee <> n.nspowner
                union all
                select format('table %s %s: %s', c.oid::regclass, lower(a.privilege_type), grantee(a.grantee))
                from pg_class as c, aclexplode(c.relacl) as a
                where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
                  and c.relkind in ('r', 'p', 'v') and a.grantee <> c.relowner
                union all
                select format('table %s %s (%s): %s', c.oid::regclass, lower(a.privilege_type),
                    string_agg(t.attname, ', ' order by t.attnum), grantee(a.grantee))
                from pg_class as c
                join pg_attribute as t on t.attrelid = c.oid, aclexplode(t.attacl) as a
                where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
                group by c.oid, a.privilege_type, a.grantee
                union all
                select format('member of %s: %s', m.roleid::regrole, m.member::regrole)
                from pg_auth_members as m
                where m.roleid::regrole::text like 'tenancy%' or m.member::regrole::text like 'tenancy%'
            ) as l"
                .replace("grantee(a.grantee)", "case a.grantee when 0 then 'PUBLIC' else a.grantee::regrole::text end")
                .as_str(),
        );
        let expected = include_str!("grants.txt");
        assert_eq!(found.trim(), expected.trim(), "\nfound:\n{found}\n");
    }

    #[pg_test]
    fn roles_have_the_attributes_they_should() {
        assert_eq!(
            text(
                "select string_agg(rolname, ' ' order by rolname) from pg_roles
                 where rolname like 'tenancy\\_%' and not rolcanlogin and not rolsuper
                   and not rolcreaterole and not rolcreatedb
                   and rolbypassrls = (rolname in ('tenancy_owner', 'tenancy_backup', 'tenancy_purger'))"
            ),
            "tenancy_admin tenancy_app tenancy_authenticator tenancy_backup tenancy_gateway tenancy_owner tenancy_purger tenancy_reporter"
        );
    }
}

/// `-- A definer: …` stands right above each. Not a test within the server, whose
/// user may not be able to read the sources.
#[test]
fn every_definer_function_says_why_it_is_one() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../sql");
    let mut definers = 0;
    for file in std::fs::read_dir(folder).expect("sql/") {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let sql = std::fs::read_to_string(&path).expect("a text");
        for (at, _) in sql.match_indices("    security definer ") {
            let start = sql[..at].rfind("create function").expect("its head");
            let says_why = sql[..start]
                .trim_end()
                .lines()
                .rev()
                .take_while(|line| line.starts_with("--"))
                .any(|line| line.starts_with("-- A definer: "));
            assert!(says_why, "{}: {}", path.display(), &sql[start..at]);
            definers += 1;
        }
    }
    assert!(definers > 10, "{definers} found");
}
