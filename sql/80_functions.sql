/*
 * Functions as resources: what a table can't say is a function of the DBA's,
 * which clients call with named arguments in JSON.
 *
 *     select tenancy.expose_function('public.enrol(uuid, uuid)');
 *     select tenancy.call_function('enrol', '{"studentId": "…", "classId": "…"}')
 *         from tenancy.enter($1)
 *
 * A function runs as the caller, so that grants and row-level security are the
 * rule in it. One that is a SECURITY DEFINER is refused, and is not there from the
 * moment on when somebody makes it one. In Rust: pg_tenancy/src/rows/call.rs.
 */

-- By name: a regprocedure would keep pg_upgrade from starting.
create table tenancy.exposed_functions (
    name text collate "C" primary key,
    schema text collate "C" not null,
    function text collate "C" not null,
    arguments text[] collate "C" not null,
    exposed_at timestamptz not null default now(),
    exposed_by text not null default session_user,
    constraint exposed_functions_name_shape check (name ~ '^[a-z][a-z0-9_-]{0,62}$')
);
select pg_catalog.pg_extension_config_dump('tenancy.exposed_functions', '');
comment on table tenancy.exposed_functions is 'The functions that clients may call, by what they are called there. No policy: RLS shows it to nobody but its owner.';
comment on column tenancy.exposed_functions.arguments is 'The types of what it takes, with their schemas. A function that is dropped or renamed is not there any more.';

alter table tenancy.exposed_functions enable row level security, force row level security;

create function tenancy_private.require_dba(deed text)
    returns void
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if not (select r.rolsuper from pg_roles as r where r.rolname = current_user) then
        raise exception 'only a superuser may %', deed
            using errcode = '42501', hint = 'Ask the DBA.';
    end if;
    if coalesce(current_setting('pg_tenancy.context', true), '') <> '' then
        raise exception 'a tenant has been entered in this transaction'
            using errcode = 'TN444', hint = 'Do that outside of a tenant''s context, in a transaction of its own.';
    end if;
end
$$;
comment on function tenancy_private.require_dba(text) is
    'Raises unless the caller is a superuser (42501) outside of a context (TN444).';

-- The path is pinned, so that all but PostgreSQL's own types have their schema.
create function tenancy_private.argument_types(function oid)
    returns text[]
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    select array(
        select format_type(u.type, null)
        from unnest(p.proargtypes) with ordinality as u (type, place)
        order by u.place)
    from pg_proc as p
    where p.oid = argument_types.function
$$;
comment on function tenancy_private.argument_types(oid) is 'The types of what a function takes, with their schemas.';

create function tenancy_private.base_type(type oid)
    returns oid
    language sql stable strict
begin atomic
    with recursive below (oid, base) as (
        select t.oid, t.typbasetype from pg_catalog.pg_type as t where t.oid = base_type.type
        union all
        select t.oid, t.typbasetype from below as b join pg_catalog.pg_type as t on t.oid = b.base
    )
    select b.oid from below as b where b.base = 0;
end;
comment on function tenancy_private.base_type(oid) is 'The type below a domain; any other type itself.';

create function tenancy_private.function_arguments(function oid)
    returns table (place integer, name text, type oid, default_value text)
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    select u.place::integer, coalesce(p.proargnames[u.place], ''),
        coalesce(p.proallargtypes[u.place], u.type),
        pg_get_function_arg_default(p.oid, u.place::integer)
    from pg_proc as p
    cross join lateral unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality as u (type, place)
    where p.oid = function_arguments.function
      and coalesce(p.proargmodes[u.place], 'i') in ('i', 'b', 'v')
    order by u.place
$$;
comment on function tenancy_private.function_arguments(oid) is 'What a function takes, in order, and its defaults as SQL.';

create function tenancy_private.function_columns(function oid)
    returns table (place integer, name text, type oid)
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    select u.place::integer, coalesce(p.proargnames[u.place], ''), u.type
    from pg_proc as p
    cross join lateral unnest(p.proallargtypes) with ordinality as u (type, place)
    where p.oid = function_columns.function and p.proargmodes[u.place] in ('o', 'b', 't')
    union all
    select a.attnum, a.attname, a.atttypid
    from pg_proc as p
    join pg_type as t on t.oid = tenancy_private.base_type(p.prorettype)
    join pg_attribute as a on a.attrelid = t.typrelid
    where p.oid = function_columns.function and a.attnum > 0 and not a.attisdropped
    order by 1
$$;
comment on function tenancy_private.function_columns(oid) is 'The columns of what a function gives; none for a scalar.';

create function tenancy_private.why_not_exposed(function oid)
    returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select case
        when p.oid is null then 'there is no such function'
        when p.pronamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
            then 'it belongs to the system'
        when p.pronamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
            then 'it belongs to pg_tenancy'
        when n.nspname like 'pg\_%' then 'it is temporary'
        when p.prokind = 'p' then 'it is a procedure'
        when p.prokind = 'a' then 'it is an aggregate'
        when p.prokind = 'w' then 'it is a window function'
        when p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype) then 'it is a trigger''s'
        when p.prosecdef then 'it is a SECURITY DEFINER: it runs as its owner, whom row-level security may not hold, for whoever calls it'
        when p.provariadic <> 0 then 'it is VARIADIC, and arguments are given by name'
        when exists (select from tenancy_private.function_arguments(p.oid) as a where a.name = '')
            then 'it has an argument without a name, and arguments are given by name'
        when exists (
            select from tenancy_private.function_arguments(p.oid) as a
            join pg_type as t on t.oid = tenancy_private.base_type(a.type)
            left join pg_type as e on e.oid = t.typelem and t.typcategory = 'A'
            where 'p' in (t.typtype, e.typtype))
            then 'it is polymorphic, or takes what only PostgreSQL has'
        when exists (
            select from tenancy_private.function_arguments(p.oid) as a
            join pg_type as t on t.oid = tenancy_private.base_type(a.type)
            left join pg_type as e on e.oid = tenancy_private.base_type(t.typelem) and t.typcategory = 'A'
            where 'c' in (t.typtype, e.typtype))
            then 'it takes a row; take its columns, or json'
        when (
            select count(*) <> count(distinct tenancy_private.field_name(a.name))
            from tenancy_private.function_arguments(p.oid) as a)
            then 'two of its arguments have one name in JSON'
        when p.prorettype = 'record'::regtype
            and not exists (select from tenancy_private.function_columns(p.oid))
            then 'it returns a record whose columns only a caller can say'
        when r.typtype = 'p' and p.prorettype not in ('void'::regtype, 'record'::regtype)
            then 'it returns what only PostgreSQL has'
        when (
            select count(*) <> count(distinct tenancy_private.field_name(c.name))
            from tenancy_private.function_columns(p.oid) as c)
            then 'two of its columns have one name in JSON, or none'
    end
    from (values (why_not_exposed.function)) as f (oid)
    left join pg_proc as p on p.oid = f.oid
    left join pg_namespace as n on n.oid = p.pronamespace
    left join pg_type as r on r.oid = tenancy_private.base_type(p.prorettype)
$$;
comment on function tenancy_private.why_not_exposed(oid) is 'Why a function can''t be exposed; NULL where it can.';

create function tenancy_private.callable_functions()
    returns table (name text, function oid)
    language sql stable rows 20
    set search_path = pg_catalog, pg_temp
as $$
    select e.name, p.oid
    from tenancy.exposed_functions as e
    join pg_namespace as n on n.nspname = e.schema
    join pg_proc as p
      on p.pronamespace = n.oid and p.proname = e.function
     and tenancy_private.argument_types(p.oid) = e.arguments
    where p.prokind = 'f' and not p.prosecdef
$$;
comment on function tenancy_private.callable_functions() is
    'The exposed functions that are there, and are no SECURITY DEFINER.';

create function tenancy.expose_function(function regprocedure, name text default null)
    returns text
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    exposed tenancy.exposed_functions;
    reason text;
begin
    perform tenancy_private.require_dba('expose a function');
    reason := tenancy_private.why_not_exposed(expose_function.function);
    if reason is not null then
        raise exception '% can''t be exposed: %', coalesce(expose_function.function::text, 'NULL'), reason
            using errcode = 'TN440', hint = 'A plain function with named arguments can, which runs as its caller.';
    end if;
    select coalesce(expose_function.name, p.proname), n.nspname, p.proname,
        tenancy_private.argument_types(p.oid)
    into exposed.name, exposed.schema, exposed.function, exposed.arguments
    from pg_proc as p
    join pg_namespace as n on n.oid = p.pronamespace
    where p.oid = expose_function.function;
    if exposed.name !~ '^[a-z][a-z0-9_-]{0,62}$' then
        raise exception '"%" is no name for a resource', left(exposed.name, 64)
            using errcode = 'TN441', hint = 'It has 1 to 63 small letters, digits, _ and -, and begins with a letter. Name one: name => ''…''.';
    elsif not has_function_privilege('tenancy_app', expose_function.function, 'execute') then
        raise exception 'the application may not execute %', expose_function.function
            using errcode = 'TN443', hint = format('grant execute on function %s to tenancy_app', expose_function.function);
    elsif not has_schema_privilege('tenancy_app', exposed.schema, 'usage') then
        raise exception 'the application may not look into the schema of %', expose_function.function
            using errcode = 'TN443', hint = format('grant usage on schema %I to tenancy_app', exposed.schema);
    end if;

    -- What is there no longer leaves its name to another.
    delete from tenancy.exposed_functions as e
    where e.name = exposed.name
      and not exists (
          select from tenancy_private.callable_functions() as c
          where c.name = exposed.name and c.function <> expose_function.function);
    if exists (select from tenancy.exposed_functions as e where e.name = exposed.name) then
        raise exception 'another function is exposed as "%"', exposed.name
            using errcode = 'TN441', hint = format('Name another, or: select tenancy.hide_function(%L)', exposed.name);
    end if;
    insert into tenancy.exposed_functions (name, schema, function, arguments)
    values (exposed.name, exposed.schema, exposed.function, exposed.arguments);
    return exposed.name;
end
$$;
comment on function tenancy.expose_function(regprocedure, text) is
    'For a superuser: lets clients call a function, by its own name or another one, and returns that. Again: no effect. TN440 it can''t be (a SECURITY DEFINER, no plain function, arguments without names and the like), TN441 a bad name or one that is taken, TN443 tenancy_app may not execute it, TN444 inside a context.';

create function tenancy.hide_function(name text)
    returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.require_dba('hide a function');
    delete from tenancy.exposed_functions as e where e.name = hide_function.name;
    if not found then
        raise exception 'no function is exposed as "%"', left(hide_function.name, 64)
            using errcode = 'TN442', hint = 'select name from tenancy.exposed_functions';
    end if;
end
$$;
comment on function tenancy.hide_function(text) is
    'For a superuser: takes an exposed function back; it itself stays. TN442 there is none of that name, TN444 inside a context.';

create function tenancy_private.tell_of_functions()
    returns trigger
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('pg_tenancy_resources', '');
    return null;
end
$$;
comment on function tenancy_private.tell_of_functions() is 'Tells services that listen that other functions are exposed.';

create trigger tell after insert or update or delete or truncate on tenancy.exposed_functions
    for each statement execute function tenancy_private.tell_of_functions();
