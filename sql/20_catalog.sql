/*
 * What the catalog says about isolation. Nothing is registered anywhere.
 *
 * A table is isolated when row-level security is enabled and forced on it and
 * it has the boundary: a restrictive policy tenant_boundary, for all commands
 * and everybody, which compares one column with the tenant of the context and
 * does nothing else. That column is the tenant's.
 */

create function tenancy_private.boundary(tenant_column name)
    returns text
    language sql immutable strict
return pg_catalog.format('(%I = tenancy.current_tenant_id())', tenant_column);
comment on function tenancy_private.boundary(name) is
    'The condition of a boundary on that column, as the catalog shows it.';

-- The path is pinned, because pg_get_expr() leaves out what the path finds by itself.
-- In PL/pgSQL, which keeps the plan: to make it takes ten times as long as to run it, and
-- whoever describes a schema asks for each of its tables and references.
create function tenancy_private.tenant_column(relation regclass)
    returns name
    language plpgsql stable strict
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select a.attname
        from pg_class as c
        join pg_policy as p on p.polrelid = c.oid
        join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.oid = tenant_column.relation
          and c.relrowsecurity and c.relforcerowsecurity
          and p.polname = 'tenant_boundary'
          and not p.polpermissive and p.polcmd = '*' and p.polroles = '{0}'
          and exists (
              select from pg_depend as d
              where d.classid = 'pg_policy'::regclass and d.objid = p.oid
                and d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid = a.attnum)
          and pg_get_expr(p.polqual, c.oid) = tenancy_private.boundary(a.attname)
          and pg_get_expr(p.polwithcheck, c.oid) = tenancy_private.boundary(a.attname)
    );
end
$$;
comment on function tenancy_private.tenant_column(regclass) is
    'The tenant''s column of an isolated table; NULL for a relation that is not isolated.';

create view tenancy.isolated_tables with (security_invoker = on) as
    select t.relation, t.tenant_column
    from (
        select p.polrelid::regclass as relation,
            tenancy_private.tenant_column(p.polrelid::regclass) as tenant_column
        from pg_catalog.pg_policy as p
        where p.polname = 'tenant_boundary'
    ) as t
    where t.tenant_column is not null;
comment on view tenancy.isolated_tables is
    'The isolated tables and their tenant''s columns, read from the catalog. For superusers.';

create function tenancy_private.members(relation regclass)
    returns table (member regclass, kind "char", is_partition boolean)
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    with recursive tree (oid) as (
        select members.relation::oid
        union
        select i.inhrelid
        from tree
        join pg_inherits as i on i.inhparent = tree.oid
    )
    select c.oid::regclass, c.relkind, c.relispartition
    from tree
    join pg_class as c on c.oid = tree.oid
    order by c.oid <> members.relation, c.oid
$$;
comment on function tenancy_private.members(regclass) is
    'A table, its partitions and its inheritance children, of all generations; itself first.';

create function tenancy_private.columns(relation regclass, numbers smallint[])
    returns name[]
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(a.attname order by u.place), '{}')
    from unnest(columns.numbers) with ordinality as u (number, place)
    join pg_attribute as a on a.attrelid = columns.relation and a.attnum = u.number
$$;
comment on function tenancy_private.columns(regclass, smallint[]) is
    'The names of a relation''s columns with these numbers, in this order.';

create function tenancy_private.quoted(names name[])
    returns text
    language sql immutable strict
return (
    select pg_catalog.string_agg(pg_catalog.quote_ident(u.name), ', ' order by u.place)
    from pg_catalog.unnest(names) with ordinality as u (name, place)
);
comment on function tenancy_private.quoted(name[]) is 'Names as a list in SQL.';

-- PostgreSQL would shorten a long name by itself, and then not find it again.
create function tenancy_private.free_name(relation regclass, suffix text)
    returns name
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    owner record;
    ending text;
    stem text;
    found name;
begin
    select c.relname, c.relnamespace into owner from pg_class as c where c.oid = free_name.relation;
    for number in 0..1000 loop
        ending := '_' || left(suffix, 30) || case when number = 0 then '' else number::text end;
        stem := owner.relname;
        while octet_length(stem || ending) > 63 and stem <> '' loop
            stem := left(stem, -1);
        end loop;
        found := stem || ending;
        exit when not exists (
                select from pg_class as c
                where c.relnamespace = owner.relnamespace and c.relname = found)
            and not exists (
                select from pg_constraint as k
                where k.conrelid = free_name.relation and k.conname = found);
    end loop;
    return found;
end
$$;
comment on function tenancy_private.free_name(regclass, text) is
    'A name for a constraint or index of that table which is not taken: TABLE_SUFFIX, at most 63 bytes.';
