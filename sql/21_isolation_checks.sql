/*
 * What isolate_table() refuses, and how it says so.
 *
 * Each refusal names the table, gives the reason and, as the hint, the way
 * out. The last two look at the rows: they are steps of a plan, so a DBA who
 * runs it by hand meets them, too.
 */

create function tenancy_private.refuse_caller()
    returns void
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    -- Anybody else is bound by the very policies, and would see no row to fill or to check.
    if not (select r.rolsuper from pg_roles as r where r.rolname = current_user) then
        raise exception 'only a superuser may say what is isolated, shared or served'
            using errcode = '42501', hint = 'Ask the DBA.';
    end if;
    if coalesce(current_setting('pg_tenancy.context', true), '') <> '' then
        raise exception 'a tenant has been entered in this transaction'
            using errcode = 'TN707', hint = 'Do this outside of a tenant''s context, in a transaction of its own.';
    end if;
end
$$;
comment on function tenancy_private.refuse_caller() is
    'Raises unless the caller is a superuser (42501) outside of a context (TN707).';

-- VOLATILE, so that it sees what has been committed while a lock was awaited.
create function tenancy_private.isolation_target(relation regclass)
    returns regclass
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    target regclass := isolation_target.relation;
    above regclass;
    part record;
    reason text;
    way_out text;
begin
    -- A partition that was attached later comes under the wall of its table.
    loop
        select i.inhparent into above from pg_inherits as i where i.inhrelid = target;
        exit when above is null;
        target := above;
    end loop;
    if target <> isolation_target.relation and tenancy_private.tenant_column(target) is null then
        raise exception '% can''t be isolated: it is a part of %', isolation_target.relation, target
            using errcode = 'TN701', hint = format('select tenancy.isolate_table(%L)', target);
    end if;

    for part in
        select m.member, m.kind, c.relpersistence, c.relnamespace, c.reloftype, e.extname, (
                select i.inhparent::regclass from pg_inherits as i
                where i.inhrelid = c.oid
                  and not i.inhparent in (select o.member from tenancy_private.members(target) as o)
                limit 1) as other
        from tenancy_private.members(target) as m
        join pg_class as c on c.oid = m.member
        left join pg_depend as d
          on d.classid = 'pg_class'::regclass and d.objid = c.oid
         and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
        left join pg_extension as e on e.oid = d.refobjid
    loop
        reason := null;
        if part.member::oid < 16384
            or part.relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        then
            reason := 'it belongs to the system';
            way_out := 'Make a table of your own.';
        elsif part.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace) then
            reason := 'it is a table of pg_tenancy itself, which keeps it apart already';
            way_out := 'Nothing is left to do.';
        elsif part.extname is not null then
            reason := format('it belongs to the extension "%s"', part.extname);
            way_out := 'Copy its rows to a table of your own and isolate that. The next update of the extension could undo it here.';
        elsif part.kind = 'v' then
            reason := 'it is a view';
            way_out := format('Isolate the tables that it reads, and: alter view %s set (security_invoker = on)', part.member);
        elsif part.kind = 'm' then
            reason := 'it is a materialized view, and those have no row-level security';
            way_out := 'Make it a view with security_invoker, or a table that a job fills, and isolate that.';
        elsif part.kind = 'f' then
            reason := 'it is a foreign table, and the rows are kept elsewhere';
            way_out := 'Isolate the table on the server that keeps the rows, or copy them into a table here.';
        elsif part.kind not in ('r', 'p') then
            reason := 'it is not a table';
            way_out := 'Name the table itself.';
        elsif part.relpersistence = 't' then
            reason := 'it is temporary';
            way_out := 'Nobody else sees a temporary table. Make it an ordinary one to share it between tenants.';
        elsif part.relpersistence = 'u' then
            reason := 'it is unlogged, and a crash would empty it for every tenant';
            way_out := format('alter table %s set logged', part.member);
        elsif part.other is not null then
            reason := format('it is a part of %s, too, which would show its rows', part.other);
            way_out := format('alter table %s no inherit %s', part.member, part.other);
        elsif part.reloftype <> 0 then
            reason := 'its columns belong to a type';
            way_out := format('alter table %s not of', part.member);
        end if;
        if reason is not null then
            raise exception '% can''t be isolated: %', target,
                case when part.member = target then reason
                    else format('it has the part %s, and of that: %s', part.member, reason) end
                using errcode = 'TN701', hint = way_out;
        end if;
    end loop;
    if not found then
        raise exception 'there is no table with the oid %', coalesce(target::oid::text, 'NULL')
            using errcode = 'TN701', hint = 'Name a table: tenancy.isolate_table(''schema.table'').';
    end if;
    return target;
end
$$;
comment on function tenancy_private.isolation_target(regclass) is
    'The table to isolate: the one given, or what an isolated one it is a part of. TN701 where it can''t be.';

create function tenancy_private.isolation_column(relation regclass, tenant_column name)
    returns name
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    present constant name := tenancy_private.tenant_column(isolation_column.relation);
    wanted constant name := coalesce(isolation_column.tenant_column, present, 'tenant_id');
    found record;
begin
    if present <> wanted then
        raise exception '% is isolated by its column "%" already', isolation_column.relation, present
            using errcode = 'TN702', hint = format('To change that: select tenancy.release_table(%L)', isolation_column.relation);
    end if;
    for found in
        select m.member, a.atttypid, a.attgenerated, format_type(a.atttypid, a.atttypmod) as type
        from tenancy_private.members(isolation_column.relation) as m
        join pg_attribute as a on a.attrelid = m.member
        where a.attname = wanted and not a.attisdropped
    loop
        if found.atttypid <> 'uuid'::regtype then
            raise exception 'the column "%" of % is of type %, and a tenant is a uuid', wanted, found.member, found.type
                using errcode = 'TN702',
                      hint = format('Keep it as the company''s own key, with a new column beside it: tenant_column => a new name, mapping => ''select key, tenant_id from …'', mapping_column => %L', wanted);
        elsif found.attgenerated <> '' then
            raise exception 'the column "%" of % is generated', wanted, found.member
                using errcode = 'TN702', hint = format('alter table %s alter column %I drop expression', found.member, wanted);
        end if;
    end loop;
    return wanted;
end
$$;
comment on function tenancy_private.isolation_column(regclass, name) is
    'The tenant''s column that a table has or will have. TN702 where that can''t be.';

create function tenancy_private.row_label(relation regclass, alias text)
    returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        (
            select 'pg_catalog.concat_ws('', '', '
                || string_agg(format('pg_catalog.concat(%L, %I.%I)', u.name || ' ', row_label.alias, u.name), ', ') || ')'
            from pg_constraint as k, unnest(tenancy_private.columns(k.conrelid::regclass, k.conkey)) as u (name)
            where k.conrelid = row_label.relation and k.contype = 'p'
            having count(*) > 0
        ),
        format('pg_catalog.concat(%L, %I.ctid)', 'ctid ', row_label.alias))
$$;
comment on function tenancy_private.row_label(regclass, text) is
    'An expression in SQL that names a row to a person, by its primary key or else by its place.';

create function tenancy_private.counted(number bigint)
    returns text
    language sql immutable strict
return number || case number when 1 then ' row' else ' rows' end;

create function tenancy_private.require_tenants(relation regclass, tenant_column name)
    returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    condition constant text := format('not exists (select from tenancy.tenants as t where t.id = r.%I)', tenant_column);
    labels text[];
    number bigint;
begin
    execute format('select array(select %s from %s as r where %s limit 5)',
        tenancy_private.row_label(relation, 'r'), relation, condition) into labels;
    if labels = '{}' then
        return;
    end if;
    execute format('select count(*) from %s as r where %s', relation, condition) into number;
    raise exception '% has % without a tenant that exists: %', relation, tenancy_private.counted(number),
        array_to_string(labels, '; ') || case when number > 5 then '; …' else '' end
        using errcode = 'TN703',
              hint = 'Say whose they are: tenant => an id, parent => a foreign key to an isolated table, or mapping and mapping_column. Every tenant stands in tenancy.tenants.';
end
$$;
comment on function tenancy_private.require_tenants(regclass, name) is
    'TN703, naming rows, while a row has no tenant or one that does not exist.';

create function tenancy_private.require_same_tenant(
    child regclass, reference name, child_tenant name, parent_tenant name
)
    returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    key pg_constraint;
    crossing text;
    labels text[];
    number bigint;
begin
    select k.* into strict key
    from pg_constraint as k
    where k.conrelid = child and k.conname = reference and k.contype = 'f';
    select format('from %s%s as c join %s%s as p on %s where c.%I is distinct from p.%I',
        case (select c.relkind from pg_class as c where c.oid = key.conrelid) when 'r' then 'only ' else '' end,
        child,
        case (select c.relkind from pg_class as c where c.oid = key.confrelid) when 'r' then 'only ' else '' end,
        key.confrelid::regclass,
        string_agg(format('c.%I = p.%I', u.child_column, u.parent_column), ' and '),
        child_tenant, parent_tenant)
    into crossing
    from unnest(
        tenancy_private.columns(child, key.conkey),
        tenancy_private.columns(key.confrelid::regclass, key.confkey)) as u (child_column, parent_column);
    execute format('select array(select %s || '' to '' || %s %s limit 5)',
        tenancy_private.row_label(child, 'c'), tenancy_private.row_label(key.confrelid::regclass, 'p'), crossing) into labels;
    if labels = '{}' then
        return;
    end if;
    execute 'select count(*) ' || crossing into number;
    raise exception '% has % with a reference to another tenant''s row of %, by "%": %', child,
        tenancy_private.counted(number), key.confrelid::regclass, reference,
        array_to_string(labels, '; ') || case when number > 5 then '; …' else '' end
        using errcode = 'TN704', hint = 'Mend these rows: give each the tenant of what it refers to, or refer to a row of its own tenant.';
end
$$;
comment on function tenancy_private.require_same_tenant(regclass, name, name, name) is
    'TN704, naming rows, while a row refers to one of another tenant by that foreign key.';
