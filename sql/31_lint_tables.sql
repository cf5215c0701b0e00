/*
 * lint(): tables that the wall should stand around, and the wall itself.
 */

-- A child is the rule child_outside, or its parent is found here.
create function tenancy_private.lint_missing_boundary(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', c.relation::regclass::text,
        case when a.attname is null then 'refers to tenancy.tenants and has no boundary'
            else format('has a column %s and no boundary', a.attname) end,
        format(case when a.attname is null then 'select tenancy.isolate_table(%L, tenant_column => %L)'
                else 'select tenancy.isolate_table(%L)' end,
            c.relation::regclass, r.attname)
    from tenancy_private.lint_relations() as c
    left join pg_catalog.pg_attribute as a
        on a.attrelid = c.relation and a.attname = 'tenant_id' and not a.attisdropped
    left join lateral (
        select f.attname
        from pg_catalog.pg_constraint as k
        join pg_catalog.pg_attribute as f on f.attrelid = c.relation and f.attnum = k.conkey[1]
        where k.conrelid = c.relation and k.contype = 'f' and k.confrelid = 'tenancy.tenants'::regclass
        limit 1
    ) as r on true
    where c.kind in ('r', 'p')
      and (a.attname is not null or r.attname is not null)
      and not exists (
          select from pg_catalog.pg_policy as p
          where p.polrelid = c.relation and p.polname = 'tenant_boundary')
      and not exists (select from pg_catalog.pg_inherits as i where i.inhrelid = c.relation);
end;

create function tenancy_private.lint_row_security_off(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', c.relation::regclass::text, 'has the boundary, and row-level security is off',
        format('alter table %s enable row level security, force row level security', c.relation::regclass)
    from tenancy_private.lint_relations() as c
    where not c.has_rls
      and exists (
          select from pg_catalog.pg_policy as p
          where p.polrelid = c.relation and p.polname = 'tenant_boundary');
end;

create function tenancy_private.lint_row_security_not_forced(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', c.relation::regclass::text, 'has row-level security that does not hold for its owner',
        format('alter table %s force row level security', c.relation::regclass)
    from tenancy_private.lint_relations() as c
    where c.has_rls and not c.is_forced;
end;

create function tenancy_private.lint_boundary_changed(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    with boundary as (
        select p.*, coalesce(w.tenant_column, t.attname::text) as tenant_column,
            '(' || quote_ident(w.tenant_column) || ' = tenancy.current_tenant_id())' as wanted
        from pg_catalog.pg_policy as p
        join tenancy_private.lint_relations() as c on c.relation = p.polrelid
        left join unnest(walled) as w on w.relation = p.polrelid
        left join pg_catalog.pg_attribute as t
            on t.attrelid = p.polrelid and t.attname = 'tenant_id' and t.atttypid = 'uuid'::regtype
        where p.polname = 'tenant_boundary'
    ), broken as (
        select b.polrelid, b.tenant_column,
            concat_ws(', ',
                case when b.polpermissive then 'is permissive' end,
                case when b.polcmd <> '*' then 'is not for all commands' end,
                case when b.polroles <> '{0}' then 'is not for everybody' end,
                case when pg_get_expr(b.polqual, b.polrelid) is distinct from b.wanted
                    then 'has another USING than ' || coalesce(b.wanted, 'a comparison with current_tenant_id()') end,
                case when pg_get_expr(b.polwithcheck, b.polrelid) is distinct from b.wanted
                    then 'has another WITH CHECK than ' || coalesce(b.wanted, 'a comparison with current_tenant_id()') end
            ) as problem
        from boundary as b
    )
    select 'error', format('policy tenant_boundary on %s', b.polrelid::regclass), b.problem,
        case when b.tenant_column is null
            then format('-- No column of %1$s is the tenant''s: drop policy tenant_boundary on %1$s, then isolate it.', b.polrelid::regclass)
            else format('drop policy tenant_boundary on %s; %s',
                b.polrelid::regclass, tenancy_private.lint_boundary(b.polrelid, b.tenant_column))
        end
    from broken as b
    where b.problem <> '';
end;

-- 2077 and 3294 are current_setting(text) and current_setting(text, boolean);
-- PostgreSQL keeps no dependencies on its own functions.
create function tenancy_private.lint_plain_setting(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select case when w.relation is null then 'error' else 'warning' end,
        format('policy %I on %s', p.polname, p.polrelid::regclass),
        case when w.relation is null then 'reads a setting that any SQL can set, and there is no boundary behind it'
            else 'reads a setting that any SQL can set; the boundary holds without it' end,
        case when w.relation is null then format('select tenancy.isolate_table(%L, replace_policies => true)', p.polrelid::regclass)
            else format('drop policy %I on %s', p.polname, p.polrelid::regclass) end
    from pg_catalog.pg_policy as p
    join tenancy_private.lint_relations() as c on c.relation = p.polrelid
    left join unnest(walled) as w on w.relation = p.polrelid
    where strpos(p.polqual::text, ':funcid 2077 ') > 0 or strpos(p.polqual::text, ':funcid 3294 ') > 0
       or strpos(p.polwithcheck::text, ':funcid 2077 ') > 0 or strpos(p.polwithcheck::text, ':funcid 3294 ') > 0
       or exists (
          select from pg_catalog.pg_depend as d
          join pg_catalog.pg_proc as f on f.oid = d.refobjid
          where d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.oid
            and d.refclassid = 'pg_catalog.pg_proc'::regclass
            and concat(f.prosrc, f.prosqlbody::text) ~* '(current_setting|:funcid (2077|3294) )'
            and f.pronamespace <> 'tenancy'::regnamespace);
end;

create function tenancy_private.lint_child_outside(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    with outside as (
        select i.inhrelid as relation, p.tenant_column,
            format('is a child of the isolated %s and has no boundary', i.inhparent::regclass) as problem
        from pg_catalog.pg_inherits as i
        join unnest(walled) as p on p.relation = i.inhparent
        union
        select i.inhparent, c.tenant_column,
            format('is the parent of the isolated %s and has no boundary', i.inhrelid::regclass)
        from pg_catalog.pg_inherits as i
        join unnest(walled) as c on c.relation = i.inhrelid
    )
    select 'error', o.relation::regclass::text, min(o.problem),
        tenancy_private.lint_boundary(o.relation, min(o.tenant_column))
    from outside as o
    join tenancy_private.lint_relations() as c on c.relation = o.relation and c.kind in ('r', 'p')
    where not exists (
        select from pg_catalog.pg_policy as p
        where p.polrelid = o.relation and p.polname = 'tenant_boundary')
    group by o.relation;
end;

create function tenancy_private.lint_nullable_tenant(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', format('%s.%I', w.relation::regclass, w.tenant_column), 'may be NULL',
        format('alter table %s alter column %I set not null', w.relation::regclass, w.tenant_column)
    from unnest(walled) as w
    join pg_catalog.pg_attribute as a on a.attrelid = w.relation and a.attnum = w.tenant_attnum
    where not w.is_own and not a.attnotnull;
end;

-- A partition takes its default from the parent, where rows are inserted.
create function tenancy_private.lint_tenant_without_default(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', format('%s.%I', w.relation::regclass, w.tenant_column),
        'has no default, or another one than tenancy.current_tenant_id()',
        format('alter table %s alter column %I set default tenancy.current_tenant_id()', w.relation::regclass, w.tenant_column)
    from unnest(walled) as w
    join pg_catalog.pg_class as c on c.oid = w.relation and not c.relispartition
    left join pg_catalog.pg_attrdef as d on d.adrelid = w.relation and d.adnum = w.tenant_attnum
    where not w.is_own
      and pg_get_expr(d.adbin, d.adrelid) is distinct from 'tenancy.current_tenant_id()';
end;
