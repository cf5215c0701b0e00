/*
 * What may be served, read from the catalog each time: isolated tables, shared
 * tables, and views that read nothing else, with the rights of who asks.
 */

create function tenancy_private.is_shared(relation oid)
    returns boolean
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    select exists (select from tenancy.shared_tables as s where s.relation = is_shared.relation)
        and not exists (
            select
            from tenancy_private.members(is_shared.relation) as m
            join pg_class as c on c.oid = m.member
            where exists (select from pg_policy as p where p.polrelid = c.oid and p.polname = 'tenant_boundary')
               or exists (
                  select from pg_attribute as a
                  where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped))
$$;
comment on function tenancy_private.is_shared(oid) is
    'Whether a table is declared shared, and has not become one with tenants since.';

create function tenancy_private.is_own(class oid, object oid)
    returns boolean
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pg_depend as d
        join pg_extension as e on e.oid = d.refobjid and e.extname = 'pg_tenancy'
        where d.classid = is_own.class and d.objid = is_own.object
          and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e')
$$;
comment on function tenancy_private.is_own(oid, oid) is 'Whether an object belongs to this extension.';

create function tenancy_private.view_parts(relation regclass)
    returns table (class oid, object oid)
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    with recursive part (class, object) as (
        select 'pg_class'::regclass::oid, view_parts.relation::oid
        union
        select f.class, f.object
        from part as p
        cross join lateral (
            select d.refclassid, d.refobjid
            from pg_rewrite as w
            join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
            where p.class = 'pg_class'::regclass and w.ev_class = p.object and w.ev_type = '1'
            union all
            -- PostgreSQL keeps no dependencies on its own catalog.
            select 'pg_class'::regclass, m.relid[1]::oid
            from pg_rewrite as w
            cross join lateral regexp_matches(w.ev_action::text, ':relid ([1-9][0-9]*)', 'g') as m (relid)
            where p.class = 'pg_class'::regclass and w.ev_class = p.object and w.ev_type = '1'
            union all
            -- An operator's function, what an aggregate is made of, what a parsed body reads,
            -- what a domain's check calls.
            select d.refclassid, d.refobjid
            from pg_depend as d
            where p.class in ('pg_operator'::regclass, 'pg_proc'::regclass, 'pg_constraint'::regclass)
              and d.classid = p.class and d.objid = p.object and not tenancy_private.is_own(p.class, p.object)
            union all
            -- A cast to a domain, or to an array of one, checks what it is given.
            select 'pg_constraint'::regclass, k.oid
            from pg_constraint as k
            where p.class = 'pg_type'::regclass and k.contypid = p.object
            union all
            select 'pg_type'::regclass, u.below
            from pg_type as t
            cross join lateral (values (t.typbasetype), (t.typelem)) as u (below)
            where p.class = 'pg_type'::regclass and t.oid = p.object and u.below <> 0
        ) as f (class, object)
        where f.class in (
            'pg_class'::regclass, 'pg_operator'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_constraint'::regclass)
    )
    select part.class, part.object from part
$$;
comment on function tenancy_private.view_parts(regclass) is
    'All relations, functions, operators, types and checks that a view reads or calls, through views, operators and domains; itself among them.';

create function tenancy_private.view_faults(relation regclass)
    returns table (problem text, way_out text)
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    select case
            when c.relkind = 'v' and c.oid = view_faults.relation then 'it reads with its owner''s rights, whom row-level security may not hold'
            when c.relkind = 'v' then format('the view %s that it reads has its owner''s rights', c.oid::regclass)
            when c.relkind = 'm' then format('it reads the materialized view %s, a copy without row-level security', c.oid::regclass)
            else format('it reads %s, which is neither isolated nor shared', c.oid::regclass)
        end as problem,
        case
            when c.oid < 16384 then 'What belongs to the system is not for tenants. Leave it out of the view.'
            when c.relkind = 'v' then format('alter view %s set (security_invoker = on)', c.oid::regclass)
            when c.relkind in ('r', 'p') then format('select tenancy.isolate_table(%L), or tenancy.share_table() for reference data', c.oid::regclass)
            else 'Have the view read isolated or shared tables alone.'
        end as way_out
    from tenancy_private.view_parts(view_faults.relation) as p
    join pg_class as c on c.oid = p.object
    where p.class = 'pg_class'::regclass
      and not case
          when c.relkind = 'v' then exists (
              select from pg_options_to_table(c.reloptions) as o
              where o.option_name = 'security_invoker' and o.option_value in ('true', 'on', 'yes', '1'))
          when c.relkind in ('r', 'p') then tenancy_private.tenant_column(c.oid) is not null
              or tenancy_private.is_shared(c.oid)
              -- Tenants and users have boundaries of their own.
              or (tenancy_private.is_own('pg_class'::regclass, c.oid) and exists (
                  select from pg_policy as b where b.polrelid = c.oid and b.polname = 'tenant_boundary'))
          else false
      end
    union all
    select format('it calls %s, which runs with its owner''s rights', f.oid::regprocedure),
        format('alter routine %s security invoker', f.oid::regprocedure)
    from tenancy_private.view_parts(view_faults.relation) as p
    join pg_proc as f on f.oid = p.object and f.prosecdef
    where p.class = 'pg_proc'::regclass and not tenancy_private.is_own(p.class, f.oid)
$$;
comment on function tenancy_private.view_faults(regclass) is
    'Why a view can''t be served: what of it would show more than the caller''s tenant and shared tables. No row: it can.';

-- Of a view, the tenant's column is the one that has the name and type of one that it
-- reads. In PL/pgSQL, which plans what it calls once: there may be thousands to ask for.
create function tenancy_private.standing_of(relation oid, out kind text, out tenant name)
    language plpgsql stable strict
    set search_path = pg_catalog, pg_temp
as $$
declare
    it record;
begin
    select c.relkind, c.relpersistence into it from pg_class as c where c.oid = standing_of.relation;
    if not found or it.relpersistence = 't' then
        return;
    elsif it.relkind = 'v' then
        perform from tenancy_private.view_faults(standing_of.relation);
        kind := case when not found then 'view' end;
        select a.attname into tenant
        from pg_attribute as a
        where a.attrelid = standing_of.relation and a.atttypid = 'uuid'::regtype and not a.attisdropped
          and a.attname in (
              select tenancy_private.tenant_column(p.object)
              from tenancy_private.view_parts(standing_of.relation) as p
              where p.class = 'pg_class'::regclass)
        order by a.attnum
        limit 1;
    elsif it.relkind in ('r', 'p') then
        tenant := tenancy_private.tenant_column(standing_of.relation);
        if tenant is not null then
            kind := 'table';
        elsif tenancy_private.is_shared(standing_of.relation) then
            kind := 'shared';
        end if;
    end if;
end
$$;
comment on function tenancy_private.standing_of(oid) is
    'What a relation is served as: table (isolated), shared, view; NULL: it must not be. And the column that holds the tenant, if one does.';

-- Of a shared table each part counts: one with tenants makes it none (is_shared).
create function tenancy_private.read_by(relation oid, kind text)
    returns oid[]
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if kind = 'shared' then
        return array(select m.member from tenancy_private.members(read_by.relation) as m);
    elsif kind = 'view' then
        return array(
            select p.object
            from tenancy_private.view_parts(read_by.relation) as p
            where p.class = 'pg_class'::regclass
            union
            select m.member
            from tenancy_private.view_parts(read_by.relation) as p
            join tenancy.shared_tables as s on s.relation = p.object
            cross join lateral tenancy_private.members(s.relation) as m
            where p.class = 'pg_class'::regclass);
    end if;
    return null;
end
$$;
comment on function tenancy_private.read_by(oid, text) is
    'The relations, beside itself, of which it depends whether a shared table or a view is served.';

-- A definer: the registry is readable by nobody.
create function tenancy_private.served_resources(wanted text)
    returns table (
        resource text, relation oid, kind text, tenant name, columns name[], insertable name[], updatable name[],
        filterable name[], sortable name[], key name[], reads oid[]
    )
    language sql stable
    security definer set search_path = pg_catalog, pg_temp
as $$
    select r.resource, r.relation::oid, k.kind, k.tenant, r.columns,
        case k.kind when 'table' then r.insertable when 'view' then coalesce(r.insertable, '{}') else '{}' end,
        case k.kind when 'table' then r.updatable when 'view' then coalesce(r.updatable, '{}') else '{}' end,
        case k.kind when 'view' then coalesce(r.filterable, '{}') else r.filterable end,
        case k.kind when 'view' then coalesce(r.sortable, '{}') else r.sortable end,
        case k.kind when 'view' then r.key end,
        tenancy_private.read_by(r.relation, k.kind)
    from tenancy.exposed_resources as r
    cross join lateral tenancy_private.standing_of(r.relation) as k
    where not r.is_hidden and k.kind is not null
      and (served_resources.wanted is null or r.resource = served_resources.wanted)
$$;
comment on function tenancy_private.served_resources(text) is
    'The resource of that name, or all, with what the DBA lets be seen and done; none that must not be served.';

-- A definer: as above. The row functions call it past the rights to the schema.
create function tenancy_private.served_resource(resource text)
    returns text
    language sql stable strict
    security definer set search_path = pg_catalog, pg_temp
as $$
    select coalesce((
        select json_build_object(
            'relation', s.relation::int8, 'kind', s.kind, 'tenant', s.tenant,
            'columns', s.columns, 'insertable', s.insertable, 'updatable', s.updatable,
            'filterable', s.filterable, 'sortable', s.sortable, 'key', s.key,
            'rests_on', array[
                s.relation::int8, 'tenancy.exposed_resources'::regclass::oid::int8, 'tenancy.shared_tables'::regclass::oid::int8
            ] || coalesce(s.reads, '{}')::int8[])
        from tenancy_private.served_resources(served_resource.resource) as s
    ), 'null')::text
$$;
comment on function tenancy_private.served_resource(text) is
    'The resource of that name for the row functions, with the relations on which it rests; null where none is served.';

create function tenancy_private.lint_not_served(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', format('resource %s', r.resource),
        format('is exposed and not served: %s is neither isolated nor shared nor a view of such alone', r.relation),
        format('select tenancy.hide_table(%L)', r.resource)
    from tenancy.exposed_resources as r
    where not r.is_hidden and (tenancy_private.standing_of(r.relation)).kind is null
    union all
    -- A key that is shown in part is none; a list with a name that is gone shows less than was meant.
    select 'warning', format('resource %s', r.resource),
        format('names %s, and %s has no such column', string_agg(distinct quote_ident(u.name), ', '), r.relation),
        '-- Expose it again, with the lists as they should be: tenancy.expose_table().'
    from tenancy.exposed_resources as r
    cross join lateral unnest(r.columns || r.insertable || r.updatable || r.filterable || r.sortable || r.key) as u (name)
    where not r.is_hidden
      and exists (select from pg_catalog.pg_class as c where c.oid = r.relation)
      and not exists (
          select from pg_catalog.pg_attribute as a
          where a.attrelid = r.relation and a.attname = u.name and not a.attisdropped)
    group by r.resource, r.relation
    union all
    select 'warning', s.relation::text, 'is declared shared, and has tenants since',
        format('select tenancy.unshare_table(%L)', s.relation)
    from tenancy.shared_tables as s
    where not tenancy_private.is_shared(s.relation)
      and exists (select from pg_catalog.pg_class as c where c.oid = s.relation);
end;
