/*
 * lint(): ways around the wall that lead over other objects: grants, views,
 * copies, functions, triggers, sequences, publications.
 */

create function tenancy_private.lint_view_without_invoker(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    with recursive reader as (
        select r.ev_class as relation
        from pg_catalog.pg_depend as d
        join pg_catalog.pg_rewrite as r on r.oid = d.objid
        join unnest(walled) as w on w.relation = d.refobjid
        where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
        union
        select r.ev_class
        from reader as v
        join pg_catalog.pg_depend as d
            on d.refobjid = v.relation and d.refclassid = 'pg_catalog.pg_class'::regclass
            and d.classid = 'pg_catalog.pg_rewrite'::regclass
        join pg_catalog.pg_rewrite as r on r.oid = d.objid and r.ev_class <> v.relation
    )
    select case when (o.rolsuper or o.rolbypassrls) then 'error' else 'warning' end,
        v.relation::regclass::text,
        format('reads isolated tables as its owner %I%s', o.rolname,
            case when o.rolsuper or o.rolbypassrls then ', whom row-level security does not hold' else '' end),
        format('alter view %s set (security_invoker = true)', v.relation::regclass)
    from reader as v
    join tenancy_private.lint_relations() as c on c.relation = v.relation and c.kind = 'v'
    join pg_catalog.pg_class as p on p.oid = v.relation
    join pg_catalog.pg_roles as o on o.oid = c.owner
    where not exists (
        select from pg_options_to_table(p.reloptions) as s
        where s.option_name = 'security_invoker' and s.option_value in ('true', 'on', 'yes', '1'));
end;

-- Row-level security can't be had on either kind.
create function tenancy_private.lint_copy_within_reach(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    with recursive reader as (
        select r.ev_class as relation
        from pg_catalog.pg_depend as d
        join pg_catalog.pg_rewrite as r on r.oid = d.objid
        join unnest(walled) as w on w.relation = d.refobjid
        where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
        union
        select r.ev_class
        from reader as v
        join pg_catalog.pg_depend as d
            on d.refobjid = v.relation and d.refclassid = 'pg_catalog.pg_class'::regclass
            and d.classid = 'pg_catalog.pg_rewrite'::regclass
        join pg_catalog.pg_rewrite as r on r.oid = d.objid and r.ev_class <> v.relation
    )
    select 'error', c.relation::regclass::text,
        format('is a %s that %s may use', case c.kind when 'm' then 'copy of isolated rows' else 'foreign table' end, g.names),
        format('revoke all on %s from %s', c.relation::regclass, g.names)
    from tenancy_private.lint_relations() as c
    cross join lateral (
        select string_agg(distinct q.name, ', ') as names
        from (
            select a.grantee from aclexplode(c.acl) as a
            union
            select a.grantee from pg_catalog.pg_attribute as t, aclexplode(t.attacl) as a
            where t.attrelid = c.relation
        ) as a
        join tenancy_private.lint_grantees() as q on q.grantee = a.grantee
    ) as g
    where (c.kind = 'f' or (c.kind = 'm' and c.relation in (select v.relation from reader as v)))
      and g.names is not null;
end;

create function tenancy_private.lint_definer_without_path(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    with definer as (
        select p.*, (
            select substr(s, length('search_path=') + 1)
            from unnest(p.proconfig) as s where s like 'search_path=%'
        ) as path
        from pg_catalog.pg_proc as p
        join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
        where p.prosecdef and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
          and not exists (
              select from pg_catalog.pg_depend as e
              where e.classid = 'pg_catalog.pg_proc'::regclass and e.objid = p.oid
                and e.refclassid = 'pg_catalog.pg_extension'::regclass and e.deptype = 'e')
    )
    select 'error', d.oid::regprocedure::text,
        case when d.path is null then 'runs as its owner with the caller''s search_path'
            else 'runs as its owner with a search_path in which the caller''s temporary tables come first' end,
        format('alter routine %s set search_path = %s, pg_temp', d.oid::regprocedure,
            coalesce(ltrim(regexp_replace(d.path, '(^|, *)"?pg_temp"?', '', 'g'), ', '),
                format('pg_catalog, %I', d.pronamespace::regnamespace::text)))
    from definer as d
    -- An empty path makes the function name the schema of whatever it uses. A body
    -- that was parsed when it was made looks nothing up.
    where d.path is null and d.prosqlbody is null
       or d.path not in ('', '""') and d.path !~ ', *"?pg_temp"?$';
end;

create function tenancy_private.lint_bypassing_function(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', p.oid::regprocedure::text,
        format('runs as %I, whom row-level security does not hold, for %s', o.rolname, g.names),
        format('revoke execute on routine %s from %s', p.oid::regprocedure, g.names)
    from pg_catalog.pg_proc as p
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    join pg_catalog.pg_roles as o on o.oid = p.proowner and (o.rolsuper or o.rolbypassrls)
    cross join lateral (select tenancy_private.lint_callers(p.proacl, p.proowner) as names) as g
    where p.prosecdef and n.nspname !~ '^pg_'
      -- PostgreSQL calls these by itself, and nobody else can.
      and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
      and not exists (
          select from pg_catalog.pg_depend as e
          where e.classid = 'pg_catalog.pg_proc'::regclass and e.objid = p.oid
            and e.refclassid = 'pg_catalog.pg_extension'::regclass and e.deptype = 'e')
      and g.names is not null and tenancy_private.lint_is_usable(p.pronamespace);
end;

create function tenancy_private.lint_rewrite_rule(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', format('rule %I on %s', r.rulename, r.ev_class::regclass),
        format('runs as %I, the owner of the table', o.rolname),
        format('drop rule %I on %s', r.rulename, r.ev_class::regclass)
    from unnest(walled) as w
    join pg_catalog.pg_rewrite as r on r.ev_class = w.relation
    join pg_catalog.pg_class as c on c.oid = w.relation
    join pg_catalog.pg_roles as o on o.oid = c.relowner
    where o.rolsuper or o.rolbypassrls;
end;

create function tenancy_private.lint_trigger_of_another(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', format('trigger %I on %s', t.tgname, t.tgrelid::regclass),
        format('runs %s, which belongs to %I and not to the owner of the table', f.oid::regprocedure, o.rolname),
        format('alter function %s owner to %s', f.oid::regprocedure, c.relowner::regrole)
    from pg_catalog.pg_trigger as t
    join unnest(walled) as w on w.relation = t.tgrelid
    join pg_catalog.pg_class as c on c.oid = t.tgrelid
    join pg_catalog.pg_proc as f on f.oid = t.tgfoid
    join pg_catalog.pg_roles as o on o.oid = f.proowner
    where not t.tgisinternal and f.proowner <> c.relowner
      and not o.rolsuper and o.rolname <> 'tenancy_owner';
end;

-- USAGE is what an insert needs. SELECT tells how many rows all tenants made.
create function tenancy_private.lint_sequence_within_reach(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', c.relation::regclass::text,
        format('can be %s by %s', string_agg(distinct
            case a.privilege_type when 'SELECT' then 'read' else 'set' end, ' and '), string_agg(distinct g.name, ', ')),
        format('revoke select, update on sequence %s from %s', c.relation::regclass, string_agg(distinct g.name, ', '))
    from tenancy_private.lint_relations() as c, aclexplode(c.acl) as a, tenancy_private.lint_grantees() as g
    where c.kind = 'S' and a.privilege_type in ('SELECT', 'UPDATE') and g.grantee = a.grantee and a.grantee <> c.owner
    group by c.relation;
end;

create function tenancy_private.lint_publication_without_filter(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', format('publication %I', p.pubname), 'publishes every table, with every tenant''s rows',
        format('drop publication %I', p.pubname)
    from pg_catalog.pg_publication as p
    where p.puballtables
    union all
    select 'warning', format('publication %I', p.pubname),
        format('publishes all of schema %I, where there are isolated tables', n.nspname),
        format('alter publication %I drop tables in schema %I', p.pubname, n.nspname)
    from pg_catalog.pg_publication as p
    join pg_catalog.pg_publication_namespace as s on s.pnpubid = p.oid
    join pg_catalog.pg_namespace as n on n.oid = s.pnnspid
    where exists (
        select from unnest(walled) as w
        join pg_catalog.pg_class as c on c.oid = w.relation
        where c.relnamespace = n.oid)
    union all
    select 'warning', format('publication %I', p.pubname),
        format('publishes %s without a row filter', w.relation::regclass),
        format('alter publication %I drop table %s', p.pubname, w.relation::regclass)
    from pg_catalog.pg_publication as p
    join pg_catalog.pg_publication_rel as r on r.prpubid = p.oid and r.prqual is null
    join unnest(walled) as w on w.relation = r.prrelid;
end;

-- What a column is granted stands in another place than what its table is.
create function tenancy_private.lint_table_grants(walled tenancy_private.walled[])
    returns table (relation oid, owner oid, grantee oid, name text, privilege text, columns text)
    language sql stable rows 1000
begin atomic
    select c.oid, c.relowner, a.grantee, g.name, a.privilege_type, ''
    from unnest(walled) as w
    join pg_catalog.pg_class as c on c.oid = w.relation
    cross join lateral aclexplode(c.relacl) as a
    join tenancy_private.lint_grantees() as g on g.grantee = a.grantee
    where a.grantee <> c.relowner
    union all
    select c.oid, c.relowner, a.grantee, g.name, a.privilege_type, format(' (%I)', t.attname)
    from unnest(walled) as w
    join pg_catalog.pg_class as c on c.oid = w.relation
    join pg_catalog.pg_attribute as t on t.attrelid = c.oid and t.attacl is not null
    cross join lateral aclexplode(t.attacl) as a
    join tenancy_private.lint_grantees() as g on g.grantee = a.grantee
    where a.grantee <> c.relowner;
end;
comment on function tenancy_private.lint_table_grants(tenancy_private.walled[]) is 'What the application and PUBLIC hold on isolated tables.';

create function tenancy_private.lint_granted_to_public(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', g.relation::regclass::text,
        format('grants %s to every role', string_agg(lower(g.privilege) || g.columns, ', ' order by g.privilege, g.columns)),
        format('revoke %s on %s from public',
            string_agg(lower(g.privilege) || g.columns, ', ' order by g.privilege, g.columns), g.relation::regclass)
    from tenancy_private.lint_table_grants(walled) as g
    where g.grantee = 0
    group by g.relation;
end;

create function tenancy_private.lint_dangerous_grant(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', g.relation::regclass::text,
        format('grants %s to %s', string_agg(lower(g.privilege) || g.columns, ', ' order by g.privilege, g.columns), g.name),
        format('revoke %s on %s from %s',
            string_agg(lower(g.privilege) || g.columns, ', ' order by g.privilege, g.columns), g.relation::regclass, g.name)
    from tenancy_private.lint_table_grants(walled) as g
    where g.privilege in ('TRUNCATE', 'REFERENCES', 'TRIGGER') and g.grantee <> 0
    group by g.relation, g.grantee, g.name;
end;

create function tenancy_private.lint_schema_create(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'error', format('schema %I', n.nspname), format('lets %s create objects in it', string_agg(g.name, ', ')),
        format('revoke create on schema %I from %s', n.nspname, string_agg(g.name, ', '))
    from pg_catalog.pg_namespace as n, aclexplode(n.nspacl) as a, tenancy_private.lint_grantees() as g
    where n.nspname !~ '^pg_(toast|temp)' and a.privilege_type = 'CREATE' and g.grantee = a.grantee
      and a.grantee <> n.nspowner
    group by n.nspname;
end;

create function tenancy_private.lint_default_grant(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', format('default privileges of %s%s', d.defaclrole::regrole,
            case when d.defaclnamespace = 0 then '' else format(' in schema %s', d.defaclnamespace::regnamespace) end),
        format('give %s %s on every new table', g.name, string_agg(lower(a.privilege_type), ', ')),
        format('alter default privileges for role %s%s revoke %s on tables from %s', d.defaclrole::regrole,
            case when d.defaclnamespace = 0 then '' else format(' in schema %s', d.defaclnamespace::regnamespace) end,
            string_agg(lower(a.privilege_type), ', '), g.name)
    from pg_catalog.pg_default_acl as d, aclexplode(d.defaclacl) as a, tenancy_private.lint_grantees() as g
    where d.defaclobjtype = 'r' and g.grantee = a.grantee and a.grantee <> d.defaclrole
      and (a.grantee = 0 or a.privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER'))
    group by d.oid, d.defaclrole, d.defaclnamespace, g.name;
end;
