/*
 * Keys of a table that comes under isolation.
 *
 * The tenant leads the primary key, and the unique constraints that the DBA
 * names: then a key says nothing about other tenants' rows, and a reference
 * can land on (tenant, key). A primary key that something else needs as it is
 * (a reference from a table that isn't isolated, a view that groups by it)
 * stays, with a unique (tenant, key) beside it, until nothing needs it any more
 * and the table or one that refers to it is isolated.
 */

-- As the definition of a constraint or of an index: both are one to PostgreSQL.
create function tenancy_private.key_columns(key oid, first name)
    returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select format('(%s)', concat_ws(', ', quote_ident(key_columns.first),
            string_agg(quote_ident(a.attname), ', ' order by u.place) filter (where u.place <= i.indnkeyatts)))
        || coalesce(' include ('
            || string_agg(quote_ident(a.attname), ', ' order by u.place) filter (where u.place > i.indnkeyatts) || ')', '')
    from pg_index as i
    cross join unnest(i.indkey::smallint[]) with ordinality as u (number, place)
    join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = u.number
    where i.indexrelid = key_columns.key
    group by i.indnkeyatts
$$;
comment on function tenancy_private.key_columns(oid, name) is
    'The columns of a constraint''s index as SQL, with one more before them.';

create function tenancy_private.key_definition(constraint_id oid, first name)
    returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select case k.contype when 'p' then 'primary key ' else 'unique ' end
        || case when i.indnullsnotdistinct then 'nulls not distinct ' else '' end
        || tenancy_private.key_columns(k.conindid, key_definition.first)
        || coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', '')
        || coalesce(' using index tablespace ' || quote_ident(s.spcname), '')
        || case when k.condeferrable then ' deferrable' else '' end
        || case when k.condeferred then ' initially deferred' else '' end
    from pg_constraint as k
    join pg_class as c on c.oid = k.conindid
    join pg_index as i on i.indexrelid = k.conindid
    left join pg_tablespace as s on s.oid = c.reltablespace
    where k.oid = key_definition.constraint_id
$$;
comment on function tenancy_private.key_definition(oid, name) is
    'A primary key or unique constraint as SQL, led by one more column; NULL for none more.';

create function tenancy_private.needs_of_key(index_id oid, target regclass, tenant_column name)
    returns setof text
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    select format('the reference "%s" of %s, which isn''t isolated', f.conname, f.conrelid::regclass)
    from pg_constraint as f
    -- A partition has its own index below that of its table.
    where f.contype = 'f' and f.conparentid = 0
      and f.conindid in (select m.member from tenancy_private.members(needs_of_key.index_id::regclass) as m)
      and not exists (
          select from tenancy_private.references_without_tenant(target, tenant_column) as r
          where (r.key).oid = f.oid)
    union all
    select distinct format('the view %s', w.ev_class::regclass)
    from pg_constraint as k
    join pg_depend as d on d.refclassid = 'pg_constraint'::regclass and d.refobjid = k.oid
    join pg_rewrite as w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid
    where k.conindid = needs_of_key.index_id and k.contype in ('p', 'u')
$$;
comment on function tenancy_private.needs_of_key(oid, regclass, name) is
    'What needs a unique index without the tenant, also after the target is isolated.';

create function tenancy_private.keys_without_tenant(target regclass, tenant_column name, unique_per_tenant name[])
    returns table (relation regclass, tenant name, index_id oid, name name, constraint_id oid, is_primary boolean, needs text[])
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    select t.relation, t.tenant, i.indexrelid, c.relname, k.oid, i.indisprimary,
        array(select tenancy_private.needs_of_key(i.indexrelid, keys_without_tenant.target, keys_without_tenant.tenant_column))
    from (
        select m.member as relation, keys_without_tenant.tenant_column as tenant
        from tenancy_private.members(target) as m
        where not m.is_partition
        union
        -- Tables that were isolated before, whose key may have waited for this one.
        select (r.key).confrelid::regclass, r.parent_tenant
        from tenancy_private.references_without_tenant(target, tenant_column) as r
        where not (select p.relispartition from pg_class as p where p.oid = (r.key).confrelid)
    ) as t
    join pg_index as i on i.indrelid = t.relation
    join pg_class as c on c.oid = i.indexrelid
    left join pg_constraint as k on k.conindid = i.indexrelid and k.contype in ('p', 'u') and k.conrelid = t.relation
    where i.indisunique and i.indisvalid
      and (i.indisprimary
           or (t.relation = target and (c.relname = any (unique_per_tenant) or '*' = any (unique_per_tenant))))
      and not t.tenant = any (tenancy_private.columns(t.relation, i.indkey::smallint[]))
    order by t.relation, i.indisprimary desc, c.relname
$$;
comment on function tenancy_private.keys_without_tenant(regclass, name, name[]) is
    'The primary keys, and the unique indexes asked for, that the tenant should lead, with what needs each as it is.';

create function tenancy_private.has_key(relation regclass, key_columns name[])
    returns boolean
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pg_index as i
        where i.indrelid = has_key.relation
          and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
          and i.indnkeyatts = cardinality(has_key.key_columns)
          and tenancy_private.columns(relation, (i.indkey::smallint[])[0:i.indnkeyatts - 1]) @> has_key.key_columns)
$$;
comment on function tenancy_private.has_key(regclass, name[]) is
    'Whether a reference can land on these columns, in whichever order.';

create function tenancy_private.ready_index(index_id oid, first name)
    returns name
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    select c.relname
    from pg_index as old
    join pg_class as t on t.oid = old.indrelid and t.relkind = 'r'
    join pg_index as i on i.indrelid = old.indrelid
    join pg_class as c on c.oid = i.indexrelid
    where old.indexrelid = ready_index.index_id
      and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
      and i.indnatts = i.indnkeyatts
      and tenancy_private.columns(old.indrelid, i.indkey::smallint[])
          = ready_index.first || tenancy_private.columns(old.indrelid, old.indkey::smallint[])
      and not exists (select from pg_constraint as k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
    order by i.indexrelid
    limit 1
$$;
comment on function tenancy_private.ready_index(oid, name) is
    'A plain unique index that has the columns of another one behind the tenant, if there is one.';

create function tenancy_private.unique_index(index_id oid, name name, first name, is_online boolean)
    returns text
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    definition constant text := pg_get_indexdef(index_id);
    start text;
begin
    select format('CREATE UNIQUE INDEX %I ON %s%s USING %I (', c.relname,
        case when p.relkind = 'p' and position(' ON ONLY ' in definition) > 0 then 'ONLY ' else '' end, p.oid::regclass, m.amname)
    into start
    from pg_index as i
    join pg_class as c on c.oid = i.indexrelid
    join pg_class as p on p.oid = i.indrelid
    join pg_am as m on m.oid = c.relam
    where i.indexrelid = unique_index.index_id;
    if not starts_with(definition, start) then
        raise exception 'the index % can''t be read: %', index_id::regclass, definition
            using errcode = 'TN706', hint = 'Make an index by hand that the tenant leads, and drop this one.';
    end if;
    return format('create unique index %s%I on %s using btree (%I, ', case when is_online then 'concurrently ' else '' end,
            unique_index.name, (select i.indrelid::regclass from pg_index as i where i.indexrelid = index_id), unique_index.first)
        || substr(definition, length(start) + 1);
end
$$;
comment on function tenancy_private.unique_index(oid, name, name, boolean) is
    'A unique index as SQL, under that name, led by one more column; expressions and condition as they are.';

create function tenancy_private.key_steps(target regclass, tenant_column name, unique_per_tenant name[], online boolean)
    returns setof tenancy_private.step
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    key record;
    landing record;
    changed oid[] := '{}';
    led regclass[] := '{}';
    is_online boolean;
    made name;
    ready name;
    names text;
    exclusive text;
begin
    for key in
        select * from tenancy_private.keys_without_tenant(key_steps.target, key_steps.tenant_column, key_steps.unique_per_tenant)
    loop
        if key.needs <> '{}' and not key.is_primary then
            raise exception 'the key "%" of % is needed as it is by %', key.name, key.relation, array_to_string(key.needs, ' and ')
                using errcode = 'TN706', hint = 'Isolate that first, or leave the key out of unique_per_tenant.';
        elsif key.needs <> '{}' then
            raise notice '% keeps its primary key without the tenant for now: it is needed by %', key.relation, array_to_string(key.needs, ' and ')
                using hint = 'Isolate that, or call again when nothing needs it.';
            continue;
        end if;
        changed := changed || array(select m.member::oid from tenancy_private.members(key.index_id::regclass) as m);
        led := led || key.relation;
        is_online := online and (select c.relkind = 'r' from pg_class as c where c.oid = key.relation);
        exclusive := format('ACCESS EXCLUSIVE on %s', key.relation);
        -- Made below for references, when the primary key was needed as it is.
        ready := case when key.is_primary then tenancy_private.ready_index(key.index_id, key.tenant) end;
        made := coalesce(ready, tenancy_private.free_name(key.relation, 'tenant_key_' || key.index_id));
        if is_online and ready is null then
            return next tenancy_private.step_named(55, format('SHARE UPDATE EXCLUSIVE on %s', key.relation), format('scans %s twice', key.relation),
                'The new key is built while the table is used. Not inside a transaction.',
                case when key.constraint_id is null then tenancy_private.unique_index(key.index_id, made, key.tenant, true)
                    else format('create unique index concurrently %I on %s %s%s', made, key.relation,
                        tenancy_private.key_columns(key.index_id, key.tenant),
                        (select case when i.indnullsnotdistinct then ' nulls not distinct' else '' end
                         from pg_index as i where i.indexrelid = key.index_id)) end);
        end if;
        if key.constraint_id is not null then
            return next tenancy_private.step_named(case when is_online or ready is not null and online then 63 else 55 end, exclusive,
                case when is_online or ready is not null then 'none' else format('builds an index of %s', key.relation) end,
                case when key.is_primary then 'The tenant leads the primary key.' else 'The value is unique within the tenant.' end,
                format('alter table %s drop constraint %I, add constraint %I %s', key.relation, key.name, key.name,
                    case when is_online or ready is not null then (
                        select format('%s using index %I%s%s', case when key.is_primary then 'primary key' else 'unique' end, made,
                            case when k.condeferrable then ' deferrable' else '' end,
                            case when k.condeferred then ' initially deferred' else '' end)
                        from pg_constraint as k where k.oid = key.constraint_id)
                    else tenancy_private.key_definition(key.constraint_id, key.tenant) end));
        elsif is_online then
            return next tenancy_private.step_named(63, exclusive, 'none', 'The old key goes.',
                format('drop index %s', key.index_id::regclass));
            return next tenancy_private.step_named(63, exclusive, 'none', 'The new one takes its name.',
                format('alter index %I.%I rename to %I',
                    (select c.relnamespace::regnamespace::name from pg_class as c where c.oid = key.relation), made, key.name));
        else
            return next tenancy_private.step_named(55, exclusive, 'none', 'The value becomes unique within the tenant.',
                format('drop index %s', key.index_id::regclass));
            return next tenancy_private.step_named(55, format('SHARE on %s', key.relation), format('builds an index of %s', key.relation),
                'The value is unique within the tenant.',
                tenancy_private.unique_index(key.index_id, key.name, key.tenant, false));
        end if;
        if (select i.indisreplident from pg_index as i where i.indexrelid = key.index_id) then
            return next tenancy_private.step_named(64, exclusive, 'none', 'Replication names rows by this key, as before.',
                format('alter table %s replica identity using index %I', key.relation, key.name));
        end if;
        return query
            select (tenancy_private.step_named(64, format('SHARE UPDATE EXCLUSIVE on %s', key.relation), 'none', 'The comment stays.', c)).*
            from pg_constraint as k, tenancy_private.comment_of(k) as c
            where k.oid = key.constraint_id;
    end loop;

    -- What references land on, where no key does it. No constraint, so that the
    -- primary key can take the index over some day.
    for landing in
        select distinct on (w.relation, w.wanted) w.*
        from (
            select (r.key).confrelid::regclass as relation, r.parent_tenant as tenant,
                r.parent_columns as wanted, (r.key).conindid as index_id,
                'References land here.' as purpose
            from tenancy_private.references_without_tenant(key_steps.target, key_steps.tenant_column) as r
            union all
            select k.relation, k.tenant, tenancy_private.columns(k.relation, i.indkey::smallint[]), k.index_id,
                format('References land here. The primary key stays without the tenant for now: it is needed by %s.',
                    array_to_string(k.needs, ' and '))
            from tenancy_private.keys_without_tenant(key_steps.target, key_steps.tenant_column, '{}') as k
            join pg_index as i on i.indexrelid = k.index_id
            where k.needs <> '{}'
        ) as w
        where not w.index_id = any (changed)
          and not tenancy_private.has_key(w.relation, w.tenant || w.wanted)
        order by w.relation, w.wanted, w.purpose desc
    loop
        led := led || landing.relation;
        names := array_to_string(landing.tenant || landing.wanted, '_');
        is_online := online and (select c.relkind = 'r' from pg_class as c where c.oid = landing.relation);
        return next tenancy_private.step_named(55,
            format('%s on %s', case when is_online then 'SHARE UPDATE EXCLUSIVE' else 'SHARE' end, landing.relation),
            format('builds an index of %s', landing.relation),
            landing.purpose || case when is_online then ' Not inside a transaction.' else '' end,
            format('create unique index %s%I on %s (%I, %s)', case when is_online then 'concurrently ' else '' end,
                tenancy_private.free_name(landing.relation,
                    case when length(names) > 26 then 'tenant_key_' || landing.index_id else names || '_key' end),
                landing.relation, landing.tenant, tenancy_private.quoted(landing.wanted)));
    end loop;

    for landing in
        select m.member
        from tenancy_private.members(key_steps.target) as m
        where not m.is_partition and not m.member = any (led)
          and not exists (
              select from pg_index as i
              where i.indrelid = m.member and i.indisvalid and i.indpred is null
                and (tenancy_private.columns(m.member, (i.indkey::smallint[])[0:0])) = array[key_steps.tenant_column])
    loop
        is_online := online and (select c.relkind = 'r' from pg_class as c where c.oid = landing.member);
        return next tenancy_private.step_named(65,
            format('%s on %s', case when is_online then 'SHARE UPDATE EXCLUSIVE' else 'SHARE' end, landing.member),
            format('builds an index of %s', landing.member), 'A tenant''s rows are found without reading the others.',
            format('create index %s%I on %s (%I)', case when is_online then 'concurrently ' else '' end,
                tenancy_private.free_name(landing.member, key_steps.tenant_column || '_idx'), landing.member, key_steps.tenant_column));
    end loop;
end
$$;
comment on function tenancy_private.key_steps(regclass, name, name[], boolean) is
    'The steps that put the tenant first in keys, and make the index that leads with it. TN706 where a key can''t be changed.';
