/*
 * Rows that are made up: from types, NOT NULL, defaults, CHECKs, unique
 * constraints and foreign keys, or from a sample.
 *
 * What a CHECK over several columns asks for is found by trying, up to two
 * hundred times. What can't be found is asked for, by the column's name.
 */

create function tenancy_private.make_row(relation regclass, tenant uuid, sample json default null, depth int default 0)
    returns jsonb
    language plpgsql
as $$
declare
    fixed jsonb;
    choices jsonb;
    mode text;
    draft jsonb;
    complaint_code text;
    complaint text;
    column_in_question text;
begin
    if depth > 8 then
        raise exception 'the references of % go in a circle', relation
            using errcode = 'TN823', hint = 'A row of it can''t be made unless one of them may be NULL.';
    end if;
    fixed := tenancy_private.fixed_values(relation, tenant, sample, depth);
    choices := tenancy_private.choices(relation, fixed);

    -- Once more without triggers: where one refuses every row, the attacks are still worth trying.
    foreach mode in array array['origin', 'replica'] loop
        for attempt in 1 .. 200 loop
            select fixed || coalesce(jsonb_object_agg(c.key, c.value -> 'values' -> (case
                    -- The first two times what is likeliest, then at random, first where a CHECK is the reason.
                    when attempt <= 2 or attempt <= 150 and not (c.value ->> 'is_checked')::boolean then 0
                    else floor(random() * jsonb_array_length(c.value -> 'values'))::int
                end)) filter (where (c.value ->> 'is_needed')::boolean or attempt > 1 and random() < 0.5), '{}')
            into draft
            from jsonb_each(choices) as c;

            begin
                perform set_config('session_replication_role', mode, true);
                draft := tenancy_private.store_row(relation, draft);
                perform set_config('session_replication_role', 'origin', true);
                return draft;
            exception
                when others then
                    get stacked diagnostics
                        complaint_code = returned_sqlstate,
                        complaint = message_text,
                        column_in_question = column_name;
            end;
            exit when complaint_code not like '23%';
        end loop;
    end loop;
    raise exception 'a row of % can''t be made: % (%)', relation, complaint, complaint_code
        using errcode = 'TN823', column = column_in_question,
              hint = case when depth = 0
                  then 'Give a sample: tenancy.assert_isolated(''…'', ''{"column": "value"}'').'
                  else 'Another table refers to it. Give one row of it to each tenant, or make that reference nullable.'
              end;
end
$$;
comment on function tenancy_private.make_row(regclass, uuid, json, int) is
    'Stores a made-up row of that tenant and returns its values as text by column, and under the empty name the condition that finds it. TN823.';

create function tenancy_private.store_row(relation regclass, draft jsonb)
    returns jsonb
    language plpgsql
as $$
declare
    stored jsonb;
    pinned_path text := current_setting('search_path');
    missing_context text := current_setting('pg_tenancy.missing_context');
    statement text := tenancy_private.insertion(relation, draft)
        || ' returning ' || tenancy_private.all_as_text(relation);
begin
    -- Defaults and triggers may look for things in a session's path, and for a tenant.
    perform set_config('pg_tenancy.missing_context', 'empty', true);
    perform set_config('search_path', s.reset_val, true) from pg_settings as s where s.name = 'search_path';
    execute statement into stored;
    perform set_config('search_path', pinned_path, true);
    perform set_config('pg_tenancy.missing_context', missing_context, true);
    if stored is null then
        raise exception 'a trigger or rule swallowed the row';
    end if;
    return stored;
end
$$;

create function tenancy_private.all_as_text(relation regclass)
    returns text
    language sql stable
return (
    select pg_catalog.format(
        'jsonb_object(array[%s], array[%s]) || jsonb_build_object('''', format(''tableoid = %%s and ctid = %%L'', tableoid::oid, ctid))',
        pg_catalog.string_agg(pg_catalog.quote_literal(a.attname), ', ' order by a.attnum),
        pg_catalog.string_agg(pg_catalog.format('%I::text', a.attname), ', ' order by a.attnum))
    from pg_catalog.pg_attribute as a
    where a.attrelid = all_as_text.relation and a.attnum > 0 and not a.attisdropped
);
comment on function tenancy_private.all_as_text(regclass) is
    'The expression that gives a row as make_row() returns it.';

-- Values that are not for choosing: the tenant, parents, a partition that is there, the sample.
create function tenancy_private.fixed_values(relation regclass, tenant uuid, sample json, depth int)
    returns jsonb
    language plpgsql
as $$
declare
    tenant_column name := tenancy_private.column_of_tenant(relation);
    fixed jsonb := tenancy_private.partition_values(relation, tenant_column)
        || tenancy_private.sample_values(relation, sample);
    reference record;
begin
    for reference in
        select k.oid, k.confrelid::regclass as parent,
            (select jsonb_object_agg(a.attname, null) from pg_attribute as a
             where a.attrelid = k.conrelid and a.attnum = any (k.conkey)) as names,
            exists (
                select from pg_attribute as a
                where a.attrelid = k.conrelid and a.attnum = any (k.conkey)
                  and a.attname is distinct from tenant_column
                  and (a.attnotnull or fixed ->> a.attname is not null or exists (
                      select from pg_index as i
                      where i.indrelid = a.attrelid and i.indisunique
                        and a.attnum = any (tenancy_private.key_of_index(i.indexrelid))))) as is_needed,
            exists (
                select from pg_index as i
                where i.indrelid = k.conrelid and i.indisunique and i.indexprs is null
                  and tenancy_private.key_of_index(i.indexrelid) <@ (k.conkey || (
                      select a.attnum from pg_attribute as a
                      where a.attrelid = k.conrelid and a.attname = tenant_column))) as is_one_to_one
        from pg_constraint as k
        where k.conrelid = relation and k.contype = 'f' and k.conparentid = 0
        order by k.oid
    loop
        continue when not reference.is_needed;
        -- A row that everybody shares may be the sample's.
        continue when tenancy_private.column_of_tenant(reference.parent) is null
            and not exists (
                select from jsonb_object_keys(reference.names) as n (name)
                where fixed ->> n.name is null);
        fixed := fixed || tenancy_private.parent_values(reference.oid, tenant, reference.is_one_to_one, depth);
    end loop;
    if tenant_column is not null then
        fixed := fixed || jsonb_build_object(tenant_column, tenant);
    end if;
    return fixed;
end
$$;

create function tenancy_private.sample_values(relation regclass, sample json)
    returns jsonb
    language plpgsql
as $$
declare
    given jsonb;
    unknown text;
begin
    if sample is null then
        return '{}';
    end if;
    select min(s.name) into unknown
    from json_object_keys(sample) as s (name)
    where not exists (
        select from pg_attribute as a
        where a.attrelid = relation and a.attname = s.name and a.attnum > 0
          and not a.attisdropped and a.attgenerated = '');
    if unknown is not null then
        raise exception '% has no column "%" that a sample could give', relation, unknown
            using errcode = 'TN824', column = unknown, hint = 'Name columns of the table, as they are spelled there.';
    end if;
    execute (
        select format('select jsonb_object(array[%s]::text[], array[%s]::text[]) from json_populate_record(null::%s, $1) as r',
            string_agg(quote_literal(s.name), ', '), string_agg(format('r.%I::text', s.name), ', '), relation)
        from json_object_keys(sample) as s (name)
    ) into given using sample;
    return coalesce(given, '{}');
exception
    when data_exception or invalid_text_representation or check_violation then
        raise exception 'the sample does not fit %: %', relation, sqlerrm
            using errcode = 'TN824', hint = 'Give each value as JSON, or as the text that PostgreSQL reads.';
end
$$;

create function tenancy_private.parent_values(reference oid, tenant uuid, is_one_to_one boolean, depth int)
    returns jsonb
    language plpgsql
as $$
declare
    k pg_constraint := (select c from pg_constraint as c where c.oid = reference);
    parent regclass := k.confrelid;
    tenant_column name := tenancy_private.column_of_tenant(parent);
    row_of_parent jsonb;
begin
    if not is_one_to_one then
        execute format('select %s from %s where %s limit 1', tenancy_private.all_as_text(parent), parent, case
            when parent = 'tenancy.tenants'::regclass
                then format('id = %L', tenant)
            when parent = 'tenancy.users'::regclass
                then format('id in (select user_id from tenancy.memberships where tenant_id = %L)', tenant)
            when tenant_column is null
                then 'true'
            else format('%I = %L', tenant_column, tenant)
        end) into row_of_parent;
    end if;
    if row_of_parent is null then
        row_of_parent := tenancy_private.make_row(parent, tenant, null, depth + 1);
    end if;
    return (
        select jsonb_object_agg(child.attname, row_of_parent -> p.attname::text)
        from unnest(k.conkey, k.confkey) as pair (child, parent)
        join pg_attribute as child on child.attrelid = k.conrelid and child.attnum = pair.child
        join pg_attribute as p on p.attrelid = k.confrelid and p.attnum = pair.parent
    );
end
$$;
comment on function tenancy_private.parent_values(oid, uuid, boolean, int) is
    'The values that a row of this tenant has in the columns of a foreign key, for a parent that is there, or made.';
