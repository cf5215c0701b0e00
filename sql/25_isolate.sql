/*
 * isolate_table() puts a table under the wall; plan_isolate_table() tells how.
 *
 * Both take their statements from isolation_steps(), so they can't disagree.
 * The steps come from the catalog as it is, and only what is missing is one:
 * on an isolated table there is none.
 */

create function tenancy_private.wall_steps(target regclass, tenant_column name, policy boolean, replace_policies boolean)
    returns setof tenancy_private.step
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    part record;
    old record;
    exclusive text;
    is_isolated boolean;
    held text;
begin
    for part in select * from tenancy_private.members(wall_steps.target) loop
        exclusive := format('ACCESS EXCLUSIVE on %s', part.member);
        is_isolated := tenancy_private.tenant_column(part.member) is not null;
        for old in
            select p.polname from pg_policy as p
            where p.polrelid = part.member
              and case p.polname when 'tenant_boundary' then not is_isolated
                  when 'without_deleted' then false
                  when 'all_in_tenant' then replace_policies and not is_isolated
                  else replace_policies end
            order by p.polname
        loop
            return next tenancy_private.step_named(70, exclusive, 'none', 'The boundary takes its place.',
                format('drop policy %I on %s', old.polname, part.member));
        end loop;
        if not is_isolated and not replace_policies and exists (
            select from pg_policy as p where p.polrelid = part.member and p.polname <> 'tenant_boundary')
        then
            raise notice '% keeps its policies; within the tenant they are the rule', part.member
                using hint = 'replace_policies => true drops them.';
        end if;
        if not is_isolated then
            return next tenancy_private.step_named(71, exclusive, 'none', 'The wall: restrictive, so that no other policy opens it.',
                format('create policy tenant_boundary on %s as restrictive for all to public using (%I = tenancy.current_tenant_id()) with check (%I = tenancy.current_tenant_id())',
                    part.member, wall_steps.tenant_column, wall_steps.tenant_column));
        end if;
        -- A permissive policy of the DBA's own stays the rule within the tenant; another would widen it.
        if wall_steps.policy and not exists (
            select from pg_policy as p
            where p.polrelid = part.member and p.polpermissive
              and p.polroles && array[0::oid, 'tenancy_app'::regrole::oid]
              and (not replace_policies or (is_isolated and p.polname = 'all_in_tenant')))
        then
            return next tenancy_private.step_named(72, exclusive, 'none', 'Within its tenant the application may do what is granted.',
                format('create policy all_in_tenant on %s for all to tenancy_app using (true) with check (true)', part.member));
        end if;
        if not is_isolated then
            return next tenancy_private.step_named(73, exclusive, 'none', 'From here on nobody sees a row without a tenant, not the owner either.',
                format('alter table %s enable row level security, force row level security', part.member));
        end if;

        select string_agg(distinct case a.grantee when 0 then 'public' else 'tenancy_app' end, ', ') into held
        from pg_class as c, aclexplode(c.relacl) as a
        where c.oid = part.member and a.grantee in (0, 'tenancy_app'::regrole)
          and a.privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER');
        if held is not null then
            return next tenancy_private.step_named(80, exclusive, 'none', 'Each of them is a way past row-level security.',
                format('revoke truncate, references, trigger on %s from %s', part.member, held));
        end if;
        if exists (select from tenancy.shared_tables as s where s.relation = part.member) then
            return next tenancy_private.step_named(81, 'ROW EXCLUSIVE on tenancy.shared_tables', 'none', 'Its rows are no reference data any more.',
                format('delete from tenancy.shared_tables where relation = %L::regclass', part.member));
        end if;
        if not is_isolated and not part.is_partition then
            return next tenancy_private.step_named(81, exclusive, 'none', 'The application reads and writes it.',
                format('grant select, insert, update, delete on %s to tenancy_app', part.member));
        end if;
    end loop;
end
$$;
comment on function tenancy_private.wall_steps(regclass, name, boolean, boolean) is
    'The steps for policies and grants of a table and its parts.';

create function tenancy_private.reach_steps(target regclass)
    returns setof tenancy_private.step
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    thing record;
begin
    for thing in
        select distinct c.relnamespace::regnamespace as schema
        from tenancy_private.members(reach_steps.target) as m
        join pg_class as c on c.oid = m.member
        where not m.is_partition and not has_schema_privilege('tenancy_app', c.relnamespace, 'usage')
    loop
        return next tenancy_private.step_named(82, 'none', 'none', 'The application may name what is in the schema.',
            format('grant usage on schema %s to tenancy_app', thing.schema));
    end loop;

    for thing in
        select distinct s.oid::regclass as sequence
        from tenancy_private.members(reach_steps.target) as m
        join pg_attrdef as v on v.adrelid = m.member
        join pg_depend as d on d.classid = 'pg_attrdef'::regclass and d.objid = v.oid and d.refclassid = 'pg_class'::regclass
        join pg_class as s on s.oid = d.refobjid
        where not m.is_partition
          and case s.relkind when 'S' then not has_sequence_privilege('tenancy_app', s.oid, 'usage') else false end
    loop
        return next tenancy_private.step_named(83, format('ACCESS SHARE on %s', thing.sequence), 'none', 'A new row takes its number from it.',
            format('grant usage on sequence %s to tenancy_app', thing.sequence));
    end loop;

    -- A view reads with its owner's rights, and an owner may bypass the wall.
    for thing in
        with recursive above (oid) as (
            select m.member::oid from tenancy_private.members(reach_steps.target) as m
            union
            select w.ev_class
            from above
            join pg_depend as d on d.refclassid = 'pg_class'::regclass and d.refobjid = above.oid
             and d.classid = 'pg_rewrite'::regclass
            join pg_rewrite as w on w.oid = d.objid
        )
        select c.oid::regclass as relation, c.relkind as kind,
            exists (
                select from pg_options_to_table(c.reloptions) as o
                where o.option_name = 'security_invoker' and o.option_value in ('true', 'on', 'yes', '1')) as is_invoker,
            has_any_column_privilege('tenancy_app', c.oid, 'select') as is_within_reach
        from above
        join pg_class as c on c.oid = above.oid
        where c.relkind in ('v', 'm')
          and not exists (
              select from pg_depend as d
              where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
        order by c.oid
    loop
        if thing.kind = 'v' and not thing.is_invoker then
            return next tenancy_private.step_named(85, format('ACCESS EXCLUSIVE on %s', thing.relation), 'none',
                'The view reads with the rights of who asks, so the wall holds in it, too.',
                format('alter view %s set (security_invoker = on)', thing.relation));
        elsif thing.kind = 'm' and thing.is_within_reach then
            return next tenancy_private.step_named(85, format('ACCESS EXCLUSIVE on %s', thing.relation), 'none',
                'It is a copy of all tenants'' rows, and has no row-level security.',
                format('revoke all on %s from tenancy_app, public', thing.relation));
        end if;
    end loop;
end
$$;
comment on function tenancy_private.reach_steps(regclass) is
    'The steps for what stands around a table: its schema, sequences, views.';

create function tenancy_private.relations_to_lock(target regclass, tenant_column name)
    returns text
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    with partners as (
        select (r.key).conrelid::regclass as child, (r.key).confrelid::regclass as parent
        from tenancy_private.references_without_tenant(target, tenant_column) as r
    )
    select string_agg(l.relation::text, ', ' order by l.place, l.relation)
    from (
        select u.relation, min(u.place) as place
        from (
            select p.parent, 1 from partners as p
            union all
            select relations_to_lock.target, 2
            union all
            select p.child, 3 from partners as p
        ) as u (relation, place)
        -- The table's lock is its parts', too.
        where u.relation = target or not u.relation in (select m.member from tenancy_private.members(target) as m)
        group by u.relation
    ) as l
$$;
comment on function tenancy_private.relations_to_lock(regclass, name) is
    'The table and those whose keys or references change with it: what is referred to first, as an application would come to them.';

create function tenancy_private.isolation_steps(
    target regclass, tenant_column name, tenant uuid, parent name, mapping text, mapping_column name,
    unique_per_tenant name[], policy boolean, replace_policies boolean, online boolean
)
    returns setof tenancy_private.step
    language sql volatile
    set search_path = pg_catalog, pg_temp
as $$
    with steps as (
        select s.*
        from (
            select * from tenancy_private.column_steps(target, tenant_column, tenant, parent, mapping, mapping_column, online)
            union all
            select * from tenancy_private.key_steps(target, tenant_column, unique_per_tenant, online)
            union all
            select * from tenancy_private.reference_steps(target, tenant_column, online)
            union all
            select * from tenancy_private.wall_steps(target, tenant_column, policy, replace_policies)
            union all
            select * from tenancy_private.reach_steps(target)
        ) as s
    )
    select 10, 'lock table ' || l.relations || ' in access exclusive mode', 'ACCESS EXCLUSIVE on ' || l.relations, 'none',
        'Nobody reads or writes them until the end of the transaction.'
    from tenancy_private.relations_to_lock(target, tenant_column) as l (relations)
    where not online and exists (select from steps)
    union all
    select * from steps
$$;
comment on function tenancy_private.isolation_steps(regclass, name, uuid, name, text, name, name[], boolean, boolean, boolean) is
    'The one source of what isolating a table takes. In the order of their places, and none on an isolated table.';

create function tenancy.plan_isolate_table(
    relation regclass,
    tenant_column name default null,
    tenant uuid default null,
    parent name default null,
    mapping text default null,
    mapping_column name default null,
    unique_per_tenant name[] default '{}',
    policy boolean default true,
    replace_policies boolean default false,
    online boolean default false
)
    returns table (step integer, statement text, lock text, work text, purpose text)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    target regclass;
    wanted name;
begin
    perform tenancy_private.refuse_caller();
    target := tenancy_private.isolation_target(plan_isolate_table.relation);
    wanted := tenancy_private.isolation_column(target, plan_isolate_table.tenant_column);
    perform tenancy_private.refuse_sources(target, wanted, plan_isolate_table.tenant, plan_isolate_table.parent,
        plan_isolate_table.mapping, plan_isolate_table.mapping_column, plan_isolate_table.unique_per_tenant);
    return query
        select row_number() over (order by s.place, s.ordinality)::integer, s.statement, s.lock, s.work, s.purpose
        from tenancy_private.isolation_steps(target, wanted, plan_isolate_table.tenant, plan_isolate_table.parent,
            plan_isolate_table.mapping, plan_isolate_table.mapping_column, plan_isolate_table.unique_per_tenant,
            plan_isolate_table.policy, plan_isolate_table.replace_policies, plan_isolate_table.online)
            with ordinality as s (place, statement, lock, work, purpose, ordinality)
        order by 1;
end
$$;
comment on function tenancy.plan_isolate_table(regclass, name, uuid, name, text, name, name[], boolean, boolean, boolean) is
    'The statements that isolate_table() would run now, in order, each with its lock, what it scans or builds, and its purpose; none for an isolated table. Online: the way for a large table in use, which fills in batches, validates later and builds indexes concurrently, each statement in a transaction of its own. Changes nothing. Errors as isolate_table(), without those about rows.';

create function tenancy.isolate_table(
    relation regclass,
    tenant_column name default null,
    tenant uuid default null,
    parent name default null,
    mapping text default null,
    mapping_column name default null,
    unique_per_tenant name[] default '{}',
    policy boolean default true,
    replace_policies boolean default false
)
    returns text
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    target regclass;
    wanted name;
    todo record;
    done integer := 0;
begin
    perform tenancy_private.refuse_caller();
    target := tenancy_private.isolation_target(isolate_table.relation);
    wanted := tenancy_private.isolation_column(target, isolate_table.tenant_column);
    -- One call at a time, so that two never wait for each other in a circle. Then
    -- the tables; what the catalog said before may be over, so it is asked again.
    lock table tenancy.tenants in share update exclusive mode;
    execute format('lock table %s in access exclusive mode', tenancy_private.relations_to_lock(target, wanted));
    target := tenancy_private.isolation_target(isolate_table.relation);
    wanted := tenancy_private.isolation_column(target, isolate_table.tenant_column);
    execute format('lock table %s in access exclusive mode', tenancy_private.relations_to_lock(target, wanted));
    perform tenancy_private.refuse_sources(target, wanted, isolate_table.tenant, isolate_table.parent,
        isolate_table.mapping, isolate_table.mapping_column, isolate_table.unique_per_tenant);

    for todo in
        select p.statement
        from tenancy.plan_isolate_table(target, wanted, isolate_table.tenant, isolate_table.parent, isolate_table.mapping,
            isolate_table.mapping_column, isolate_table.unique_per_tenant, isolate_table.policy, isolate_table.replace_policies) as p
        order by p.step
    loop
        execute todo.statement;
        done := done + 1;
    end loop;
    return case done when 0 then format('%s is isolated by "%s" already', target, wanted)
        else format('%s is isolated by "%s" now: %s statements', target, wanted, done) end;
end
$$;
comment on function tenancy.isolate_table(regclass, name, uuid, name, text, name, name[], boolean, boolean) is
    'Puts a table and its parts under the wall, all or nothing; again: no effect. Rows get their tenant from tenant, from the row that the foreign key parent leads to, or from mapping (a table or query of key and tenant_id) by mapping_column. unique_per_tenant names unique constraints and indexes, {*} all. TN701 no table for it, TN702 no column for it, TN703 a row has no tenant, TN704 a row refers to another tenant''s, TN705 bad argument, TN706 a key or reference that can''t be changed, TN707 inside a context.';
