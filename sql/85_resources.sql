/*
 * resources() tells a service all that is exposed to the role that asks: its
 * routes, and what it documents of them.
 */

create function tenancy_private.choices_of(definition text)
    returns json
    language sql immutable strict
begin atomic
    select json_agg(replace(l.literal[1], '''''', ''''))
    from regexp_match(definition,
        '^CHECK \(+[^()]*\)?(?:::text)? = ANY \(+ARRAY\[((?:''(?:[^'']|'''')*''::[a-z ]+(?:, )?)+)\]\)?(?:::text\[\])?\)+(?: NOT VALID)?$') as d (list)
    cross join lateral regexp_matches(d.list[1], '''((?:[^'']|'''')*)''::', 'g') as l (literal);
end;
comment on function tenancy_private.choices_of(text) is
    'The texts that a check of the form column in (…) allows, by its definition; NULL of another.';

create function tenancy_private.base_modifier(type oid)
    returns integer
    language sql stable strict
begin atomic
    with recursive below (base, modifier) as (
        select t.typbasetype, t.typtypmod from pg_catalog.pg_type as t where t.oid = type
        union all
        select t.typbasetype, t.typtypmod from below as b join pg_catalog.pg_type as t on t.oid = b.base
    )
    select max(b.modifier) from below as b;
end;
comment on function tenancy_private.base_modifier(oid) is 'The modifier of the type below a domain, such as the 20 of varchar(20) and 4 more; -1: none.';

-- One query for all, which joins the catalog once however many there are.
create function tenancy_private.described_fields()
    returns table (
        resource text, relation oid, kind text, tenant name, insertable name[], updatable name[], key name[], shown name[], fields json
    )
    language sql stable
begin atomic
    with served as materialized (
        select s.* from tenancy_private.served_resources(null) as s
    ), indexed as materialized (
        select distinct i.indrelid as relation, u.attnum
        from pg_catalog.pg_index as i
        cross join lateral unnest(i.indkey) as u (attnum)
        where i.indisvalid and i.indpred is null and i.indrelid in (select s.relation from served as s)
    ), choice as materialized (
        select k.conrelid as relation, k.conkey[1] as attnum,
            min(tenancy_private.choices_of(pg_get_constraintdef(k.oid))::text) as choices
        from pg_catalog.pg_constraint as k
        where k.contype = 'c' and cardinality(k.conkey) = 1 and k.conrelid in (select s.relation from served as s)
        group by 1, 2
    ), own as materialized (
        select s.*, a.attname, a.attnum, a.attnotnull, a.atthasdef, a.attidentity, t.typnotnull, t.typdefault, b.oid as base,
            case when e.oid is null then b.typname else 'array' end as type, e.typname as element_type, b.typtype,
            case t.typtype when 'd' then tenancy_private.base_modifier(t.oid) else a.atttypmod end as modifier,
            a.attname is distinct from s.tenant as is_choosable,
            a.attname is distinct from s.tenant and a.attgenerated = '' and a.attidentity <> 'a'
                and not (a.attname = 'deleted_at' and tenancy_private.is_soft_deleted(s.relation)) as is_writable
        from served as s
        join pg_catalog.pg_attribute as a on a.attrelid = s.relation and a.attnum > 0 and not a.attisdropped
        join pg_catalog.pg_type as t on t.oid = a.atttypid
        join pg_catalog.pg_type as b
            on b.oid = case t.typtype when 'd' then tenancy_private.base_type(t.oid) else t.oid end
        left join pg_catalog.pg_type as x on b.typcategory = 'A' and x.oid = b.typelem
        left join pg_catalog.pg_type as e
            on e.oid = case x.typtype when 'd' then tenancy_private.base_type(x.oid) else x.oid end
        where (s.columns is null or a.attname = any (s.columns))
          and has_column_privilege(s.relation, a.attnum, 'select')
    )
    select o.resource, o.relation, o.kind, o.tenant, o.insertable, o.updatable, o.key, array_agg(o.attname), json_agg(json_build_object(
        'name', tenancy_private.field_name(o.attname), 'column', o.attname,
        'type', o.type, 'elementType', o.element_type,
        'isNullable', not (o.attnotnull or o.typnotnull),
        'hasDefault', o.atthasdef or o.attidentity <> '' or o.typdefault is not null,
        'isInsertable', o.is_writable and has_column_privilege(o.relation, o.attnum, 'insert')
            and (o.insertable is null or o.attname = any (o.insertable)),
        'isUpdatable', o.is_writable and has_column_privilege(o.relation, o.attnum, 'update')
            and (o.updatable is null or o.attname = any (o.updatable)),
        'isFilterable', o.is_choosable
            and case when o.filterable is null then i.attnum is not null else o.attname = any (o.filterable) end,
        'isSortable', o.is_choosable and tenancy_private.is_ordered(o.base)
            and case when o.sortable is null then i.attnum is not null else o.attname = any (o.sortable) end,
        'maxLength', case when o.type in ('varchar', 'bpchar') and o.modifier > 4 then o.modifier - 4 end,
        'choices', case o.typtype
            when 'e' then (
                select json_agg(l.enumlabel order by l.enumsortorder) from pg_catalog.pg_enum as l where l.enumtypid = o.base)
            else c.choices::json end,
        'comment', col_description(o.relation, o.attnum)) order by o.attnum)
    from own as o
    left join indexed as i on i.relation = o.relation and i.attnum = o.attnum
    left join choice as c on c.relation = o.relation and c.attnum = o.attnum
    group by o.resource, o.relation, o.kind, o.tenant, o.insertable, o.updatable, o.key;
end;
comment on function tenancy_private.described_fields() is
    'Of each resource the columns that the caller may read, and what the caller may do with each.';

-- A table of one row, because that becomes a part of the query that asks.
create function tenancy_private.described_resources()
    returns table (resources json)
    language sql stable
begin atomic
    with described as materialized (
        select d.* from tenancy_private.described_fields() as d
    ), primary_key as materialized (
        select d.resource, array_agg(a.attname order by u.place) as columns
        from described as d
        join pg_catalog.pg_index as i on i.indrelid = d.relation and i.indisprimary
        cross join lateral unnest(i.indkey) with ordinality as u (attnum, place)
        join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = u.attnum
        where u.place <= i.indnkeyatts and a.attname is distinct from d.tenant
        group by d.resource
    ), readable as materialized (
        select d.*, coalesce(d.key, p.columns) as id
        from described as d
        left join primary_key as p on p.resource = d.resource
        -- As the row functions: there is no resource for who may not read the key, nor
        -- where two columns have one name in JSON.
        where coalesce(d.key, p.columns) <@ d.shown
          and cardinality(d.shown) = (select count(distinct tenancy_private.field_name(n.name)) from unnest(d.shown) as n (name))
    ), target as materialized (
        select r.relation, r.kind, r.shown, r.resource from readable as r where r.kind <> 'view'
    ), reference as materialized (
        select distinct c.resource, c.shown, f.name as field, r.target, r.target_column, p.resource as parent,
            case when f.name ~ '.Id$' then left(f.name, -2) else tenancy_private.field_name(p.resource) end as name
        from readable as c
        join (select distinct k.conrelid from pg_catalog.pg_constraint as k where k.contype = 'f') as k on k.conrelid = c.relation
        cross join lateral tenancy_private.to_one_references(c.relation) as r
        cross join lateral (select tenancy_private.field_name(r.column_name) as name) as f
        join pg_catalog.pg_attribute as a on a.attrelid = c.relation and a.attname = r.column_name
        join pg_catalog.pg_attribute as b on b.attrelid = r.target and b.attname = r.target_column
        cross join lateral (
            select min(s.resource collate "C") as resource
            from target as s
            where s.relation = r.target and s.kind = case when r.has_tenant then 'table' else 'shared' end
              and r.target_column = any (s.shown)
        ) as p
        where p.resource is not null
          and tenancy_private.base_type(a.atttypid) = tenancy_private.base_type(b.atttypid)
          and r.column_name = any (c.shown)
    ), include as materialized (
        select r.resource, json_agg(json_build_object('name', r.name, 'resource', r.parent, 'field', r.field) order by r.name) as includes
        from (select r.*, count(*) over (partition by r.resource, r.name) as number from reference as r) as r
        where r.number = 1
          and not exists (select from unnest(r.shown) as s (name) where tenancy_private.field_name(s.name) = r.name)
        group by r.resource
    )
    select coalesce(json_agg(json_build_object(
        'name', r.resource, 'kind', r.kind, 'comment', obj_description(r.relation, 'pg_class'),
        'key', (
            select json_agg(tenancy_private.field_name(i.name) order by i.place)
            from unnest(r.id) with ordinality as i (name, place)),
        'isWritable', r.kind <> 'shared' and (
            (r.insertable is distinct from '{}' and has_any_column_privilege(r.relation, 'insert'))
            or (r.updatable is distinct from '{}' and has_any_column_privilege(r.relation, 'update'))
            or ((r.kind = 'table' or r.insertable <> '{}' or r.updatable <> '{}')
                and has_table_privilege(r.relation, 'delete'))),
        'isSoftDeleted', tenancy_private.is_soft_deleted(r.relation),
        'fields', r.fields, 'includes', coalesce(i.includes, '[]')) order by r.resource collate "C"), '[]')
    from readable as r
    left join include as i on i.resource = r.resource;
end;
comment on function tenancy_private.described_resources() is
    'The resources that the caller may read: name, kind, key, fields, includes.';

-- A set, not a value: PostgreSQL makes a set's query a part of the query that asks, whose plan
-- a prepared statement keeps. To plan it takes five times as long as to run it, and each
-- service asks every few seconds.
create function tenancy.newer_resources(known_version text)
    returns setof json
    language sql stable
begin atomic
    with described as materialized (
        select r.resources, tenancy_private.described_functions(current_user) as functions
        from tenancy_private.described_resources() as r
    ), versioned as materialized (
        select d.*, left(encode(sha256(convert_to(d.resources::text || d.functions::text, 'UTF8')), 'hex'), 32) as version
        from described as d
    )
    select json_build_object('version', v.version, 'resources', v.resources, 'functions', v.functions)
    from versioned as v
    where v.version is distinct from newer_resources.known_version;
end;
comment on function tenancy.newer_resources(text) is
    'What resources() tells, for a service that asks again and again: one row, or none while that is the known version still. In FROM, in a prepared statement. Needs no tenant.';

create function tenancy.resources(known_version text default null)
    returns json
    language sql stable
begin atomic
    select r.resources from tenancy.newer_resources(resources.known_version) as r (resources);
end;
comment on function tenancy.resources(text) is
    'All that is served to the role that asks: {"version","resources":[…],"functions":[…]}, or NULL while it is the known version still. Needs no tenant.';
