/*
 * What lint() reads the catalog with: which tables are walled, which relations
 * are the users' own, which roles are the application's, and whom a grant has
 * to name to be within its reach.
 *
 * A rule is a function lint_<rule>() that is given the walled tables, which
 * are looked up once, and returns its findings. Why a rule matters is said
 * once, in the register of lint(). The functions have their
 * bodies parsed when they are made, so that nobody's search_path changes what
 * they mean; names in what they return are qualified because lint() pins its own.
 */

create type tenancy_private.finding as (
    severity text,
    object text,
    problem text,
    fix text
);
comment on type tenancy_private.finding is 'What a rule of lint() found.';

create type tenancy_private.walled as (
    relation oid,
    tenant_attnum smallint,
    tenant_column text,
    is_own boolean
);
comment on type tenancy_private.walled is 'A table that is meant to be isolated, its tenant''s column, and whether it is the extension''s.';

-- Whether the boundary is unbroken is the rule boundary_changed. The others hold
-- for every table that is meant to be isolated, so that one fault hides no other.
create function tenancy_private.lint_walled()
    returns setof tenancy_private.walled
    language sql stable rows 1000
begin atomic
    select p.polrelid, a.attnum, a.attname::text,
        exists (
            select from pg_catalog.pg_depend as e
            where e.classid = 'pg_catalog.pg_class'::regclass and e.objid = p.polrelid
              and e.refclassid = 'pg_catalog.pg_extension'::regclass and e.deptype = 'e')
    from pg_catalog.pg_policy as p
    join pg_catalog.pg_attribute as a on a.attrelid = p.polrelid
    where p.polname = 'tenant_boundary'
      -- It reads one column, and that is one of the table's own.
      and a.attnum = (
          select case when count(*) = 1 and min(d.refobjid) = p.polrelid then min(d.refobjsubid) end
          from (
              select distinct s.refobjid, s.refobjsubid
              from pg_catalog.pg_depend as s
              where s.classid = 'pg_catalog.pg_policy'::regclass and s.objid = p.oid
                and s.refclassid = 'pg_catalog.pg_class'::regclass and s.refobjsubid > 0
          ) as d)
      and exists (
          select from pg_catalog.pg_depend as d
          where d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.oid
            and d.refclassid = 'pg_catalog.pg_proc'::regclass
            and d.refobjid = 'tenancy.current_tenant_id()'::regprocedure);
end;
comment on function tenancy_private.lint_walled() is
    'Tables with a policy tenant_boundary that compares a column of theirs with current_tenant_id(), and that column.';

create function tenancy_private.lint_relations()
    returns table (relation oid, kind "char", owner oid, acl aclitem[], has_rls boolean, is_forced boolean, is_partition boolean)
    language sql stable rows 1000
begin atomic
    select c.oid, c.relkind, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.relispartition
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
      and not exists (
          select from pg_catalog.pg_depend as e
          where e.classid = 'pg_catalog.pg_class'::regclass and e.objid = c.oid
            and e.refclassid = 'pg_catalog.pg_extension'::regclass and e.deptype = 'e');
end;
comment on function tenancy_private.lint_relations() is
    'The relations that people made: no system''s, no extension''s, no temporary ones.';

create function tenancy_private.lint_application()
    returns table (role oid, name text)
    language sql stable rows 10
begin atomic
    with recursive application as (
        select r.oid as role from pg_catalog.pg_roles as r
        where r.rolname in ('tenancy_app', 'tenancy_authenticator')
        union
        select m.member from pg_catalog.pg_auth_members as m
        join application as a on a.role = m.roleid
    )
    select a.role, r.rolname::text from application as a
    join pg_catalog.pg_roles as r on r.oid = a.role;
end;
comment on function tenancy_private.lint_application() is
    'The roles that serve requests: tenancy_app, tenancy_authenticator and their members, at any distance.';

create function tenancy_private.lint_powers()
    returns table (role oid, granted oid, power oid)
    language sql stable rows 20
begin atomic
    with recursive power as (
        select m.member as role, m.roleid as granted, m.roleid as power
        from pg_catalog.pg_auth_members as m
        where m.member in (select a.role from tenancy_private.lint_application() as a)
          and m.roleid not in (select a.role from tenancy_private.lint_application() as a)
        union
        select p.role, p.granted, m.roleid from power as p
        join pg_catalog.pg_auth_members as m on m.member = p.power
    )
    select p.role, p.granted, p.power from power as p;
end;
comment on function tenancy_private.lint_powers() is
    'What an application role can become beyond the application''s roles, and by which of its own memberships.';

create function tenancy_private.lint_grantees()
    returns table (grantee oid, name text)
    language sql stable rows 10
begin atomic
    select 0::oid, 'public'
    union all
    select a.role, quote_ident(a.name) from tenancy_private.lint_application() as a
    union
    select p.power, quote_ident(r.rolname::text) from tenancy_private.lint_powers() as p
    join pg_catalog.pg_roles as r on r.oid = p.power
    -- A membership in these is a finding by itself, and what they hold is theirs by right.
    where r.rolname !~ '^pg_' and r.rolname !~ '^tenancy_' and not r.rolsuper;
end;
comment on function tenancy_private.lint_grantees() is
    'Whom a grant has to name to be within the application''s reach, as REVOKE spells it.';

create function tenancy_private.lint_callers(acl aclitem[], owner oid)
    returns text
    language sql stable
begin atomic
    select string_agg(distinct g.name, ', ')
    from aclexplode(coalesce(acl, acldefault('f', owner))) as a
    join tenancy_private.lint_grantees() as g on g.grantee = a.grantee
    where a.grantee <> owner;
end;
comment on function tenancy_private.lint_callers(aclitem[], oid) is
    'The grantees within the application''s reach that may execute a function with that list of grants; NULL: none.';

create function tenancy_private.lint_is_usable(schema oid)
    returns boolean
    language sql stable
begin atomic
    select exists (
        select from pg_catalog.pg_namespace as n,
            aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) as a
        where n.oid = lint_is_usable.schema and a.privilege_type = 'USAGE'
          and a.grantee in (select g.grantee from tenancy_private.lint_grantees() as g));
end;
comment on function tenancy_private.lint_is_usable(oid) is 'Whether the application may look into a schema.';

create function tenancy_private.lint_boundary(relation oid, tenant_column text)
    returns text
    language sql stable
begin atomic
    select format('alter table %1$s enable row level security, force row level security; '
        'create policy tenant_boundary on %1$s as restrictive for all to public '
        'using (%2$I = tenancy.current_tenant_id()) with check (%2$I = tenancy.current_tenant_id())',
        relation::regclass, tenant_column);
end;
comment on function tenancy_private.lint_boundary(oid, text) is 'The statements that put the wall around a table that has the column.';
