/*
 * lint(): what somebody has changed by hand on the extension's own objects.
 *
 * pg_dump carries none of it: a restored database has them as CREATE EXTENSION
 * makes them. So the install script ends with a look at what it has made, which
 * lint_remember() keeps in a function, and lint() compares.
 */

-- Each part with what makes it, and what takes it away again.
create function tenancy_private.lint_own_parts()
    returns table (kind text, object text, definition text, makes text, unmakes text)
    language sql stable rows 500
    set search_path = pg_catalog, pg_temp
begin atomic
    with own as (
        select c.oid::regclass as name, c.*
        from pg_catalog.pg_class as c
        where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace) and c.relkind in ('r', 'p', 'v')
    )
    select 'row-level security', o.name::text,
        concat_ws(' and ', case when o.relrowsecurity then 'on' else 'off' end, case when o.relforcerowsecurity then 'forced' else 'not forced' end),
        format('alter table %s %s row level security, %s row level security', o.name,
            case when o.relrowsecurity then 'enable' else 'disable' end, case when o.relforcerowsecurity then 'force' else 'no force' end),
        null::text
    from own as o where o.relkind in ('r', 'p')
    union all
    select 'owner', o.name::text, pg_get_userbyid(o.relowner)::text,
        format('alter table %s owner to %I', o.name, pg_get_userbyid(o.relowner)), null
    from own as o
    union all
    select 'column', format('%s.%I', o.name, a.attname), format_type(a.atttypid, a.atttypmod),
        null, null
    from own as o join pg_catalog.pg_attribute as a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
    where o.relkind in ('r', 'p')
    union all
    select 'not null', format('%s.%I', o.name, a.attname), a.attnotnull::text,
        format('alter table %s alter column %I %s not null', o.name, a.attname, case when a.attnotnull then 'set' else 'drop' end), null
    from own as o join pg_catalog.pg_attribute as a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
    where o.relkind in ('r', 'p')
    union all
    select 'default', format('%s.%I', o.name, a.attname), pg_get_expr(d.adbin, d.adrelid),
        format('alter table %s alter column %I set default %s', o.name, a.attname, pg_get_expr(d.adbin, d.adrelid)),
        format('alter table %s alter column %I drop default', o.name, a.attname)
    from own as o
    join pg_catalog.pg_attribute as a on a.attrelid = o.oid and a.attidentity = '' and a.attgenerated = ''
    join pg_catalog.pg_attrdef as d on d.adrelid = o.oid and d.adnum = a.attnum
    where o.relkind in ('r', 'p')
    union all
    select 'constraint', format('%I on %s', k.conname, o.name), pg_get_constraintdef(k.oid),
        format('alter table %s add constraint %I %s', o.name, k.conname, pg_get_constraintdef(k.oid)),
        format('alter table %s drop constraint %I', o.name, k.conname)
    from own as o join pg_catalog.pg_constraint as k on k.conrelid = o.oid and k.contype in ('p', 'u', 'f', 'c', 'x')
    union all
    select 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid),
        pg_get_indexdef(i.indexrelid), format('drop index %s', i.indexrelid::regclass)
    from own as o join pg_catalog.pg_index as i on i.indrelid = o.oid
    where not exists (
        select from pg_catalog.pg_constraint as k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
    union all
    select 'policy', format('%I on %s', p.polname, o.name), d.definition,
        format('create policy %I on %s %s', p.polname, o.name, d.definition), format('drop policy %I on %s', p.polname, o.name)
    from own as o
    join pg_catalog.pg_policy as p on p.polrelid = o.oid
    cross join lateral (
        select format('as %s for %s to %s%s%s', case when p.polpermissive then 'permissive' else 'restrictive' end,
            case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
            (select string_agg(case u.role when 0 then 'public' else u.role::regrole::text end, ', ' order by u.role) from unnest(p.polroles) as u (role)),
            ' using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
            ' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')') as definition
    ) as d
    union all
    select 'trigger', format('%I on %s', t.tgname, o.name), pg_get_triggerdef(t.oid) || case t.tgenabled when 'O' then '' when 'A' then ' (always)' else ' (not enabled)' end,
        pg_get_triggerdef(t.oid) || case t.tgenabled when 'A' then format('; alter table %s enable always trigger %I', o.name, t.tgname) else '' end,
        format('drop trigger %I on %s', t.tgname, o.name)
    from own as o join pg_catalog.pg_trigger as t on t.tgrelid = o.oid and not t.tgisinternal
    union all
    select 'view', o.name::text, pg_get_viewdef(o.oid) || coalesce(o.reloptions::text, ''), null, null
    from own as o where o.relkind = 'v'
    union all
    select 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid), pg_get_functiondef(p.oid), null
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace) and p.prokind in ('f', 'p')
      and p.proname <> 'lint_remembered'
    union all
    select 'owner', p.oid::regprocedure::text, pg_get_userbyid(p.proowner)::text,
        format('alter routine %s owner to %I', p.oid::regprocedure, pg_get_userbyid(p.proowner)), null
    from pg_catalog.pg_proc as p
    where p.pronamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
      and p.proname <> 'lint_remembered' and p.prorettype <> 'event_trigger'::regtype
    union all
    select 'event trigger', e.evtname::text, e.evtenabled::text, format('alter event trigger %I enable', e.evtname), null
    from pg_catalog.pg_event_trigger as e
    where e.evtname like 'pg\_tenancy%';
end;
comment on function tenancy_private.lint_own_parts() is 'The extension''s own objects as they are, part by part.';

-- pg_dump leaves a function of an extension to CREATE EXTENSION, which makes it anew.
create function tenancy_private.lint_remember()
    returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    execute format(
        'create or replace function tenancy_private.lint_remembered() returns json language sql stable as %L',
        format('select %L::json', (
            select json_build_object(
                'major', current_setting('server_version_num')::integer / 10000,
                'parts', json_agg(json_build_object('kind', p.kind, 'object', p.object, 'definition', p.definition, 'makes', p.makes)))
            from tenancy_private.lint_own_parts() as p)));
    alter function tenancy_private.lint_remembered() owner to tenancy_owner;
    revoke all on function tenancy_private.lint_remembered() from public;
    comment on function tenancy_private.lint_remembered() is 'What lint_remember() saw last.';
end
$$;
comment on function tenancy_private.lint_remember() is
    'Keeps what the extension''s objects are now as what they should be. The last statement of the install script and of every upgrade script; and for the DBA after pg_upgrade, because each version of PostgreSQL spells definitions in its own way.';

create function tenancy_private.lint_extension_changed(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language plpgsql stable
as $$
declare
    remembered constant json := tenancy_private.lint_remembered();
begin
    if (remembered ->> 'major')::integer <> current_setting('server_version_num')::integer / 10000 then
        return query select 'info', 'extension pg_tenancy',
            format('was installed under PostgreSQL %s, and can''t be compared with what it was', remembered ->> 'major'),
            'select tenancy_private.lint_remember()';
        return;
    end if;

    return query
    select case when coalesce(n.kind, w.kind) in ('index', 'constraint', 'default') and n.definition is not null and w.definition is null
            then 'warning' else 'error' end,
        format('%s %s', coalesce(n.kind, w.kind), coalesce(n.object, w.object)),
        case
            when w.definition is null then 'was added to the extension''s own objects'
            when n.definition is null then 'is missing from the extension''s own objects'
            when n.kind in ('row-level security', 'owner') then format('is %s, and should be %s', n.definition, w.definition)
            else 'is not as the extension made it'
        end,
        case
            when w.definition is null then coalesce(n.unmakes, format(
                '-- Move what the %s %s holds to a table of your own, and drop it: pg_dump doesn''t carry it.', n.kind, n.object))
            when n.definition is null then coalesce(w.makes, '-- Restore the database from a dump into a new one.')
            when w.makes is null then '-- Restore the database from a dump into a new one.'
            when n.kind in ('policy', 'constraint', 'index', 'trigger') then format('%s; %s', n.unmakes, w.makes)
            else w.makes
        end
    from tenancy_private.lint_own_parts() as n
    full join json_to_recordset(remembered -> 'parts') as w (kind text, object text, definition text, makes text)
        on w.kind = n.kind and w.object = n.object
    where n.definition is distinct from w.definition
      -- A column that was added is one finding and not three.
      and not (w.definition is null and n.kind in ('not null', 'default') and not exists (
          select from json_to_recordset(remembered -> 'parts') as c (kind text, object text)
          where c.kind = 'column' and c.object = n.object))
      and not (w.definition is null and n.kind = 'owner');
end
$$;

-- What the extension granted is in pg_init_privs, which CREATE EXTENSION fills.
create function tenancy_private.lint_extension_grants(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    with own as (
        select 'pg_catalog.pg_class'::regclass::oid as class, c.oid, 0 as part, c.relowner as owner, c.relacl as acl,
            acldefault('r', c.relowner) as usual, format('table %s', c.oid::regclass) as object, 'table ' || c.oid::regclass as on_what, '' as columns
        from pg_catalog.pg_class as c
        where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace) and c.relkind in ('r', 'p', 'v')
        union all
        select 'pg_catalog.pg_class'::regclass, c.oid, a.attnum, c.relowner, a.attacl,
            null::aclitem[], format('column %s.%I', c.oid::regclass, a.attname), 'table ' || c.oid::regclass, format(' (%I)', a.attname)
        from pg_catalog.pg_class as c
        join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace) and c.relkind in ('r', 'p', 'v')
        union all
        select 'pg_catalog.pg_proc'::regclass, p.oid, 0, p.proowner, p.proacl,
            acldefault('f', p.proowner), p.oid::regprocedure::text, 'routine ' || p.oid::regprocedure, ''
        from pg_catalog.pg_proc as p
        where p.pronamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
        union all
        select 'pg_catalog.pg_namespace'::regclass, n.oid, 0, n.nspowner, n.nspacl,
            acldefault('n', n.nspowner), format('schema %I', n.nspname), format('schema %I', n.nspname), ''
        from pg_catalog.pg_namespace as n
        where n.nspname in ('tenancy', 'tenancy_private')
    ), now as (
        select o.class, o.oid, o.part, o.object, o.on_what, o.columns, a.grantee, a.privilege_type
        from own as o, aclexplode(coalesce(o.acl, o.usual)) as a
        where a.grantee <> o.owner
    ), then_ as (
        select o.class, o.oid, o.part, o.object, o.on_what, o.columns, a.grantee, a.privilege_type
        from own as o
        left join pg_catalog.pg_init_privs as i
            on i.classoid = o.class and i.objoid = o.oid and i.objsubid = o.part and i.privtype = 'e'
        cross join lateral aclexplode(coalesce(i.initprivs, o.usual)) as a
        where a.grantee <> o.owner
    )
    select 'error', coalesce(n.object, t.object),
        format(case when t.object is null then 'grants %s to %s, which the extension does not' else 'no longer grants %s to %s' end,
            lower(coalesce(n.privilege_type, t.privilege_type)), w.name),
        format(case when t.object is null then 'revoke %s%s on %s from %s' else 'grant %s%s on %s to %s' end,
            lower(coalesce(n.privilege_type, t.privilege_type)), coalesce(n.columns, t.columns), coalesce(n.on_what, t.on_what), w.name)
    from now as n
    full join then_ as t on t.class = n.class and t.oid = n.oid and t.part = n.part
        and t.grantee = n.grantee and t.privilege_type = n.privilege_type
    cross join lateral (
        select case coalesce(n.grantee, t.grantee) when 0 then 'public'
            else coalesce(n.grantee, t.grantee)::regrole::text end as name
    ) as w
    where n.object is null or t.object is null;
end;

create function tenancy_private.lint_role_changed(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', format('role %I', r.rolname), concat_ws(', ',
            case when r.rolcanlogin then 'can log in' end,
            case when r.rolsuper then 'is a superuser' end,
            case when r.rolcreaterole then 'has CREATEROLE' end,
            case when r.rolcreatedb then 'has CREATEDB' end,
            case when r.rolreplication then 'has REPLICATION' end,
            case when r.rolbypassrls <> w.bypasses then case when w.bypasses then 'lacks BYPASSRLS' else 'has BYPASSRLS' end end),
        format('alter role %I nologin nosuperuser nocreatedb nocreaterole noreplication %s', r.rolname, case when w.bypasses then 'bypassrls' else 'nobypassrls' end)
    from (values
        ('tenancy_owner', true), ('tenancy_app', false), ('tenancy_gateway', false), ('tenancy_authenticator', false),
        ('tenancy_reporter', false), ('tenancy_admin', false), ('tenancy_backup', true), ('tenancy_purger', true)
    ) as w (name, bypasses)
    join pg_catalog.pg_roles as r on r.rolname = w.name
    where r.rolcanlogin or r.rolsuper or r.rolcreatedb or r.rolcreaterole or r.rolreplication
       or r.rolbypassrls <> w.bypasses;
end;
