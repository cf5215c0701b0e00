/*
 * harden(): takes from PUBLIC what lets tenants see or hurt each other when
 * they share a database role, and sets limits on the application's login.
 *
 * These are PostgreSQL's defaults, and not all of them can go in every
 * database: so the statements are shown first, and run when asked for. What is
 * done already isn't shown again.
 */

-- By name: each version of PostgreSQL has some more or fewer.
create function tenancy_private.harden_objects()
    returns table (subject text, kind text, object text, acl aclitem[], owner oid, keepers text)
    language sql stable rows 100
begin atomic
    select s.subject, 'function', p.oid::regprocedure::text, p.proacl, p.proowner, s.keepers
    from pg_catalog.pg_proc as p
    join (values
        -- pg_dump reads large objects, and every pg_dump calls set_config(). Entering a
        -- tenant looks for locks that the connection carries.
        ('large_objects', '^(lo_(?!open|close).*|lowrite)$', null),
        ('large_objects', '^(lo_open|lo_close|loread)$', 'tenancy_backup'),
        ('sessions', '^(pg_stat_get_activity|pg_stat_get_backend_.*|pg_stat_get_progress_info|pg_lock_status|pg_prepared_xact|pg_blocking_pids|pg_safe_snapshot_blocking_pids)$', 'pg_monitor, tenancy_owner'),
        ('signals', '^(pg_terminate_backend|pg_cancel_backend)$', 'pg_signal_backend'),
        ('advisory_locks', '^pg_(try_)?advisory_lock(_shared)?$', null),
        ('set_config', '^set_config$', 'tenancy_backup')
    ) as s (subject, pattern, keepers) on p.proname ~ s.pattern
    where p.pronamespace = 'pg_catalog'::regnamespace
      -- What PostgreSQL itself keeps from PUBLIC: lo_import() and lo_export().
      and not exists (
          select from pg_catalog.pg_init_privs as i
          where i.classoid = 'pg_catalog.pg_proc'::regclass and i.objoid = p.oid and i.privtype = 'i')
    union all
    select 'sessions', 'table', c.oid::regclass::text, c.relacl, c.relowner, 'pg_monitor, tenancy_owner'
    from pg_catalog.pg_class as c
    where c.relnamespace = 'pg_catalog'::regnamespace
      and c.relname in ('pg_stat_activity', 'pg_locks', 'pg_prepared_xacts')
    union all
    select 'sessions', 'table', c.oid::regclass::text, c.relacl, c.relowner, 'pg_monitor, tenancy_owner'
    from pg_catalog.pg_class as c
    join pg_catalog.pg_depend as e on e.classid = 'pg_catalog.pg_class'::regclass and e.objid = c.oid and e.deptype = 'e'
    join pg_catalog.pg_extension as x on x.oid = e.refobjid and e.refclassid = 'pg_catalog.pg_extension'::regclass
    where x.extname = 'pg_stat_statements' and c.relkind = 'v';
end;
comment on function tenancy_private.harden_objects() is
    'What harden() takes from PUBLIC in the catalog, by subject, and who keeps it.';

create function tenancy_private.harden_public()
    returns table (subject text, kind text, objects text, keepers text)
    language sql stable rows 10
begin atomic
    select o.subject, o.kind, string_agg(o.object, ', ' order by o.object), o.keepers
    from tenancy_private.harden_objects() as o
    where exists (
        select from aclexplode(coalesce(o.acl, acldefault(case o.kind when 'function' then 'f'::"char" else 'r'::"char" end, o.owner))) as a
        where a.grantee = 0)
    group by o.subject, o.kind, o.keepers;
end;
comment on function tenancy_private.harden_public() is 'What of harden_objects() PUBLIC still has.';

create function tenancy.harden(
    login regrole default null,
    apply boolean default false,
    keep text[] default array['set_config'],
    lock_timeout interval default '5 s',
    statement_timeout interval default '30 s',
    idle_in_transaction_session_timeout interval default '60 s'
)
    returns table (subject text, statement text, why text)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    wrong text;
begin
    select k into wrong
    from unnest(keep) as k
    where k not in ('temporary_tables', 'schema_public', 'large_objects', 'sessions', 'signals',
        'advisory_locks', 'set_config', 'timeouts');
    if wrong is not null then
        raise exception 'there is no subject "%" to keep', wrong
            using errcode = 'TN801',
                  hint = 'temporary_tables, schema_public, large_objects, sessions, signals, advisory_locks, set_config, timeouts';
    end if;
    if login is not null and not exists (
        select from tenancy_private.lint_application() as a
        join pg_roles as r on r.oid = a.role
        where a.role = login and r.rolcanlogin)
    then
        raise exception 'role % is no login of the application', login
            using errcode = 'TN802',
                  hint = format('It has to be able to log in, and be a member: grant tenancy_app to %s', login);
    end if;

    for subject, statement, why in
        select w.subject, w.statement, w.why
        from tenancy_private.harden_statements(login, lock_timeout, statement_timeout, idle_in_transaction_session_timeout) as w
        where w.subject <> all (coalesce(keep, '{}'))
    loop
        if apply then
            execute statement;
        end if;
        return next;
    end loop;
end
$$;
comment on function tenancy.harden(regrole, boolean, text[], interval, interval, interval) is
    'The statements that take from PUBLIC what lets tenants on a shared role see or hurt each other, and set limits on the application''s login; with apply they are run. Only what is still to do; keep names subjects that stay as they are. For a superuser. TN801 no such subject, TN802 no login of the application.';

create function tenancy_private.harden_statements(
    login regrole,
    lock_timeout interval,
    statement_timeout interval,
    idle_in_transaction_session_timeout interval
)
    returns table (subject text, statement text, why text)
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select 'temporary_tables', format('revoke temporary on database %I from public', d.datname),
        'A temporary table outlives its transaction and hands rows on to the next tenant of a pooled connection.'
    from pg_database as d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) as a
    where d.datname = current_database() and a.grantee = 0 and a.privilege_type = 'TEMPORARY';

    return query
    select 'schema_public', 'revoke create on schema public from public',
        'Whoever can create objects in a schema of the path can put a function in the way of another.'
    from pg_namespace as n, aclexplode(n.nspacl) as a
    where n.nspname = 'public' and a.grantee = 0 and a.privilege_type = 'CREATE';

    return query
    select p.subject,
        format('revoke %s from public', what)
            || case when p.keepers is null then '' else format('; grant %s to %s', what, p.keepers) end,
        case p.subject
            when 'large_objects' then 'Large objects have no tenant: who made one can read it in every tenant''s session.'
            when 'sessions' then 'Sessions of one role see each other''s queries, locks and prepared transactions, whichever tenant they serve.'
            when 'signals' then 'A session may end every other of its own role.'
            when 'advisory_locks' then 'A lock held by the session outlives its transaction, and waits for other tenants.'
            when 'set_config' then 'Settings of the session stay on a pooled connection. Only where the application and its driver don''t call it.'
        end
    from tenancy_private.harden_public() as p
    cross join lateral format(case p.kind when 'function' then 'execute on function %s' else 'select on %s' end, p.objects) as what
    order by p.subject, p.kind, p.objects;

    return query
    select 'timeouts', format('alter role %s in database %I set %s = %L', login, current_database(), t.name, t.milliseconds || 'ms'),
        t.why
    from (values
        ('lock_timeout', lock_timeout, 'A statement that waits for another tenant''s lock gives up.'),
        ('statement_timeout', statement_timeout, 'One slow statement doesn''t hold a connection that all tenants share.'),
        ('idle_in_transaction_session_timeout', idle_in_transaction_session_timeout, 'A forgotten transaction lets its locks and its connection go.')
    ) as v (name, length, why)
    cross join lateral (
        select v.name, v.why, (extract(epoch from v.length) * 1000)::bigint as milliseconds
    ) as t
    where login is not null and t.milliseconds is not null
      and not exists (
          select from pg_db_role_setting as s
          join pg_database as d on d.oid = s.setdatabase and d.datname = current_database()
          where s.setrole = login and format('%s=%sms', t.name, t.milliseconds) = any (s.setconfig));
end
$$;
comment on function tenancy_private.harden_statements(regrole, interval, interval, interval) is 'All that harden() would still do.';
