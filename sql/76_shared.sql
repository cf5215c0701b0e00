/*
 * share_table() declares reference data, such as countries and currencies: no
 * tenant, read by everybody, written by the DBA alone.
 */

create function tenancy_private.share_target(relation regclass)
    returns void
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    part record;
    reason text;
    way_out text;
begin
    for part in
        select m.member, c.relkind, c.relpersistence, c.relnamespace, c.relowner,
            exists (select from pg_policy as p where p.polrelid = c.oid and p.polname = 'tenant_boundary') as is_walled,
            exists (
                select from pg_attribute as a
                where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as has_tenant,
            exists (
                select from pg_constraint as k
                where k.conrelid = c.oid and k.contype = 'f' and k.confrelid = 'tenancy.tenants'::regclass) as refers_to_tenants
        from tenancy_private.members(share_target.relation) as m
        join pg_class as c on c.oid = m.member
    loop
        if part.relkind not in ('r', 'p') then
            reason := 'it is not a table';
            way_out := 'Share the table that keeps the rows.';
        elsif part.member::oid < 16384
            or part.relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace,
                'tenancy'::regnamespace, 'tenancy_private'::regnamespace)
        then
            reason := 'it belongs to the system or to pg_tenancy';
            way_out := 'Share a table of your own.';
        elsif part.relpersistence = 't' then
            reason := 'it is temporary';
            way_out := 'Make it an ordinary table.';
        elsif part.is_walled then
            reason := 'it has a tenant boundary';
            way_out := format('Its rows belong to tenants. If they do no more: select tenancy.release_table(%L)', part.member);
        elsif part.has_tenant then
            reason := 'it has a column "tenant_id"';
            way_out := format('Its rows belong to tenants: select tenancy.isolate_table(%L). If they do not, drop the column.', part.member);
        elsif part.refers_to_tenants then
            reason := 'it refers to tenancy.tenants';
            way_out := format('Its rows belong to tenants: isolate it with tenancy.isolate_table(%L).', part.member);
        elsif exists (select from tenancy_private.lint_application() as a where a.role = part.relowner) then
            reason := format('its owner %s serves requests', part.relowner::regrole);
            way_out := format('alter table %s owner to a role that does not', part.member);
        end if;
        if reason is not null then
            raise exception '% can''t be shared: %', share_target.relation,
                case when part.member = share_target.relation then reason
                    else format('it has the part %s, and of that: %s', part.member, reason) end
                using errcode = 'TN438', hint = way_out;
        end if;
    end loop;
    if not found then
        raise exception 'there is no table with the oid %', coalesce(share_target.relation::oid::text, 'NULL')
            using errcode = 'TN438', hint = 'Name a table: tenancy.share_table(''schema.table'').';
    end if;
end
$$;
comment on function tenancy_private.share_target(regclass) is 'TN438 where a table can''t be shared.';

create function tenancy_private.writers(relation oid)
    returns table (grantee oid, name text, privileges text)
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    with granted as (
        select a.grantee, a.privilege_type
        from pg_class as c, aclexplode(c.relacl) as a
        where c.oid = writers.relation
        union
        select a.grantee, a.privilege_type
        from pg_attribute as t, aclexplode(t.attacl) as a
        where t.attrelid = writers.relation and not t.attisdropped
    )
    select g.grantee, q.name, lower(string_agg(distinct g.privilege_type, ', '))
    from granted as g
    join tenancy_private.lint_grantees() as q on q.grantee = g.grantee
    where g.privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER')
    group by g.grantee, q.name
$$;
comment on function tenancy_private.writers(oid) is
    'Whom within the application''s reach a table is granted to for more than reading, and for what.';

create function tenancy.share_table(relation regclass)
    returns text
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    part record;
    writer record;
begin
    perform tenancy_private.refuse_caller();
    lock table tenancy.shared_tables in share row exclusive mode;
    perform tenancy_private.share_target(share_table.relation);
    execute format('lock table %s in share row exclusive mode', share_table.relation);
    -- What was true before the lock may be over.
    perform tenancy_private.share_target(share_table.relation);

    for part in
        select m.member from tenancy_private.members(share_table.relation) as m
    loop
        for writer in
            select w.name, w.privileges from tenancy_private.writers(part.member) as w
        loop
            execute format('revoke insert, update, delete, truncate, references, trigger on %s from %s cascade', part.member, writer.name);
            raise notice '% is not granted to % any more: %', writer.privileges, writer.name, part.member;
        end loop;
        -- What somebody with a grant option has granted is not the owner's to take.
        select * into writer from tenancy_private.writers(part.member);
        if found then
            raise exception '% can''t be shared: % has % by another''s grant', part.member, writer.name, writer.privileges
                using errcode = 'TN438', hint = 'Take it away as the role that has granted it; \dp shows that.';
        end if;
    end loop;
    execute format('grant select on %s to tenancy_app', share_table.relation);
    for part in
        select c.relnamespace::regnamespace as schema
        from pg_class as c
        where c.oid = share_table.relation and not has_schema_privilege('tenancy_app', c.relnamespace, 'usage')
    loop
        execute format('grant usage on schema %s to tenancy_app', part.schema);
    end loop;

    delete from tenancy.shared_tables as s
    where not exists (select from pg_class as c where c.oid = s.relation);
    insert into tenancy.shared_tables (relation) values (share_table.relation) on conflict do nothing;
    return format('%s is shared: every tenant reads it, and none changes it', share_table.relation);
end
$$;
comment on function tenancy.share_table(regclass) is
    'Declares a table of reference data: takes writing from PUBLIC, tenancy_app and everything within the application''s reach, with a notice, and lets the application read. Again: takes what was granted since. TN438 where a table can''t be shared, TN707 inside a context.';

create function tenancy.unshare_table(relation regclass)
    returns text
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    is_shared constant boolean := tenancy_private.is_shared(unshare_table.relation);
begin
    perform tenancy_private.refuse_caller();
    delete from tenancy.shared_tables as s where s.relation = unshare_table.relation;
    if not found then
        raise exception '% is not shared', coalesce(unshare_table.relation::text, 'NULL')
            using errcode = 'TN439', hint = 'tenancy.shared_tables has those that are.';
    end if;
    -- What it may since the table was isolated is another's to take.
    if is_shared then
        execute format('revoke all on %s from tenancy_app', unshare_table.relation);
    end if;
    return format('%s is not shared any more%s', unshare_table.relation,
        case when is_shared then ', and the application can''t read it' else '' end);
end
$$;
comment on function tenancy.unshare_table(regclass) is
    'The table is reference data no more: the application loses its rights. TN439 not shared, TN707 inside a context.';

create function tenancy_private.lint_shared_written(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', m.member::text, format('is shared, and %s has %s', w.name, w.privileges),
        format('select tenancy.share_table(%L)', s.relation)
    from tenancy.shared_tables as s
    cross join lateral tenancy_private.members(s.relation) as m
    cross join lateral tenancy_private.writers(m.member) as w
    -- One with tenants is the rule not_served.
    where tenancy_private.is_shared(s.relation);
end;
