/*
 * Calls of exposed functions, and how they are described to clients.
 */

-- A definer: nobody may read the table. Volatile, so that it sees what was committed
-- after the statement began.
create function tenancy_private.callable_function(name text)
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select json_build_object(
            'oid', p.oid::bigint,
            'identity', format('function %s returns %s', p.oid::regprocedure, pg_get_function_result(p.oid)),
            'name', format('%I.%I', n.nspname, p.proname),
            'isSet', p.proretset,
            -- A table of one column is a table, and not a list of values.
            'column', case when 't' = any (p.proargmodes) and p.prorettype <> 'record'::regtype
                then (select c.name from tenancy_private.function_columns(p.oid) as c) end,
            'arguments', coalesce((
                select json_agg(json_build_object(
                    'name', tenancy_private.field_name(a.name),
                    'typeOid', a.type::bigint,
                    'typeName', format_type(a.type, null),
                    'default', a.default_value) order by a.place)
                from tenancy_private.function_arguments(p.oid) as a), '[]'))
        from tenancy_private.callable_functions() as f
        join pg_proc as p on p.oid = f.function
        join pg_namespace as n on n.oid = p.pronamespace
        where f.name = callable_function.name);
end
$$;
comment on function tenancy_private.callable_function(text) is
    'What a call of an exposed function takes, as JSON; NULL where there is none of that name.';

create function tenancy.call_function(name text, arguments json default '{}')
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_call_function';
comment on function tenancy.call_function(text, json) is
    'Calls an exposed function with the arguments of a JSON object, by their names in camelCase; those that have a default may be left out. Returns a value as JSON, a row as an object, a set as an array (at most 1000), nothing as null. Runs as the caller. TN001, TN402 no such argument, TN405 bad value, TN410 an argument is missing, TN423 more rows than can be served, TN424 no such function, and what the function raises.';

create function tenancy_private.described_type(type oid)
    returns json
    language sql stable strict
begin atomic
    select case when e.oid is null
        then pg_catalog.json_build_object('type', case when t.typtype = 'c' or t.oid = 'record'::regtype then 'json' else t.typname end,
            'elementType', null)
        else pg_catalog.json_build_object('type', 'array', 'elementType', e.typname) end
    from pg_catalog.pg_type as t
    left join pg_catalog.pg_type as e
      on e.oid = tenancy_private.base_type(t.typelem) and t.typcategory = 'A'
    where t.oid = tenancy_private.base_type(described_type.type);
end;
comment on function tenancy_private.described_type(oid) is
    'The type below domains, by its name in pg_type; an array with its elements'' type; a row is json.';

-- A definer: nobody may read the table.
create function tenancy_private.described_functions(role name)
    returns json
    language plpgsql stable
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return coalesce((
        select json_agg(json_build_object(
            'name', f.name,
            'comment', obj_description(p.oid, 'pg_proc'),
            'isReading', p.provolatile <> 'v',
            'arguments', coalesce((
                select json_agg(json_build_object(
                    'name', tenancy_private.field_name(a.name),
                    'type', tenancy_private.described_type(a.type) ->> 'type',
                    'elementType', tenancy_private.described_type(a.type) ->> 'elementType',
                    'isRequired', a.default_value is null) order by a.place)
                from tenancy_private.function_arguments(p.oid) as a), '[]'),
            'returns', json_build_object(
                'type', case when 't' = any (p.proargmodes) then 'json'
                    else tenancy_private.described_type(p.prorettype) ->> 'type' end,
                'elementType', tenancy_private.described_type(p.prorettype) ->> 'elementType',
                'isSet', p.proretset,
                'fields', (
                    select json_agg(json_build_object(
                        'name', tenancy_private.field_name(c.name),
                        'type', tenancy_private.described_type(c.type) ->> 'type',
                        'elementType', tenancy_private.described_type(c.type) ->> 'elementType') order by c.place)
                    from tenancy_private.function_columns(p.oid) as c
                    -- A single OUT argument is a value.
                    where p.prorettype = 'record'::regtype or 't' = any (p.proargmodes) or p.proargmodes is null)))
            order by f.name)
        from tenancy_private.callable_functions() as f
        join pg_proc as p on p.oid = f.function
        where has_function_privilege(described_functions.role, p.oid, 'execute')
          and has_schema_privilege(described_functions.role, p.pronamespace, 'usage')
    ), '[]');
end
$$;
comment on function tenancy_private.described_functions(name) is
    'The exposed functions that a role may call, as resources() tells them: [{"name","comment","isReading","arguments":[{"name","type","elementType","isRequired"}],"returns":{"type","elementType","isSet","fields"}}]. A row is of type json and has fields.';
