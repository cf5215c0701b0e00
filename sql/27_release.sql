/*
 * release_table() takes a table out from under the wall again.
 *
 * The rows and the tenant's column stay. The key is what it was without the
 * tenant, and so are the references to it; references to tables that stay
 * isolated keep the tenant, and so do unique constraints. The application
 * loses its rights: what it could see in its tenant would be everybody's now.
 */

create function tenancy_private.release_steps(target regclass, tenant_column name, keep_keys boolean)
    returns setof tenancy_private.step
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    part record;
    thing record;
    primary_key pg_constraint;
    key_columns name[];
begin
    for part in select * from tenancy_private.members(target) loop
        for thing in
            select p.polname from pg_policy as p
            where p.polrelid = part.member and p.polname in ('tenant_boundary', 'all_in_tenant')
            order by p.polname
        loop
            return next tenancy_private.step_named(10, null, null, 'policies', format('drop policy %I on %s', thing.polname, part.member));
        end loop;
        if not exists (
            select from pg_policy as p
            where p.polrelid = part.member and p.polname not in ('tenant_boundary', 'all_in_tenant'))
        then
            return next tenancy_private.step_named(11, null, null, 'row security',
                format('alter table %s disable row level security, no force row level security', part.member));
        end if;
        return next tenancy_private.step_named(12, null, null, 'grants', format('revoke all on %s from tenancy_app', part.member));
        for thing in
            select distinct s.oid::regclass as sequence
            from pg_attrdef as v
            join pg_depend as d on d.classid = 'pg_attrdef'::regclass and d.objid = v.oid and d.refclassid = 'pg_class'::regclass
            join pg_class as s on s.oid = d.refobjid and s.relkind = 'S'
            where v.adrelid = part.member
        loop
            return next tenancy_private.step_named(12, null, null, 'grants', format('revoke all on sequence %s from tenancy_app', thing.sequence));
        end loop;
        continue when part.is_partition;

        for thing in
            select k.conname from pg_constraint as k
            where k.conrelid = part.member and k.contype = 'f' and k.confrelid = 'tenancy.tenants'::regclass
              and tenancy_private.columns(part.member, k.conkey) = array[release_steps.tenant_column]
        loop
            return next tenancy_private.step_named(20, null, null, 'tenant', format('alter table %s drop constraint %I', part.member, thing.conname));
        end loop;
        return next tenancy_private.step_named(21, null, null, 'tenant',
            format('alter table %s alter column %I drop default', part.member, tenant_column));
        continue when keep_keys;

        select k.* into primary_key
        from pg_constraint as k where k.conrelid = part.member and k.contype = 'p';
        key_columns := array_remove(tenancy_private.columns(part.member, primary_key.conkey), tenant_column);
        if cardinality(key_columns) between 1 and cardinality(primary_key.conkey) - 1 then
            return next tenancy_private.step_named(30, null, null, 'key',
                format('select tenancy_private.require_unique(%L, %L)', part.member, key_columns));
            return next tenancy_private.step_named(50, null, null, 'key',
                format('alter table %s drop constraint %I, add constraint %I primary key (%s)%s', part.member,
                    primary_key.conname, primary_key.conname, tenancy_private.quoted(key_columns),
                    case when primary_key.condeferrable then ' deferrable' else '' end));
            return query
                select (tenancy_private.step_named(60, null, null, 'key', c)).*
                from tenancy_private.comment_of(primary_key) as c;
            -- What the references to this key become; all of them lead with a tenant.
            return query
                select s.*
                from pg_constraint as k
                cross join lateral tenancy_private.reference_without_tenant(k, tenant_column) as s
                where k.contype = 'f' and k.conparentid = 0
                  and k.conindid in (select m.member from tenancy_private.members(primary_key.conindid::regclass) as m);
        end if;
        -- A reference that keeps the tenant is no reference without one; and a
        -- table of one row per tenant has no other key.
        if coalesce(cardinality(key_columns), 1) > 0 and not exists (
            select from pg_constraint as k
            where k.conrelid = part.member and k.contype = 'f' and k.conparentid = 0
              and k.confrelid not in (part.member, 'tenancy.tenants'::regclass)
              and release_steps.tenant_column = any (tenancy_private.columns(part.member, k.conkey)))
        then
            return next tenancy_private.step_named(55, null, null, 'tenant',
                format('alter table %s alter column %I drop not null', part.member, tenant_column));
        end if;
    end loop;
end
$$;
comment on function tenancy_private.release_steps(regclass, name, boolean) is
    'The steps that take a table out from under the wall.';

create function tenancy_private.reference_without_tenant(key pg_constraint, parent_tenant name)
    returns setof tenancy_private.step
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    with columns as (
        select array_agg(u.child_column order by u.place) as child, array_agg(u.parent_column order by u.place) as parent
        from unnest(
            tenancy_private.columns(key.conrelid::regclass, key.conkey),
            tenancy_private.columns(key.confrelid::regclass, key.confkey)) with ordinality as u (child_column, parent_column, place)
        where u.parent_column <> parent_tenant
    )
    select s.*
    from columns as c
    cross join lateral (
        values
            (40, format('alter table %s drop constraint %I', key.conrelid::regclass, key.conname)),
            (52, format('alter table %s add constraint %I %s', key.conrelid::regclass, key.conname,
                tenancy_private.reference_definition(key, c.child, c.parent,
                    coalesce(nullif(tenancy_private.columns(key.conrelid::regclass, key.confdelsetcols), '{}'), c.child))))
    ) as v (place, statement)
    cross join lateral tenancy_private.step_named(v.place, null, null, 'reference', v.statement) as s
    union all
    select s.*
    from tenancy_private.comment_of(key) as d
    cross join lateral tenancy_private.step_named(60, null, null, 'reference', d) as s
$$;
comment on function tenancy_private.reference_without_tenant(pg_constraint, name) is
    'The steps that take the tenant out of a foreign key.';

create function tenancy_private.require_unique(relation regclass, key_columns name[])
    returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    label text;
begin
    execute format('select (%1$s)::text from %2$s group by %1$s having count(*) > 1 limit 1',
        tenancy_private.quoted(key_columns),
        case (select c.relkind from pg_class as c where c.oid = require_unique.relation) when 'r' then 'only ' else '' end || relation) into label;
    if label is not null then
        raise exception 'more than one tenant has a row of % with the key %', relation, label
            using errcode = 'TN709', hint = 'keep_keys => true leaves the tenant in the keys and references.';
    end if;
end
$$;
comment on function tenancy_private.require_unique(regclass, name[]) is
    'TN709 while a key is not unique without the tenant.';

create function tenancy.release_table(relation regclass, keep_keys boolean default false)
    returns text
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    target regclass;
    present name;
    children text;
    todo record;
begin
    perform tenancy_private.refuse_caller();
    target := tenancy_private.isolation_target(release_table.relation);
    -- As isolate_table() does, and in the same order.
    lock table tenancy.tenants in share update exclusive mode;
    execute format('lock table %s in access exclusive mode', target);
    select string_agg(distinct k.conrelid::regclass::text, ', ') into children
    from pg_constraint as k
    where k.contype = 'f' and k.conparentid = 0 and k.conrelid <> target
      and k.confrelid in (select m.member from tenancy_private.members(target) as m);
    if children is not null then
        execute format('lock table %s in access exclusive mode', children);
    end if;

    present := tenancy_private.tenant_column(target);
    if present is null then
        raise exception '% is not isolated', target
            using errcode = 'TN708', hint = 'tenancy.isolated_tables has those that are.';
    elsif target <> release_table.relation then
        raise exception '% is a part of %, and is released with it', release_table.relation, target
            using errcode = 'TN701', hint = format('select tenancy.release_table(%L)', target);
    end if;

    if tenancy_private.is_soft_deleted(target) then
        raise exception '% keeps deleted rows, which would be seen', target
            using errcode = 'TN448', hint = format('select tenancy.disable_soft_delete(%L)', target);
    end if;

    for todo in
        select s.statement
        from tenancy_private.release_steps(target, present, keep_keys)
            with ordinality as s (place, statement, lock, work, purpose, ordinality)
        order by s.place, s.ordinality
    loop
        execute todo.statement;
    end loop;
    return format('%s is not isolated any more; "%s" keeps the tenants of its rows', target, present);
end
$$;
comment on function tenancy.release_table(regclass, boolean) is
    'Takes the wall, the application''s rights and the reference to tenants away; rows and column stay. The primary key is without the tenant again, and so are references to it, unless keep_keys. TN701 a part of another table, TN448 it has soft delete, TN707 inside a context, TN708 not isolated, TN709 a key that only the tenant makes unique.';
