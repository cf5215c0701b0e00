/*
 * The two schemas and the eight roles.
 *
 * `tenancy` is the interface; `tenancy_private` has usage for nobody. Roles
 * belong to the cluster, not to the database, so they may be there already:
 * then they must be what this file would have made. What a role may do is in
 * the last file, grants.
 */

-- First of all: whoever owned a schema of that name could drop it with all in
-- it, and a role that somebody prepared could be a way in.
do $$
declare
    found text;
begin
    select nspname into found
    from pg_catalog.pg_namespace
    where nspname in ('tenancy', 'tenancy_private');
    if found is not null then
        raise exception 'schema "%" exists already', found
            using errcode = 'TN902',
                  hint = 'The extension makes its schemas itself. Rename or drop that one first.';
    end if;

    if pg_catalog.getdatabaseencoding() <> 'UTF8' then
        raise exception 'the database encoding is %, and must be UTF8', pg_catalog.getdatabaseencoding()
            using errcode = 'TN902',
                  hint = 'create database … encoding ''UTF8'' template template0';
    end if;
end
$$;

create schema tenancy;
comment on schema tenancy is 'Multi-tenancy that the database enforces: the interface of pg_tenancy.';
create schema tenancy_private;
comment on schema tenancy_private is 'The inside of pg_tenancy. Nobody has usage here.';

do $$
declare
    wanted record;
    found record;
begin
    for wanted in
        select *
        from (values
            ('tenancy_owner', 'bypassrls', true),
            ('tenancy_app', 'nobypassrls', false),
            ('tenancy_gateway', 'nobypassrls', false),
            ('tenancy_authenticator', 'nobypassrls', false),
            ('tenancy_reporter', 'nobypassrls', false),
            ('tenancy_admin', 'nobypassrls', false),
            ('tenancy_backup', 'bypassrls', true),
            ('tenancy_purger', 'bypassrls', true)
        ) as w (name, bypass, is_bypass)
    loop
        begin
            execute pg_catalog.format('create role %I nologin nosuperuser nocreatedb nocreaterole %s',
                wanted.name, wanted.bypass);
        exception
            -- The second is what a CREATE EXTENSION in another database at this moment gives.
            when duplicate_object or unique_violation then null;
        end;

        select rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication into found
        from pg_catalog.pg_roles
        where rolname = wanted.name;
        if found.rolcanlogin or found.rolsuper or found.rolcreaterole or found.rolcreatedb
            or found.rolreplication or found.rolbypassrls <> wanted.is_bypass
        then
            raise exception 'role "%" exists already with other attributes', wanted.name
                using errcode = 'TN902',
                      hint = pg_catalog.format('alter role %I nologin nosuperuser nocreatedb nocreaterole noreplication %s',
                          wanted.name, wanted.bypass);
        end if;
    end loop;

    -- What one of these roles is a member of, all its members are.
    select a.roleid::regrole as role, a.member::regrole as member into found
    from pg_catalog.pg_auth_members as a
    where a.member::regrole::text like 'tenancy\_%'
      and (a.roleid::regrole::text, a.member::regrole::text) not in (
          ('tenancy_app', 'tenancy_gateway'),
          ('tenancy_reporter', 'tenancy_admin'),
          ('pg_read_all_data', 'tenancy_backup'))
    limit 1;
    if found is not null then
        raise exception 'role "%" is a member of "%", and would give that to others', found.member, found.role
            using errcode = 'TN902',
                  hint = pg_catalog.format('revoke %s from %s', found.role, found.member);
    end if;

    select m.rolname, a.roleid::pg_catalog.regrole as role into found
    from pg_catalog.pg_auth_members as a
    join pg_catalog.pg_roles as m on m.oid = a.member
    where a.roleid in ('tenancy_owner'::pg_catalog.regrole, 'tenancy_purger'::pg_catalog.regrole) and not m.rolsuper
    limit 1;
    if found is not null then
        raise exception 'role "%" is a member of % and would see every tenant', found.rolname, found.role
            using errcode = 'TN902',
                  hint = pg_catalog.format('revoke %s from %I', found.role, found.rolname);
    end if;

    -- Members of the others may be there for a reason, from another database. But
    -- nobody should become a gateway unseen.
    for found in
        select a.roleid::regrole as role, pg_catalog.string_agg(a.member::regrole::text, ', ') as members
        from pg_catalog.pg_auth_members as a
        where a.roleid::regrole::text in ('tenancy_gateway', 'tenancy_admin', 'tenancy_reporter', 'tenancy_backup')
          and a.member::regrole::text not like 'tenancy\_%'
        group by a.roleid
    loop
        raise warning 'the role % exists already and has members: %', found.role, found.members
            using hint = pg_catalog.format('If that is not meant: revoke %s from %s', found.role, found.members);
    end loop;
end
$$;

grant tenancy_app to tenancy_gateway;
grant tenancy_reporter to tenancy_admin;
-- FORCE makes an owner's pg_dump fail, and one with row security on silently empty.
grant pg_read_all_data to tenancy_backup;

comment on role tenancy_owner is 'pg_tenancy: owns the tables and the definer functions. Nobody is a member.';
comment on role tenancy_app is 'pg_tenancy: reads and writes isolated tables, inside a tenant that it entered with a token.';
comment on role tenancy_gateway is 'pg_tenancy: a tenancy_app that may also enter a tenant by its bare id.';
comment on role tenancy_authenticator is 'pg_tenancy: looks up credentials and registers tenants, before there is a token.';
comment on role tenancy_reporter is 'pg_tenancy: calls the cross-tenant reports.';
comment on role tenancy_admin is 'pg_tenancy: a reporter that also suspends tenants and keeps the signing keys.';
comment on role tenancy_backup is 'pg_tenancy: reads everything, for pg_dump --role=tenancy_backup.';
comment on role tenancy_purger is 'pg_tenancy: deletes for good what was deleted softly, and may nothing else. Nobody is a member.';
