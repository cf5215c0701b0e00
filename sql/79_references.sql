/*
 * What a resource's rows refer to, and lists can include: project of tasks.
 *
 * A reference of one column, inside the tenant: the tenant is part of it, and it
 * leads to an isolated table; or it leads to a shared one. The row functions and
 * resources() both read it here.
 */

-- A definer: resources() calls it as whoever asks, who may not call what this calls.
-- It tells what the catalog tells everybody.
create function tenancy_private.to_one_references(relation oid)
    returns table (name name, column_name name, collation oid, target oid, target_column name, has_tenant boolean)
    language plpgsql stable strict
    security definer set search_path = pg_catalog, pg_temp
as $$
-- What is called like a column of the answer means the table's.
#variable_conflict use_column
begin
    return query
    select k.conname, p.column_name::name, p.collation, k.confrelid, p.target_column::name, p.has_tenant
    from pg_constraint as k
    -- Once for each key, not for each of its columns.
    cross join lateral (
        select tenancy_private.tenant_column(k.conrelid) as own, tenancy_private.tenant_column(k.confrelid) as other
        offset 0
    ) as t
    cross join lateral (
        select min(u.own) filter (where not u.is_tenant) as column_name,
            max(u.collation) filter (where not u.is_tenant) as collation,
            min(u.other) filter (where not u.is_tenant) as target_column,
            count(*) filter (where not u.is_tenant) as number, bool_or(u.is_tenant) as has_tenant
        from (
            select a.attname as own, a.attcollation as collation, b.attname as other,
                coalesce(a.attname = t.own and b.attname = t.other, false) as is_tenant
            from unnest(k.conkey, k.confkey) as c (own, other)
            join pg_attribute as a on a.attrelid = k.conrelid and a.attnum = c.own
            join pg_attribute as b on b.attrelid = k.confrelid and b.attnum = c.other
        ) as u
    ) as p
    where k.conrelid = to_one_references.relation and k.contype = 'f' and p.number = 1
      -- A partitioned table that is referred to has a constraint more for each partition.
      and not exists (select from pg_constraint as c where c.oid = k.conparentid and c.conrelid = k.conrelid);
end
$$;
comment on function tenancy_private.to_one_references(oid) is
    'The foreign keys of a table that have one column beside the tenant.';

-- A definer: the registry is readable by nobody. It tells what the catalog tells
-- everybody, and names that resources() tells. The row functions call it past the
-- rights to the schema.
create function tenancy_private.references_of(relation oid)
    returns text
    language sql stable strict
    security definer set search_path = pg_catalog, pg_temp
as $$
    select coalesce(json_agg(json_build_object(
        'column', r.column_name, 'collation', r.collation::int8, 'relation', r.target::int8, 'target', r.target_column,
        'hasTenant', r.has_tenant, 'resources', array(
            select e.resource
            from tenancy.exposed_resources as e
            where e.relation = r.target and not e.is_hidden and (tenancy_private.standing_of(e.relation)).kind is not null
            order by e.resource collate "C"))
        order by r.name), '[]')::text
    from tenancy_private.to_one_references(references_of.relation) as r
$$;
comment on function tenancy_private.references_of(oid) is
    'The to-one references of a table for the row functions, with the resources that serve what they lead to.';
