/*
 * expose_table() gives a relation a name in the service; hide_table() takes it
 * away. Each refusal says what to do.
 */

create function tenancy_private.refuse_exposure(relation regclass)
    returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    it record;
    fault record;
begin
    select c.relkind, c.relpersistence into it from pg_class as c where c.oid = refuse_exposure.relation;
    if not found then
        raise exception 'there is no relation with the oid %', coalesce(refuse_exposure.relation::oid::text, 'NULL')
            using errcode = 'TN430', hint = 'Name a table or view: tenancy.expose_table(''schema.table'').';
    elsif it.relkind not in ('r', 'p', 'v') or it.relpersistence = 't' then
        raise exception '% can''t be exposed: it is %', refuse_exposure.relation, case
                when it.relpersistence = 't' then 'temporary'
                when it.relkind = 'm' then 'a materialized view, and those have no row-level security'
                when it.relkind = 'f' then 'a foreign table, and those have no row-level security'
                else 'neither a table nor a view' end
            using errcode = 'TN430', hint = 'Expose a table, or a view with security_invoker.';
    end if;
    execute format('lock table %s in access share mode', refuse_exposure.relation);
    if (tenancy_private.standing_of(refuse_exposure.relation)).kind is not null then
        return;
    elsif it.relkind = 'v' then
        select * into fault from tenancy_private.view_faults(refuse_exposure.relation) limit 1;
        raise exception '% can''t be exposed: %', refuse_exposure.relation, fault.problem
            using errcode = 'TN432', hint = fault.way_out;
    end if;
    raise exception '% is neither isolated nor shared, so every tenant would see all its rows', refuse_exposure.relation
        using errcode = 'TN431',
              hint = format('select tenancy.isolate_table(%1$L), or select tenancy.share_table(%1$L) for reference data that every tenant may read', refuse_exposure.relation);
end
$$;
comment on function tenancy_private.refuse_exposure(regclass) is
    'TN430 no table or view, TN431 neither isolated nor shared, TN432 a view that shows more than it may.';

create function tenancy_private.resource_name(relation regclass, resource text)
    returns text
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    wanted constant text := coalesce(resource_name.resource, (select c.relname from pg_class as c where c.oid = resource_name.relation));
    holder regclass;
begin
    if wanted !~ '^[a-z][a-z0-9_-]{0,62}$' then
        raise exception '"%" can''t be the name of a resource', left(wanted, 64)
            using errcode = 'TN434', hint = 'It stands in URLs: a small letter, and then at most 62 small letters, digits, _ and -. Give one: resource => ''students''.';
    elsif wanted in ('health', 'ready', 'tenants', 'auth', 'me', 'members', 'invitations', 'api-keys', 'support-access',
        'admin', 'rpc', 'openapi.json', 'docs', 'metrics')
    then
        raise exception 'the service itself answers at /%', wanted
            using errcode = 'TN434', hint = 'Give another name: resource => ''my-' || wanted || '''.';
    end if;
    select r.relation into holder
    from tenancy.exposed_resources as r
    join pg_class as c on c.oid = r.relation
    where r.resource = wanted and not r.is_hidden and r.relation <> resource_name.relation;
    if found then
        raise exception '"%" is the resource of % already', wanted, holder
            using errcode = 'TN434', hint = format('Give another name with resource => …, or first: select tenancy.hide_table(%L)', wanted);
    end if;
    return wanted;
end
$$;
comment on function tenancy_private.resource_name(regclass, text) is
    'The name of a new resource: the one wanted, or the relation''s. TN434 bad, reserved or taken.';

create function tenancy_private.refuse_columns(relation regclass, what text, wanted name[], columns name[])
    returns void
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    standing constant record := tenancy_private.standing_of(refuse_columns.relation);
    is_written constant boolean := what in ('insertable', 'updatable');
    listed name;
    it record;
    reason text;
begin
    if cardinality(wanted) <> (select count(distinct u.name) from unnest(wanted) as u (name)) then
        reason := 'names a column twice, or NULL';
    elsif wanted = '{}' and what in ('columns', 'key') then
        reason := 'names no column';
    end if;
    foreach listed in array coalesce(wanted, '{}') loop
        exit when reason is not null;
        select a.*, pg_column_is_updatable(a.attrelid, a.attnum, false) as is_auto_updatable into it
        from pg_attribute as a
        where a.attrelid = refuse_columns.relation and a.attname = listed and a.attnum > 0 and not a.attisdropped;
        reason := format('names "%s", ', listed) || case
            when not found then 'and there is no such column'
            when not listed = any (columns) then 'which is not among columns'
            when not is_written then null
            when standing.kind = 'shared' then 'and nothing of a shared table can be written'
            when listed = standing.tenant then 'which holds the tenant, and that is the context''s to choose'
            when it.attgenerated <> '' or it.attidentity = 'a' then 'which the database generates'
            when not it.is_auto_updatable then 'which PostgreSQL can''t write through this view'
        end;
    end loop;
    if reason is not null then
        raise exception 'the list % of % %', what, refuse_columns.relation, reason
            using errcode = 'TN433', hint = format('Columns are %s.', (
                select string_agg(a.attname, ', ' order by a.attnum)
                from pg_attribute as a
                where a.attrelid = refuse_columns.relation and a.attnum > 0 and not a.attisdropped));
    end if;
end
$$;
comment on function tenancy_private.refuse_columns(regclass, text, name[], name[]) is
    'TN433 where a list names a column that can''t stand in it.';

create function tenancy_private.primary_key(relation oid)
    returns name[]
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    select tenancy_private.columns(i.indrelid::regclass, (i.indkey::smallint[])[0:i.indnkeyatts - 1])
    from pg_index as i
    where i.indrelid = primary_key.relation and i.indisprimary
$$;
comment on function tenancy_private.primary_key(oid) is 'The columns of a table''s primary key, in its order; NULL without one.';

create function tenancy_private.refuse_key(relation regclass, wanted name[], columns name[])
    returns void
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    present constant name[] := tenancy_private.primary_key(refuse_key.relation);
    kind text;
    tenant name;
    key name[];
    reason text;
    way_out text;
begin
    select s.kind, s.tenant into kind, tenant from tenancy_private.standing_of(refuse_key.relation) as s;
    key := case kind when 'table' then array_remove(present, tenant) when 'shared' then present else wanted end;
    perform tenancy_private.refuse_columns(refuse_key.relation, 'key', wanted, columns);
    if kind = 'view' and wanted is null then
        reason := 'nothing tells the rows of a view apart';
        way_out := 'Name the columns that do, within a tenant: key => ''{id}''';
    elsif kind <> 'view' and present is null then
        reason := 'it has no primary key';
        way_out := format('alter table %s add primary key (%s…)', refuse_key.relation, coalesce(quote_ident(tenant) || ', ', ''));
    elsif kind = 'table' and not tenant = any (present) then
        reason := 'its primary key is without the tenant, so a foreign row is in the way of one''s own';
        way_out := format('Make it one of "%s" and the present columns.', tenant);
    elsif kind = 'table' and key = '{}' then
        reason := 'its primary key is the tenant alone, so its rows have no id';
        way_out := 'Give it a primary key of the tenant and one column more, or serve it by a function.';
    elsif kind <> 'view' and key <> coalesce(wanted, key) then
        reason := 'the key of a table is its primary key';
        way_out := 'Leave key out. A view over it can have another.';
    elsif not key <@ columns then
        reason := 'its key is not among columns';
        way_out := format('Add %s.', array_to_string(key, ', '));
    elsif tenant = any (key) then
        reason := 'the tenant is part of every key by itself';
        way_out := 'Leave it out of key.';
    elsif exists (
        select from pg_attribute as a
        where a.attrelid = refuse_key.relation and a.attname = any (key) and not tenancy_private.is_ordered(a.atttypid))
    then
        reason := 'its key has no order';
        way_out := 'Choose columns of types that can be sorted.';
    else
        return;
    end if;
    raise exception '% can''t be exposed: %', refuse_key.relation, reason using errcode = 'TN436', hint = way_out;
end
$$;
comment on function tenancy_private.refuse_key(regclass, name[], name[]) is 'TN436 where rows have no key to be found by.';

create function tenancy_private.refuse_clash(relation regclass, columns name[])
    returns void
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    field text;
    clashing text;
begin
    select tenancy_private.field_name(u.name), string_agg(u.name, ', ' order by u.name) into field, clashing
    from unnest(columns) as u (name)
    group by 1 having count(*) > 1 limit 1;
    if clashing is not null then
        raise exception 'the columns % of % are all "%" in JSON', clashing, refuse_clash.relation, field
            using errcode = 'TN435', hint = 'Leave all but one out: columns => ''{…}''. Or rename one.';
    end if;
end
$$;
comment on function tenancy_private.refuse_clash(regclass, name[]) is 'TN435 where two columns have the same name in JSON.';

create function tenancy.expose_table(
    relation regclass,
    resource text default null,
    columns name[] default null,
    insertable name[] default null,
    updatable name[] default null,
    filterable name[] default null,
    sortable name[] default null,
    key name[] default null
)
    returns text
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    name text;
    shown name[];
    list record;
begin
    perform tenancy_private.refuse_caller();
    -- One at a time, so that a name is taken once.
    lock table tenancy.exposed_resources in share row exclusive mode;
    perform tenancy_private.refuse_exposure(expose_table.relation);
    name := tenancy_private.resource_name(expose_table.relation, expose_table.resource);
    shown := coalesce(expose_table.columns, array(
        select a.attname from pg_attribute as a
        where a.attrelid = expose_table.relation and a.attnum > 0 and not a.attisdropped));
    for list in
        select * from (values
            ('columns', expose_table.columns), ('insertable', expose_table.insertable), ('updatable', expose_table.updatable),
            ('filterable', expose_table.filterable), ('sortable', expose_table.sortable)) as l (what, wanted)
    loop
        perform tenancy_private.refuse_columns(expose_table.relation, list.what, list.wanted, shown);
    end loop;
    perform tenancy_private.refuse_key(expose_table.relation, expose_table.key, shown);
    perform tenancy_private.refuse_clash(expose_table.relation, shown);

    delete from tenancy.exposed_resources as r
    where not exists (select from pg_class as c where c.oid = r.relation);
    update tenancy.exposed_resources as r
    set relation = expose_table.relation, columns = expose_table.columns,
        insertable = expose_table.insertable, updatable = expose_table.updatable,
        filterable = expose_table.filterable, sortable = expose_table.sortable,
        key = expose_table.key, is_hidden = false
    where r.resource = name;
    if not found then
        insert into tenancy.exposed_resources (resource, relation, columns, insertable, updatable, filterable, sortable, key)
        values (name, expose_table.relation, expose_table.columns, expose_table.insertable, expose_table.updatable,
            expose_table.filterable, expose_table.sortable, expose_table.key);
    end if;
    if not has_any_column_privilege('tenancy_app', expose_table.relation, 'select') then
        raise notice 'the application may not read % yet', expose_table.relation
            using hint = format('grant select on %s to tenancy_app', expose_table.relation);
    end if;
    return format('%s is served as "%s"', expose_table.relation, name);
end
$$;
comment on function tenancy.expose_table(regclass, text, name[], name[], name[], name[], name[], name[]) is
    'Serves an isolated or shared table, or a view with security_invoker over such, under the relation''s name or another; again: replaces the lists. Each list narrows what the caller is granted: columns there are, insertable, updatable, filterable, sortable; left out, it is all of them, and what an index holds for the last two; of a view nothing. key: what tells the rows of a view apart. TN430 no table or view, TN431 neither isolated nor shared, TN432 the view shows more than it may, TN433 a bad list, TN434 a bad, reserved or taken name, TN435 two columns with one name in JSON, TN436 no key, TN707 inside a context.';

create function tenancy.hide_table(resource text)
    returns text
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.refuse_caller();
    -- What the extension comes with stays as a row: a restored database has it again.
    if hide_table.resource in ('projects', 'tasks') then
        update tenancy.exposed_resources as r set is_hidden = true where r.resource = hide_table.resource;
    else
        delete from tenancy.exposed_resources as r where r.resource = hide_table.resource;
    end if;
    if not found then
        raise exception 'there is no resource "%"', left(coalesce(hide_table.resource, 'NULL'), 64)
            using errcode = 'TN437', hint = 'tenancy.exposed_resources has those that are.';
    end if;
    return format('"%s" is not served any more', hide_table.resource);
end
$$;
comment on function tenancy.hide_table(text) is
    'The resource is not served any more; the table stays as it is. TN437 no such resource, TN707 inside a context.';
