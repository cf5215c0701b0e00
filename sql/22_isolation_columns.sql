/*
 * The tenant's column of a table that comes under isolation, and what fills it.
 *
 * It is added, or an existing uuid is taken; existing rows are given their
 * tenant in one UPDATE; then it is NOT NULL, refers to tenancy.tenants, and new
 * rows get the tenant that has been entered. The default comes last, because
 * PostgreSQL would ask it for the existing rows, too.
 */

create type tenancy_private.step as (
    place integer,
    statement text,
    lock text,
    work text,
    purpose text
);
comment on type tenancy_private.step is
    'One statement of a plan: where it belongs in the order, the lock it takes, whether it scans or rewrites, what it is for.';

create function tenancy_private.step_named(place integer, lock text, work text, purpose text, statement text)
    returns tenancy_private.step
    language sql immutable
return row(place, statement, lock, work, purpose)::tenancy_private.step;

create function tenancy_private.mapping_query(mapping text)
    returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select case when mapping ~* '^[\s(]*(select|with|values|table)\M' then mapping
        else 'select * from ' || coalesce(to_regclass(mapping)::text, mapping) end
$$;
comment on function tenancy_private.mapping_query(text) is 'A mapping as a query: itself, or all of the table that it names.';

create function tenancy_private.fill_statement(
    target regclass, part regclass, tenant_column name, tenant uuid, parent name, mapping text, mapping_column name
)
    returns text
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    head constant text := format('update %s as r set %I = ',
        coalesce('only ' || part, target::text), tenant_column);
    key pg_constraint;
begin
    if tenant is not null then
        return head || format('%L where r.%I is null', tenant, tenant_column);
    elsif mapping is not null then
        return head || format('m.tenant_id from (%s) as m (key, tenant_id) where r.%I is null and r.%I = m.key',
            tenancy_private.mapping_query(mapping), tenant_column, mapping_column);
    elsif parent is not null then
        key := tenancy_private.parent_reference(target, parent);
        return head || (
            select format('p.%I from %s%s as p where r.%I is null and %s', tenancy_private.tenant_column(key.confrelid::regclass),
                case c.relkind when 'r' then 'only ' else '' end, c.oid::regclass, tenant_column,
                string_agg(format('r.%I = p.%I', u.child_column, u.parent_column), ' and '))
            from pg_class as c
            cross join unnest(
                tenancy_private.columns(target, key.conkey),
                tenancy_private.columns(c.oid::regclass, key.confkey)) as u (child_column, parent_column)
            where c.oid = key.confrelid
            group by c.oid, c.relkind);
    end if;
    return null;
end
$$;
comment on function tenancy_private.fill_statement(regclass, regclass, name, uuid, name, text, name) is
    'The UPDATE that gives the rows of a table, or of one part alone, their tenant; NULL where nothing says which.';

create function tenancy_private.parent_reference(target regclass, parent name)
    returns pg_constraint
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    key pg_constraint;
begin
    select k.* into key
    from pg_constraint as k
    where k.conrelid = target and k.contype = 'f'
      and (k.conname = parent
           -- Beside the tenant, where the reference has it already.
           or array_remove(tenancy_private.columns(target, k.conkey), tenancy_private.tenant_column(target)) = array[parent])
    order by k.conname = parent desc
    limit 1;
    if key.oid is null then
        raise exception '% has no foreign key "%"', target, parent
            using errcode = 'TN705', hint = 'parent is the name of a foreign key, or the one column that it stands on.';
    elsif key.confrelid = target and tenancy_private.tenant_column(target) is null then
        raise exception '% can''t take its tenants from itself, by "%"', target, key.conname
            using errcode = 'TN705', hint = 'Give tenant, or mapping and mapping_column, or another parent.';
    elsif tenancy_private.tenant_column(key.confrelid::regclass) is null then
        raise exception '% takes its tenants from %, which is not isolated', target, key.confrelid::regclass
            using errcode = 'TN705', hint = format('First: select tenancy.isolate_table(%L)', key.confrelid::regclass);
    end if;
    return key;
end
$$;
comment on function tenancy_private.parent_reference(regclass, name) is
    'The foreign key by which rows take their tenant. TN705 if there is none, or it leads to a table without tenants.';

create function tenancy_private.refuse_sources(
    target regclass, tenant_column name, tenant uuid, parent name, mapping text, mapping_column name, unique_per_tenant name[]
)
    returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    missing name;
    wrong text;
begin
    if num_nonnulls(tenant, parent, mapping) > 1 then
        raise exception 'rows can take their tenant from one source only'
            using errcode = 'TN705', hint = 'Give tenant, or parent, or mapping.';
    elsif (mapping is null) <> (mapping_column is null) then
        raise exception 'mapping and mapping_column go together'
            using errcode = 'TN705', hint = 'mapping => ''select key, tenant_id from …'', mapping_column => the column that holds the key.';
    elsif tenant is not null and not exists (select from tenancy.tenants as t where t.id = tenant) then
        raise exception 'there is no tenant %', tenant
            using errcode = 'TN601', hint = 'tenancy.register_tenant() makes one.';
    elsif parent is not null then
        perform tenancy_private.parent_reference(target, parent);
    end if;

    select u.name into missing
    from unnest(unique_per_tenant) as u (name)
    where u.name <> '*' and not exists (
        select from pg_index as i
        join pg_class as c on c.oid = i.indexrelid
        where i.indrelid = target and i.indisunique and c.relname = u.name);
    if missing is not null then
        raise exception '% has no unique constraint or index "%"', target, missing
            using errcode = 'TN705', hint = 'unique_per_tenant takes their names, or {*} for all of them.';
    end if;

    if mapping is not null then
        begin
            execute format('select from %s as r join (%s) as m (key, tenant_id) on r.%I = m.key and m.tenant_id = %L::uuid limit 0',
                target, tenancy_private.mapping_query(mapping), mapping_column, '00000000-0000-0000-0000-000000000000');
        exception
            when syntax_error_or_access_rule_violation then
                get stacked diagnostics wrong = message_text;
                raise exception 'the mapping of % can''t be used: %', target, wrong
                    using errcode = 'TN705',
                          hint = 'It is a table or query of two columns: the key, of the type of mapping_column, and the tenant, a uuid. Write tables with their schema.';
        end;
        execute format('select m.key::text from (%s) as m (key, tenant_id) group by m.key having count(distinct m.tenant_id) > 1 limit 1',
            tenancy_private.mapping_query(mapping)) into wrong;
        if wrong is not null then
            raise exception 'the mapping gives the key "%" to more than one tenant', wrong
                using errcode = 'TN705', hint = 'Each key belongs to one tenant.';
        end if;
        execute format('select m.tenant_id::text from (%s) as m (key, tenant_id) where not exists (select from tenancy.tenants as t where t.id = m.tenant_id) and m.tenant_id is not null limit 1',
            tenancy_private.mapping_query(mapping)) into wrong;
        if wrong is not null then
            raise exception 'the mapping names a tenant that does not exist: %', wrong
                using errcode = 'TN705', hint = 'Every tenant stands in tenancy.tenants.';
        end if;
    end if;
end
$$;
comment on function tenancy_private.refuse_sources(regclass, name, uuid, name, text, name, name[]) is
    'Raises for arguments that say nothing or too much: TN705, TN601.';

-- Without triggers no foreign key is checked either: that is only done where
-- require_tenants() checks all there is to check.
create function tenancy_private.can_silence(target regclass, tenant_column name)
    returns boolean
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    select exists (
            select from tenancy_private.members(target) as m
            join pg_trigger as t on t.tgrelid = m.member
            where not t.tgisinternal)
        and not exists (
            select from tenancy_private.members(target) as m
            join pg_constraint as k on k.contype = 'f' and m.member in (k.conrelid::regclass, k.confrelid::regclass)
            where k.confrelid <> 'tenancy.tenants'::regclass
              and can_silence.tenant_column = any (
                  tenancy_private.columns(m.member, case m.member when k.conrelid then k.conkey else k.confkey end)))
        -- A deferrable key is checked by a trigger, too.
        and not exists (
            select from tenancy_private.members(target) as m
            join pg_index as i on i.indrelid = m.member and not i.indimmediate
            where can_silence.tenant_column = any (tenancy_private.columns(m.member, i.indkey::int2[])))
$$;
comment on function tenancy_private.can_silence(regclass, name) is
    'Whether a table has triggers that can be kept silent while its tenant''s column is filled.';

create function tenancy_private.column_steps(
    target regclass, tenant_column name, tenant uuid, parent name, mapping text, mapping_column name, online boolean
)
    returns setof tenancy_private.step
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    is_plain constant boolean := not exists (select from tenancy_private.members(target) as m where m.kind <> 'r');
    exclusive constant text := format('ACCESS EXCLUSIVE on %s', target);
    is_there boolean;
    is_complete boolean;
    is_default boolean;
    has_triggers boolean;
    filling constant text := tenancy_private.fill_statement(target, null, tenant_column, tenant, parent, mapping, mapping_column);
    check_name name;
    part record;
    reference record;
begin
    select count(a.attname) = count(*), coalesce(bool_and(coalesce(a.attnotnull, false)), false),
        coalesce(bool_and(coalesce(pg_get_expr(v.adbin, v.adrelid) = 'tenancy.current_tenant_id()', false))
            filter (where not m.is_partition), false)
    into is_there, is_complete, is_default
    from tenancy_private.members(target) as m
    left join pg_attribute as a on a.attrelid = m.member and a.attname = tenant_column and not a.attisdropped
    left join pg_attrdef as v on v.adrelid = m.member and v.adnum = a.attnum;
    has_triggers := tenancy_private.can_silence(target, tenant_column);

    if not is_there and tenant is not null then
        -- A constant default is kept beside the table: no row is touched.
        return next tenancy_private.step_named(20, exclusive, 'none', 'The tenant''s column; all existing rows belong to this tenant.',
            format('alter table %s add column %I uuid default %L', target, tenant_column, tenant));
    elsif not is_there then
        return next tenancy_private.step_named(20, exclusive, 'none', 'The tenant''s column.',
            format('alter table %s add column %I uuid', target, tenant_column));
    end if;
    if online and not is_default then
        return next tenancy_private.step_named(21, exclusive, 'none', 'From here on a new row needs a tenant: the one that has been entered, or one that it names.',
            format('alter table %s alter column %I set default tenancy.current_tenant_id()', target, tenant_column));
    end if;

    if not is_complete and filling is not null and not (tenant is not null and not is_there) then
        if online then
            return next tenancy_private.step_named(25, format('ROW EXCLUSIVE on %s', target), format('updates the rows of %s without a tenant, in batches', target),
                'Commits as it goes. Called again, it goes on. Not inside a transaction.',
                format('call tenancy.backfill_tenant(%L, tenant_column => %L%s%s%s%s)', target, tenant_column,
                    ', tenant => ' || quote_literal(tenant), ', parent => ' || quote_literal(parent),
                    ', mapping => ' || quote_literal(mapping), ', mapping_column => ' || quote_literal(mapping_column)));
        else
            if has_triggers then
                return next tenancy_private.step_named(25, 'none', 'none', 'Triggers stay silent: nothing happens to the rows that their times or histories should tell.',
                    'set session_replication_role = replica');
            end if;
            return next tenancy_private.step_named(26, format('ROW EXCLUSIVE on %s', target), format('updates the rows of %s without a tenant', target),
                'The existing rows get their tenant.', filling);
            if has_triggers then
                return next tenancy_private.step_named(27, 'none', 'none', 'Triggers work again.', 'reset session_replication_role');
            end if;
        end if;
    end if;
    if not is_complete and not (tenant is not null and not is_there) then
        return next tenancy_private.step_named(30, format('ACCESS SHARE on %s', target), format('scans %s', target),
            'Every row must have a tenant.', format('select tenancy_private.require_tenants(%L, %L)', target, tenant_column));
    end if;

    if online and not is_complete then
        check_name := tenancy_private.free_name(target, 'has_tenant');
        return next tenancy_private.step_named(31, exclusive, 'none', 'New rows are checked.',
            format('alter table %s add constraint %I check (%I is not null) not valid', target, check_name, tenant_column));
        return next tenancy_private.step_named(32, format('SHARE UPDATE EXCLUSIVE on %s', target), format('scans %s', target), 'The existing rows are checked.',
            format('alter table %s validate constraint %I', target, check_name));
        return next tenancy_private.step_named(33, exclusive, 'none', 'Known from the check, so no row is read.',
            format('alter table %s alter column %I set not null', target, tenant_column));
        return next tenancy_private.step_named(34, exclusive, 'none', 'The check has done its work.',
            format('alter table %s drop constraint %I', target, check_name));
    elsif not online and not (is_complete and is_default) then
        return next tenancy_private.step_named(31, exclusive, case when is_complete then 'none' else format('scans %s', target) end,
            'No row without a tenant. A new one gets the tenant that has been entered.',
            format('alter table %s alter column %I set default tenancy.current_tenant_id(), alter column %I set not null', target, tenant_column, tenant_column));
    end if;

    for part in select * from tenancy_private.members(target) as m where not m.is_partition loop
        select k.conname, k.convalidated into reference
        from pg_constraint as k
        where k.conrelid = part.member and k.contype = 'f' and k.confrelid = 'tenancy.tenants'::regclass
          and tenancy_private.columns(part.member, k.conkey) = array[column_steps.tenant_column];
        if reference.conname is null then
            reference.convalidated := not (online and is_plain);
            reference.conname := tenancy_private.free_name(part.member, 'tenant_fkey');
            return next tenancy_private.step_named(35, format('SHARE ROW EXCLUSIVE on %s and tenancy.tenants', part.member),
                case when reference.convalidated then format('scans %s', part.member) else 'none' end, 'The tenant exists.',
                format('alter table %s add constraint %I foreign key (%I) references tenancy.tenants (id)%s', part.member,
                    reference.conname, tenant_column, case when reference.convalidated then '' else ' not valid' end));
        end if;
        if not reference.convalidated then
            return next tenancy_private.step_named(36, format('SHARE UPDATE EXCLUSIVE on %s, ROW SHARE on tenancy.tenants', part.member),
                format('scans %s', part.member), 'The existing rows are checked.',
                format('alter table %s validate constraint %I', part.member, reference.conname));
        end if;
    end loop;
end
$$;
comment on function tenancy_private.column_steps(regclass, name, uuid, name, text, name, boolean) is
    'The steps that add the tenant''s column, fill it and close it.';
