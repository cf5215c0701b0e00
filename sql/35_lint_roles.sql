/*
 * lint(): what the application's roles are and could become, and what of the
 * server is within their reach.
 *
 * PostgreSQL lets PUBLIC do some of this in every new database. Such a default
 * is a finding only where harden() has begun and something is left over or has
 * come back; until then harden() itself shows it.
 */

create function tenancy_private.lint_application_bypasses(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', format('role %I', a.name), d.problem, format('alter role %I %s', a.name, d.cure)
    from tenancy_private.lint_application() as a
    join pg_catalog.pg_roles as r on r.oid = a.role
    cross join lateral (values
        (r.rolsuper, 'is a superuser', 'nosuperuser'),
        (r.rolbypassrls, 'has BYPASSRLS', 'nobypassrls'),
        (r.rolcreaterole, 'has CREATEROLE, and can make itself a member of other roles', 'nocreaterole'),
        (r.rolreplication, 'has REPLICATION, and can stream every table', 'noreplication')
    ) as d (is_so, problem, cure)
    where d.is_so
    union all
    select 'error', format('role %I', r.rolname), format('can become %I, %s', string_agg(b.rolname, ', '), min(
            case
                when b.rolsuper then 'a superuser'
                when b.rolname = 'tenancy_owner' then 'which owns the extension''s tables'
                when b.rolbypassrls then 'which has BYPASSRLS'
                when b.rolcreaterole then 'which has CREATEROLE'
                when b.rolreplication then 'which has REPLICATION'
                else 'which reaches the server''s files'
            end)),
        format('revoke %s from %s', p.granted::regrole, p.role::regrole)
    from tenancy_private.lint_powers() as p
    join pg_catalog.pg_roles as r on r.oid = p.role
    join pg_catalog.pg_roles as b on b.oid = p.power
    where b.rolsuper or b.rolbypassrls or b.rolcreaterole or b.rolreplication
       or b.rolname in ('tenancy_owner', 'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
    group by r.rolname, p.role, p.granted;
end;

create function tenancy_private.lint_application_sees_others(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', format('role %I', r.rolname), format('is a member of %s', b.rolname),
        format('revoke %s from %s', p.granted::regrole, p.role::regrole)
    from tenancy_private.lint_powers() as p
    join pg_catalog.pg_roles as r on r.oid = p.role
    join pg_catalog.pg_roles as b on b.oid = p.power
    where b.rolname in ('tenancy_reporter', 'tenancy_admin', 'pg_monitor', 'pg_read_all_stats', 'pg_stat_scan_tables',
        'pg_signal_backend', 'pg_read_all_data', 'pg_write_all_data', 'pg_maintain', 'pg_create_subscription')
      -- Whoever is one of these is so by way of the other.
      and not (b.rolname = 'tenancy_reporter' and exists (
          select from tenancy_private.lint_powers() as q
          join pg_catalog.pg_roles as m on m.oid = q.power and m.rolname = 'tenancy_admin'
          where q.role = p.role and q.granted = p.granted));
end;

create function tenancy_private.lint_application_owns(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    with application as (
        select a.role from tenancy_private.lint_application() as a
        union
        select p.power from tenancy_private.lint_powers() as p
        join pg_catalog.pg_roles as r on r.oid = p.power
        where not r.rolsuper and r.rolname <> 'tenancy_owner'
    )
    select 'error', w.relation::regclass::text, format('belongs to the application''s role %s', c.relowner::regrole),
        format('alter table %s owner to tenancy_owner', w.relation::regclass)
    from unnest(walled) as w
    join pg_catalog.pg_class as c on c.oid = w.relation
    where c.relowner in (select a.role from application as a)
    union all
    select 'error', format('schema %I', n.nspname), format('belongs to the application''s role %s', n.nspowner::regrole),
        format('alter schema %I owner to tenancy_owner', n.nspname)
    from pg_catalog.pg_namespace as n
    where n.nspowner in (select a.role from application as a)
    union all
    select 'error', format('database %I', d.datname), format('belongs to the application''s role %s', d.datdba::regrole),
        format('alter database %I owner to tenancy_owner', d.datname)
    from pg_catalog.pg_database as d
    where d.datname = current_database() and d.datdba in (select a.role from application as a);
end;

create function tenancy_private.lint_owner_has_members(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', format('role %I', r.rolname), format('is a member of %s, which sees every tenant', o.rolname),
        format('revoke %s from %I', o.rolname, r.rolname)
    from pg_catalog.pg_auth_members as m
    join pg_catalog.pg_roles as o on o.oid = m.roleid and o.rolname in ('tenancy_owner', 'tenancy_purger')
    join pg_catalog.pg_roles as r on r.oid = m.member and not r.rolsuper
    where m.member not in (select a.role from tenancy_private.lint_application() as a);
end;

-- What PUBLIC has by default counts once one part of the same list has been taken from it.
create function tenancy_private.lint_hardened(wanted_subject text)
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    with open as (
        select o.subject, o.kind, o.object, g.name, g.grantee
        from tenancy_private.harden_objects() as o
        cross join lateral aclexplode(coalesce(o.acl,
            acldefault(case o.kind when 'function' then 'f'::"char" else 'r'::"char" end, o.owner))) as a
        join tenancy_private.lint_grantees() as g on g.grantee = a.grantee
    )
    select 'warning', case p.kind when 'function' then 'functions ' else 'views ' end || string_agg(p.object, ', ' order by p.object),
        format('are within reach of %s', p.name),
        format(case p.kind when 'function' then 'revoke execute on function %s from %s' else 'revoke select on %s from %s' end,
            string_agg(p.object, ', ' order by p.object), p.name)
    from open as p
    where p.subject = lint_hardened.wanted_subject
      and (p.grantee <> 0 or exists (
          select from tenancy_private.harden_objects() as h
          where h.subject in ('large_objects', 'sessions', 'signals')
            and not exists (
              select from open as q where q.object = h.object and q.kind = h.kind and q.grantee = 0)))
    group by p.kind, p.name;
end;
comment on function tenancy_private.lint_hardened(text) is
    'What harden() takes away and the application has nevertheless.';

create function tenancy_private.lint_large_objects(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select h.* from tenancy_private.lint_hardened('large_objects') as h;
end;

create function tenancy_private.lint_other_sessions(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select h.* from tenancy_private.lint_hardened('sessions') as h;
end;

create function tenancy_private.lint_signals(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select h.* from tenancy_private.lint_hardened('signals') as h;
end;

create function tenancy_private.lint_dblink(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', 'extension dblink', format('can be used by %s', string_agg(distinct g.name, ', ')),
        format('revoke execute on function %s from %s', string_agg(distinct p.oid::regprocedure::text, ', '), string_agg(distinct g.name, ', '))
    from pg_catalog.pg_extension as x
    join pg_catalog.pg_depend as e on e.refclassid = 'pg_catalog.pg_extension'::regclass and e.refobjid = x.oid
        and e.classid = 'pg_catalog.pg_proc'::regclass and e.deptype = 'e'
    join pg_catalog.pg_proc as p on p.oid = e.objid
    cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
    join tenancy_private.lint_grantees() as g on g.grantee = a.grantee
    where x.extname = 'dblink' and a.grantee <> p.proowner
    having count(*) > 0;
end;

-- What PostgreSQL keeps from PUBLIC: files, settings, the log, other programs.
create function tenancy_private.lint_server_functions(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', p.oid::regprocedure::text, format('is a function of the server within reach of %s', string_agg(g.name, ', ')),
        format('revoke execute on function %s from %s', p.oid::regprocedure, string_agg(g.name, ', '))
    from pg_catalog.pg_proc as p
    join pg_catalog.pg_init_privs as i
        on i.classoid = 'pg_catalog.pg_proc'::regclass and i.objoid = p.oid and i.privtype = 'i'
    cross join lateral aclexplode(p.proacl) as a
    join tenancy_private.lint_grantees() as g on g.grantee = a.grantee
    where p.pronamespace = 'pg_catalog'::regnamespace
      and not exists (select from aclexplode(i.initprivs) as b where b.grantee = a.grantee)
      and not exists (
          select from tenancy_private.harden_objects() as h
          where h.kind = 'function' and h.object = p.oid::regprocedure::text)
    group by p.oid;
end;

-- Versions before these have holes in row-level security:
--   CVE-2026-120154  INSERT … ON CONFLICT reads every row       18.7 17.12 16.16 15.20
--   CVE-2025-8713    statistics tell rows of partitions          17.6 16.10 15.14
--   CVE-2024-10976   wrong policies below subqueries             17.1 16.5 15.9
--   CVE-2023-39418   MERGE leaves out policies                   15.4
--   CVE-2023-2455    wrong policies after inlining               15.3
create function tenancy_private.lint_version(version_num integer)
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', format('PostgreSQL %s.%s', f.major, version_num % 10000),
        format('has known holes in row-level security: %s', string_agg(f.cve, ', ' order by f.minor)),
        format('-- Install PostgreSQL %s.%s or a later one of that version, and restart the server.', f.major, max(f.minor))
    from (values
        (15, 3, 'CVE-2023-2455'), (15, 4, 'CVE-2023-39418'),
        (15, 9, 'CVE-2024-10976'), (16, 5, 'CVE-2024-10976'), (17, 1, 'CVE-2024-10976'),
        (15, 14, 'CVE-2025-8713'), (16, 10, 'CVE-2025-8713'), (17, 6, 'CVE-2025-8713'),
        (15, 20, 'CVE-2026-120154'), (16, 16, 'CVE-2026-120154'), (17, 12, 'CVE-2026-120154'), (18, 7, 'CVE-2026-120154')
    ) as f (major, minor, cve)
    where f.major = version_num / 10000 and version_num % 10000 < f.minor
    group by f.major;
end;
comment on function tenancy_private.lint_version(integer) is 'The holes in row-level security that a version of PostgreSQL is known for.';

create function tenancy_private.lint_server_version(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select v.* from tenancy_private.lint_version(current_setting('server_version_num')::integer) as v;
end;

-- What is stored, and what this session has for another reason (the server's configuration file).
create function tenancy_private.lint_compat_setting(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    with stored as (
        select d.datname, r.rolname
        from pg_catalog.pg_db_role_setting as s
        cross join unnest(s.setconfig) as c
        left join pg_catalog.pg_database as d on d.oid = s.setdatabase
        left join pg_catalog.pg_roles as r on r.oid = s.setrole
        where c ~ '^pg_tenancy\.compat_setting=.' and (s.setdatabase = 0 or d.datname = current_database())
    )
    select 'warning', 'setting pg_tenancy.compat_setting', 'lets set_config() choose the tenant',
        case when s.rolname is null then format('alter database %I', s.datname) else format('alter role %I', s.rolname)
            || case when s.datname is null then '' else format(' in database %I', s.datname) end end
            || ' reset pg_tenancy.compat_setting'
    from stored as s
    union all
    select 'warning', 'setting pg_tenancy.compat_setting', 'lets set_config() choose the tenant',
        case when p.source = 'session' then 'reset pg_tenancy.compat_setting'
            else '-- alter system reset pg_tenancy.compat_setting, or take it out of postgresql.conf; then select pg_reload_conf().' end
    from pg_catalog.pg_settings as p
    where p.name = 'pg_tenancy.compat_setting' and p.setting <> ''
      and p.source not in ('database', 'user', 'database user', 'global');
end;
