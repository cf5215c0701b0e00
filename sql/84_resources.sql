/*
 * resources() tells a service all that is exposed to the role that asks: its
 * routes, and what it documents of them.
 */

create function tenancy_private.check_choices(relation oid, attnum smallint)
    returns json
    language sql stable strict
begin atomic
    select json_agg(replace(c.literal[1], '''''', ''''))
    from (
        select l.literal
        from pg_catalog.pg_constraint as k
        cross join lateral regexp_match(pg_get_constraintdef(k.oid),
            '^CHECK \(+[^()]*\)?(?:::text)? = ANY \(+ARRAY\[((?:''(?:[^'']|'''')*''::[a-z ]+(?:, )?)+)\]\)?(?:::text\[\])?\)+(?: NOT VALID)?$') as d (list)
        cross join lateral regexp_matches(d.list[1], '''((?:[^'']|'''')*)''::', 'g') as l (literal)
        where k.conrelid = check_choices.relation and k.contype = 'c' and k.conkey = array[check_choices.attnum]
    ) as c
    having count(*) > 0;
end;
comment on function tenancy_private.check_choices(oid, smallint) is
    'The texts that a check of the form column in (…) allows; NULL without one.';

create function tenancy_private.described_fields(
    relation oid, tenant name, columns name[], insertable name[], updatable name[], filterable name[], sortable name[]
)
    returns json
    language sql stable
begin atomic
    select json_agg(json_build_object(
        'name', tenancy_private.field_name(a.attname), 'column', a.attname,
        'type', case when e.oid is null then b.typname else 'array' end, 'elementType', e.typname,
        'isNullable', not (a.attnotnull or t.typnotnull),
        'hasDefault', a.atthasdef or a.attidentity <> '' or t.typdefault is not null,
        'isInsertable', w.is_writable and has_column_privilege(a.attrelid, a.attnum, 'insert')
            and (insertable is null or a.attname = any (insertable)),
        'isUpdatable', w.is_writable and has_column_privilege(a.attrelid, a.attnum, 'update')
            and (updatable is null or a.attname = any (updatable)),
        'isFilterable', a.attname is distinct from tenant
            and case when filterable is null then w.is_indexed else a.attname = any (filterable) end,
        'isSortable', a.attname is distinct from tenant and tenancy_private.is_ordered(b.oid)
            and case when sortable is null then w.is_indexed else a.attname = any (sortable) end,
        'maxLength', case when b.typname in ('varchar', 'bpchar') and w.modifier > 4 then w.modifier - 4 end,
        'choices', case b.typtype
            when 'e' then (
                select json_agg(l.enumlabel order by l.enumsortorder) from pg_catalog.pg_enum as l where l.enumtypid = b.oid)
            else tenancy_private.check_choices(a.attrelid, a.attnum) end,
        'comment', col_description(a.attrelid, a.attnum)) order by a.attnum)
    from pg_catalog.pg_attribute as a
    join pg_catalog.pg_type as t on t.oid = a.atttypid
    join pg_catalog.pg_type as b
        on b.oid = case t.typtype when 'd' then tenancy_private.base_type(t.oid) else t.oid end
    left join pg_catalog.pg_type as x on b.typcategory = 'A' and x.oid = b.typelem
    left join pg_catalog.pg_type as e
        on e.oid = case x.typtype when 'd' then tenancy_private.base_type(x.oid) else x.oid end
    cross join lateral (
        select a.attname is distinct from tenant and a.attgenerated = '' and a.attidentity <> 'a'
                and not (a.attname = 'deleted_at' and tenancy_private.is_soft_deleted(a.attrelid)) as is_writable,
            case t.typtype when 'd' then t.typtypmod else a.atttypmod end as modifier,
            exists (
                select from pg_catalog.pg_index as i
                where i.indrelid = a.attrelid and i.indisvalid and i.indpred is null and a.attnum = any (i.indkey)) as is_indexed
    ) as w
    where a.attrelid = described_fields.relation and a.attnum > 0 and not a.attisdropped
      and (described_fields.columns is null or a.attname = any (described_fields.columns))
      and has_column_privilege(a.attrelid, a.attnum, 'select');
end;
comment on function tenancy_private.described_fields(oid, name, name[], name[], name[], name[], name[]) is
    'The fields of a resource that the caller may read, and what the caller may do with each.';

create function tenancy_private.described_key(relation oid, tenant name, key name[])
    returns name[]
    language sql stable
begin atomic
    select coalesce(key, (
        select array_agg(a.attname order by u.place)
        from pg_catalog.pg_index as i
        cross join lateral unnest(i.indkey) with ordinality as u (number, place)
        join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = u.number
        where i.indrelid = relation and i.indisprimary and u.place <= i.indnkeyatts
          and a.attname is distinct from tenant));
end;
comment on function tenancy_private.described_key(oid, name, name[]) is
    'The columns that an id of a resource is made of: the given ones, or the primary key''s beside the tenant.';

create function tenancy_private.described_resources()
    returns json
    language sql stable
begin atomic
    with served as materialized (
        select s.*, tenancy_private.described_key(s.relation, s.tenant, s.key) as id
        from tenancy_private.served_resources(null) as s
    ), readable as materialized (
        select s.*
        from served as s
        where (s.columns is null or s.id <@ s.columns)
          and (select bool_and(has_column_privilege(s.relation, i.name, 'select')) from unnest(s.id) as i (name))
    ), include as (
        -- What one column beside the tenant refers to: project_id of projects (tenant_id, id) is "project".
        select c.resource, tenancy_private.field_name(left(a.attname, -length(b.attname) - 1)) as name,
            min(p.resource collate "C") as parent, tenancy_private.field_name(a.attname) as field
        from readable as c
        join pg_catalog.pg_constraint as k on k.conrelid = c.relation and k.contype = 'f'
        join readable as p on p.relation = k.confrelid and p.kind in ('table', 'shared')
        cross join lateral (
            select array_agg(u.child) as children, array_agg(u.parent) as parents
            from unnest(k.conkey, k.confkey) as u (child, parent)
            join pg_catalog.pg_attribute as t on t.attrelid = k.conrelid and t.attnum = u.child
            where t.attname is distinct from c.tenant
        ) as u
        join pg_catalog.pg_attribute as a on a.attrelid = k.conrelid and a.attnum = u.children[1]
        join pg_catalog.pg_attribute as b on b.attrelid = k.confrelid and b.attnum = u.parents[1]
        where cardinality(u.children) = 1 and right(a.attname, length(b.attname) + 1) = '_' || b.attname
          and p.id = array[b.attname]
          and (c.columns is null or a.attname = any (c.columns))
          and has_column_privilege(c.relation, a.attnum, 'select')
        group by c.resource, a.attname, b.attname
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
        'fields', tenancy_private.described_fields(
            r.relation, r.tenant, r.columns, r.insertable, r.updatable, r.filterable, r.sortable),
        'includes', coalesce((
            select json_agg(json_build_object('name', i.name, 'resource', i.parent, 'field', i.field) order by i.name)
            from include as i where i.resource = r.resource), '[]')) order by r.resource collate "C"), '[]')
    from readable as r;
end;
comment on function tenancy_private.described_resources() is
    'The resources that the caller may read: name, kind, key, fields, includes.';

create function tenancy.resources(known_version text default null)
    returns json
    language sql stable
begin atomic
    select json_build_object('version', v.version, 'resources', d.resources, 'functions', d.functions)
    from (
        select tenancy_private.described_resources() as resources, json '[]' as functions
    ) as d
    cross join lateral (
        select left(encode(sha256(convert_to(d.resources::text || d.functions::text, 'UTF8')), 'hex'), 32) as version
    ) as v
    where v.version is distinct from resources.known_version;
end;
comment on function tenancy.resources(text) is
    'All that is served to the role that asks, for a service: {"version","resources":[…],"functions":[…]}, or NULL while it is the known version still. Needs no tenant.';
