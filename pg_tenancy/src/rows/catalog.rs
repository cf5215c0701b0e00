//! The question to the catalog what a relation is made of.

use std::cell::Cell;

use pgrx::pg_sys;

use crate::committed::Question;

// Tables, types and functions are named with their schema: the search path is
// the caller's. One row of JSON, so that it is one query and one reading.
thread_local! {
    static DESCRIBE_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

/// As JSON; no row where there is no such table or view.
pub const DESCRIBE: Question = Question {
    types: &[pg_sys::OIDOID],
    plan: &DESCRIBE_PLAN,
    sql: c"
select pg_catalog.json_build_object(
    'schema', n.nspname,
    'table', c.relname,
    'name', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'isIsolated', c.relrowsecurity and c.relforcerowsecurity and exists (
        select from pg_catalog.pg_policy as p
        where p.polrelid = c.oid and p.polname = 'tenant_boundary'
          and not p.polpermissive and p.polcmd = '*' and p.polroles = '{0}'),
    'isSoftDeleted', exists (
        select from pg_catalog.pg_policy as p
        where p.polrelid = c.oid and p.polname = 'without_deleted' and not p.polpermissive),
    'fields', coalesce((
        select pg_catalog.json_agg(pg_catalog.json_build_object(
            'column', a.attname,
            'quoted', pg_catalog.quote_ident(a.attname),
            'typeOid', b.oid::pg_catalog.int8,
            'declaredOid', t.oid::pg_catalog.int8,
            'typeModifier', case when t.typtype = 'd' then d.modifier else a.atttypmod end,
            'typeName', pg_catalog.format_type(t.oid, null),
            'wholeTypeName', pg_catalog.format('%s.%I', t.typnamespace::pg_catalog.regnamespace, t.typname),
            'elementOid', case when b.typcategory = 'A' then b.typelem else 0 end::pg_catalog.int8,
            'isBuiltin', b.typnamespace = 'pg_catalog'::pg_catalog.regnamespace,
            'isNullable', not a.attnotnull,
            'isBoundary', exists (
                select from pg_catalog.pg_policy as p
                join pg_catalog.pg_depend as d
                  on d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid
                where p.polrelid = c.oid and p.polname = 'tenant_boundary'
                  and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  and d.refobjid = c.oid and d.refobjsubid = a.attnum),
            'keyPlace', (
                select u.place from pg_catalog.pg_index as i,
                    pg_catalog.unnest(i.indkey) with ordinality as u (number, place)
                where i.indrelid = c.oid and i.indisprimary
                  and u.number = a.attnum and u.place <= i.indnkeyatts),
            'isReadable', coalesce(pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'), false),
            'isInsertable', a.attgenerated = '' and a.attidentity <> 'a'
                and coalesce(pg_catalog.has_column_privilege(c.oid, a.attnum, 'INSERT'), false),
            'isUpdatable', a.attgenerated = '' and a.attidentity <> 'a'
                and coalesce(pg_catalog.has_column_privilege(c.oid, a.attnum, 'UPDATE'), false),
            'isFilterable', exists (
                select from pg_catalog.pg_index as i
                where i.indrelid = c.oid and i.indisvalid and i.indpred is null
                  and a.attnum = any (i.indkey)))
            order by a.attnum)
        from pg_catalog.pg_attribute as a
        join pg_catalog.pg_type as t on t.oid = a.atttypid
        cross join lateral (
            -- A domain may be over a domain.
            with recursive below (oid, base, modifier) as (
                select t.oid, t.typbasetype, t.typtypmod
                union all
                select n.oid, n.typbasetype, n.typtypmod
                from below join pg_catalog.pg_type as n on n.oid = below.base and n.typtype = 'd'
            )
            select case when t.typtype = 'd' then min(below.base::pg_catalog.int8) filter (where not exists (
                    select from pg_catalog.pg_type as n where n.oid = below.base and n.typtype = 'd'))
                else t.oid::pg_catalog.int8 end::pg_catalog.oid as oid,
                max(below.modifier) as modifier
            from below
        ) as d
        join pg_catalog.pg_type as b on b.oid = d.oid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '[]'),
    'constraints', coalesce((
        select pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', k.name,
            'isCheck', k.is_check,
            'columns', array(
                select a.attname from pg_catalog.unnest(k.columns) with ordinality as u (number, place)
                join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = u.number
                order by u.place),
            'rule', k.rule))
        from (
            select k.conname as name, k.contype = 'c' as is_check, k.conkey as columns,
                pg_catalog.obj_description(k.oid, 'pg_constraint') as rule
            from pg_catalog.pg_constraint as k
            where k.conrelid = c.oid
            union all
            -- One that is partial can't be a constraint.
            select x.relname, false, i.indkey::pg_catalog.int2[], null
            from pg_catalog.pg_index as i
            join pg_catalog.pg_class as x on x.oid = i.indexrelid
            where i.indrelid = c.oid and i.indisunique
              and not exists (
                  select from pg_catalog.pg_constraint as k
                  where k.conrelid = c.oid and k.conindid = i.indexrelid)) as k), '[]'))::pg_catalog.text
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.oid = $1 and c.relkind in ('r', 'p', 'v')",
};
