/*
 * lint(): references, unique keys and indexes that leave the tenant out.
 *
 * PostgreSQL checks references and unique keys without row-level security:
 * only a key that holds the tenant stays within it.
 */

create function tenancy_private.lint_references(walled tenancy_private.walled[])
    returns table (
        constraint_oid oid, name text, child oid, parent oid, is_walled boolean,
        child_tenant smallint, parent_tenant smallint, on_delete "char", on_update "char", has_tenant boolean, clears_tenant boolean
    )
    language sql stable rows 1000
begin atomic
    select k.oid, k.conname::text, k.conrelid, k.confrelid, p.relation is not null,
        c.tenant_attnum, p.tenant_attnum, k.confdeltype, k.confupdtype,
        exists (
            select from generate_subscripts(k.conkey, 1) as i
            where k.conkey[i] = c.tenant_attnum and k.confkey[i] = p.tenant_attnum),
        c.tenant_attnum = any (k.conkey) and (
            (k.confdeltype in ('n', 'd') and (k.confdelsetcols is null or c.tenant_attnum = any (k.confdelsetcols)))
            or k.confupdtype in ('n', 'd'))
    from pg_catalog.pg_constraint as k
    join unnest(walled) as c on c.relation = k.conrelid and not c.is_own
    left join unnest(walled) as p on p.relation = k.confrelid
    where k.contype = 'f' and k.conparentid = 0;
end;
comment on function tenancy_private.lint_references(tenancy_private.walled[]) is 'The foreign keys of isolated tables, and what they do with the tenant.';

-- The same foreign key with the tenant in it, and with actions that leave the tenant alone.
create function tenancy_private.lint_composite(constraint_oid oid, child_tenant smallint, parent_tenant smallint)
    returns text
    language sql stable
begin atomic
    with reference as (
        select k.*, c.attnum as tenant_attnum, c.attname as tenant_column, p.attnum as parent_attnum, p.attname as parent_column
        from pg_catalog.pg_constraint as k
        join pg_catalog.pg_attribute as c on c.attrelid = k.conrelid and c.attnum = lint_composite.child_tenant
        join pg_catalog.pg_attribute as p on p.attrelid = k.confrelid and p.attnum = lint_composite.parent_tenant
        where k.oid = lint_composite.constraint_oid
    ), columns as (
        select string_agg(quote_ident(a.attname), ', ' order by u.position) as child,
            string_agg(quote_ident(b.attname), ', ' order by u.position) as parent,
            array_agg(b.attnum) as parent_attnums
        from reference as r, unnest(r.conkey, r.confkey) with ordinality as u (attnum, parent_attnum, position)
        join pg_catalog.pg_attribute as a on a.attrelid = (select conrelid from reference) and a.attnum = u.attnum
        join pg_catalog.pg_attribute as b on b.attrelid = (select confrelid from reference) and b.attnum = u.parent_attnum
        where u.attnum <> r.tenant_attnum
    )
    select case
        when exists (
            select from pg_catalog.pg_index as i
            where i.indrelid = r.confrelid and i.indisunique and i.indimmediate and i.indpred is null and i.indexprs is null
              and i.indnkeyatts = cardinality(c.parent_attnums) + 1
              and i.indkey::smallint[] @> (c.parent_attnums || r.parent_attnum)
        ) then ''
        else format('alter table %s add unique (%I, %s); ', r.confrelid::regclass, r.parent_column, c.parent)
        end
        || format('alter table %s drop constraint %I, add constraint %I foreign key (%I, %s) references %s (%I, %s)',
            r.conrelid::regclass, r.conname, r.conname, r.tenant_column, c.child, r.confrelid::regclass, r.parent_column, c.parent)
        || case r.confdeltype
            when 'c' then ' on delete cascade'
            when 'r' then ' on delete restrict'
            when 'n' then format(' on delete set null (%s)', c.child)
            when 'd' then format(' on delete set default (%s)', c.child)
            else '' end
        -- ON UPDATE SET NULL takes no list of columns, and would clear the tenant.
        || case r.confupdtype when 'c' then ' on update cascade' when 'r' then ' on update restrict' else '' end
        || case when r.condeferrable then ' deferrable' else '' end
        || case when r.condeferred then ' initially deferred' else '' end
    from reference as r, columns as c;
end;
comment on function tenancy_private.lint_composite(oid, smallint, smallint) is 'The statements that make a foreign key between isolated tables composite.';

create function tenancy_private.lint_reference_without_tenant(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', format('constraint %I on %s', r.name, r.child::regclass),
        format('refers to the isolated %s without the tenant', r.parent::regclass),
        coalesce(tenancy_private.lint_composite(r.constraint_oid, r.child_tenant, r.parent_tenant), '-- Refer to a key of that table that has the tenant in it.')
    from tenancy_private.lint_references(walled) as r
    where r.is_walled and not r.has_tenant and r.parent <> 'tenancy.tenants'::regclass;
end;

create function tenancy_private.lint_cascade_crosses(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', format('constraint %I on %s', r.name, r.child::regclass),
        case
            when not r.is_walled then format('changes rows of every tenant when one of the shared %s goes', r.parent::regclass)
            when not r.has_tenant then format('changes rows of other tenants when one of %s goes', r.parent::regclass)
            else format('clears the tenant when a row of %s goes', r.parent::regclass)
        end,
        case when r.is_walled and r.parent <> 'tenancy.tenants'::regclass then tenancy_private.lint_composite(r.constraint_oid, r.child_tenant, r.parent_tenant)
            else format('alter table %s drop constraint %I, add constraint %I %s', r.child::regclass, r.name, r.name,
                regexp_replace(pg_get_constraintdef(r.constraint_oid),
                    ' ON (DELETE|UPDATE) (CASCADE|SET NULL|SET DEFAULT)( \([^)]*\))?', '', 'g'))
        end
    from tenancy_private.lint_references(walled) as r
    where (r.on_delete in ('c', 'n', 'd') or r.on_update in ('c', 'n', 'd'))
      and (not r.has_tenant or r.clears_tenant);
end;

-- An id that is a random uuid tells nobody whether another tenant has it.
create function tenancy_private.lint_unique_without_tenant(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select case when i.indnkeyatts = 1 and a.atttypid = 'uuid'::regtype and a.atthasdef then 'info' else 'warning' end,
        case when k.oid is null then i.indexrelid::regclass::text
            else format('constraint %I on %s', k.conname, i.indrelid::regclass) end,
        'is unique across tenants',
        case when k.oid is null
            then format('drop index %s; %s', i.indexrelid::regclass, regexp_replace(
                pg_get_indexdef(i.indexrelid), ' USING (\w+) \(', format(' USING \1 (%I, ', w.tenant_column)))
            when k.contype = 'x'
            then format('-- alter table %s drop constraint %I, and add it again with "%I with =" (extension btree_gist).',
                i.indrelid::regclass, k.conname, w.tenant_column)
            else format('alter table %s drop constraint %I, add constraint %I %s', i.indrelid::regclass, k.conname, k.conname,
                regexp_replace(pg_get_constraintdef(k.oid), '\(', format('(%I, ', w.tenant_column)))
        end
    from unnest(walled) as w
    join pg_catalog.pg_index as i on i.indrelid = w.relation and (i.indisunique or i.indisexclusion)
    join pg_catalog.pg_class as c on c.oid = i.indexrelid and not c.relispartition
    left join pg_catalog.pg_constraint as k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
    left join pg_catalog.pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where not w.is_own
      and w.tenant_attnum <> all ((i.indkey::smallint[])[0:i.indnkeyatts - 1]);
end;

create function tenancy_private.lint_no_tenant_index(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', w.relation::regclass::text, 'has no index that leads with the tenant',
        format('create index on %s (%I)', w.relation::regclass, w.tenant_column)
    from unnest(walled) as w
    join pg_catalog.pg_class as c on c.oid = w.relation and not c.relispartition
    where not w.is_own
      and not exists (
          select from pg_catalog.pg_index as i
          where i.indrelid = w.relation and i.indkey[0] = w.tenant_attnum and i.indpred is null and i.indisvalid);
end;
