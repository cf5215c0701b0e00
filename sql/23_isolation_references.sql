/*
 * References of a table that comes under isolation.
 *
 * Foreign keys are checked without row-level security, so every one between
 * two isolated tables gets the tenant of both among its columns. Its actions,
 * its name and its comment stay as they were.
 */

-- Actions that set columns name them, or they would take the tenant away, too.
create function tenancy_private.reference_definition(
    key pg_constraint, child_columns name[], parent_columns name[], set_columns name[]
)
    returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select format('foreign key (%s) references %s (%s)',
            tenancy_private.quoted(child_columns), key.confrelid::regclass, tenancy_private.quoted(parent_columns))
        || case key.confupdtype when 'r' then ' on update restrict' when 'c' then ' on update cascade'
            when 'n' then ' on update set null' when 'd' then ' on update set default' else '' end
        || case key.confdeltype when 'r' then ' on delete restrict' when 'c' then ' on delete cascade'
            when 'n' then format(' on delete set null (%s)', tenancy_private.quoted(set_columns))
            when 'd' then format(' on delete set default (%s)', tenancy_private.quoted(set_columns)) else '' end
        || case when key.condeferrable then ' deferrable' else '' end
        || case when key.condeferred then ' initially deferred' else '' end
$$;
comment on function tenancy_private.reference_definition(pg_constraint, name[], name[], name[]) is
    'A foreign key as SQL with the same actions, over these columns; the last are what SET NULL and SET DEFAULT set.';

create function tenancy_private.comment_of(key pg_constraint)
    returns setof text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select format('comment on constraint %I on %s is %L', key.conname, key.conrelid::regclass, d.description)
    from pg_description as d
    where d.classoid = 'pg_constraint'::regclass and d.objoid = key.oid and d.objsubid = 0
$$;

create function tenancy_private.tenant_column_to_be(relation regclass, target regclass, tenant_column name)
    returns name
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select case when exists (select from tenancy_private.members(target) as m where m.member = relation)
        then tenant_column_to_be.tenant_column
        else tenancy_private.tenant_column(relation) end
$$;
comment on function tenancy_private.tenant_column_to_be(regclass, regclass, name) is
    'The tenant''s column of a relation, as soon as the target is isolated by that column.';

-- A reference to tenancy.tenants leads to the tenants themselves, not to what is theirs.
create function tenancy_private.references_without_tenant(target regclass, tenant_column name)
    returns table (key pg_constraint, child_tenant name, parent_tenant name, child_columns name[], parent_columns name[])
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    select r.*
    from (
        select k as key,
            tenancy_private.tenant_column_to_be(k.conrelid::regclass, target, tenant_column) as child_tenant,
            tenancy_private.tenant_column_to_be(k.confrelid::regclass, target, tenant_column) as parent_tenant,
            tenancy_private.columns(k.conrelid::regclass, k.conkey) as child_columns,
            tenancy_private.columns(k.confrelid::regclass, k.confkey) as parent_columns
        from pg_constraint as k
        where k.contype = 'f' and k.conparentid = 0
          and k.confrelid <> 'tenancy.tenants'::regclass
          and exists (
              select from tenancy_private.members(target) as m
              where m.member in (k.conrelid::regclass, k.confrelid::regclass))
    ) as r
    where r.child_tenant is not null and r.parent_tenant is not null
      and not exists (
          select from unnest(r.child_columns, r.parent_columns) as u (child_column, parent_column)
          where u.child_column = r.child_tenant and u.parent_column = r.parent_tenant)
    order by (r.key).conrelid, (r.key).conname
$$;
comment on function tenancy_private.references_without_tenant(regclass, name) is
    'The foreign keys between isolated tables, the target among them, that leave the tenant out.';

create function tenancy_private.reference_steps(target regclass, tenant_column name, online boolean)
    returns setof tenancy_private.step
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    found_reference record;
    key pg_constraint;
    child regclass;
    set_columns name[];
    definition text;
    is_plain boolean;
    is_online boolean;
    made name;
    lock text;
begin
    for found_reference in
        select * from tenancy_private.references_without_tenant(reference_steps.target, reference_steps.tenant_column)
    loop
        key := found_reference.key;
        child := key.conrelid::regclass;
        perform tenancy_private.refuse_reference(key, found_reference.child_tenant, found_reference.parent_tenant,
            found_reference.child_columns, found_reference.parent_columns);
        set_columns := coalesce(nullif(tenancy_private.columns(child, key.confdelsetcols), '{}'), found_reference.child_columns);
        definition := tenancy_private.reference_definition(key,
            found_reference.child_tenant || found_reference.child_columns,
            found_reference.parent_tenant || found_reference.parent_columns, set_columns);
        is_plain := (select c.relkind = 'r' from pg_class as c where c.oid = key.conrelid);
        -- The key of a partitioned table can't be made beside the old one.
        is_online := online and (
            select c.relkind = 'r' and not c.relispartition from pg_class as c where c.oid = key.confrelid);
        lock := format('SHARE ROW EXCLUSIVE on %s and %s', child, key.confrelid::regclass);

        return next tenancy_private.step_named(40, format('ACCESS SHARE on %s and %s', child, key.confrelid::regclass), 'scans both',
            'No row may refer to another tenant''s.',
            format('select tenancy_private.require_same_tenant(%L, %L, %L, %L)',
                child, key.conname, found_reference.child_tenant, found_reference.parent_tenant));
        if is_online then
            made := tenancy_private.free_name(child, 'tenant_' || key.oid);
            return next tenancy_private.step_named(60, lock,
                case when is_plain then 'none' else format('scans %s', child) end,
                'The reference with the tenant in it, beside the old one.',
                format('alter table %s add constraint %I %s%s', child, made, definition,
                    case when is_plain then ' not valid' else '' end));
            if is_plain and key.convalidated then
                return next tenancy_private.step_named(61, format('SHARE UPDATE EXCLUSIVE on %s, ROW SHARE on %s', child, key.confrelid::regclass),
                    'scans both', 'The existing rows are checked against it.',
                    format('alter table %s validate constraint %I', child, made));
            end if;
            return next tenancy_private.step_named(62, format('ACCESS EXCLUSIVE on %s and %s', child, key.confrelid::regclass), 'none',
                'The old reference goes.', format('alter table %s drop constraint %I', child, key.conname));
            return next tenancy_private.step_named(62, format('ACCESS EXCLUSIVE on %s', child), 'none',
                'The new one takes its name.', format('alter table %s rename constraint %I to %I', child, made, key.conname));
        else
            return next tenancy_private.step_named(50, format('ACCESS EXCLUSIVE on %s and %s', child, key.confrelid::regclass), 'none',
                'The reference comes back below, with the tenant in it.',
                format('alter table %s drop constraint %I', child, key.conname));
            return next tenancy_private.step_named(60, lock,
                case when key.convalidated then 'scans both' else 'none' end,
                'No reference leads to another tenant''s row.',
                format('alter table %s add constraint %I %s%s', child, key.conname, definition,
                    case when key.convalidated then '' else ' not valid' end));
        end if;
        -- With the tenant among the columns, MATCH FULL would refuse every empty reference.
        if key.confmatchtype = 'f' and cardinality(found_reference.child_columns) > 1 then
            return next tenancy_private.step_named(62, format('ACCESS EXCLUSIVE on %s', child), format('scans %s', child),
                'What MATCH FULL meant: all of the reference, or nothing.',
                format('alter table %s add constraint %I check (pg_catalog.num_nulls(%s) in (0, %s))%s', child,
                    tenancy_private.free_name(child, 'match_full_' || key.oid), tenancy_private.quoted(found_reference.child_columns),
                    cardinality(found_reference.child_columns),
                    case when key.convalidated then '' else ' not valid' end));
        end if;
        return query
            select (tenancy_private.step_named(64, format('SHARE UPDATE EXCLUSIVE on %s', child), 'none', 'The comment stays.', c)).*
            from tenancy_private.comment_of(key) as c;
    end loop;
end
$$;
comment on function tenancy_private.reference_steps(regclass, name, boolean) is
    'The steps that put the tenant into every foreign key between the target and isolated tables.';

create function tenancy_private.refuse_reference(
    key pg_constraint, child_tenant name, parent_tenant name, child_columns name[], parent_columns name[]
)
    returns void
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if key.confupdtype in ('n', 'd') then
        raise exception 'the reference "%" of % has ON UPDATE SET, which would take the tenant away', key.conname, key.conrelid::regclass
            using errcode = 'TN706', hint = 'Make it ON UPDATE CASCADE or NO ACTION first.';
    elsif child_tenant = any (child_columns) or parent_tenant = any (parent_columns) then
        raise exception 'the reference "%" of % ties the tenant to something else', key.conname, key.conrelid::regclass
            using errcode = 'TN706', hint = 'It would have to compare the tenant of the one table with the tenant of the other. Drop it, or isolate with another tenant_column.';
    end if;
end
$$;
comment on function tenancy_private.refuse_reference(pg_constraint, name, name, name[], name[]) is
    'TN706 for a foreign key that can''t be given the tenant.';
