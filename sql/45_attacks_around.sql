/*
 * Attacks around the table: through views on it, on its partitions and
 * children by their own names, and with privileges that RLS knows nothing of.
 */

-- What we see of a view must not depend on whether the other tenant's row is there.
create function tenancy_private.attack_views(stage tenancy_private.stage)
    returns setof tenancy_private.attack
    language plpgsql
as $$
declare
    made tenancy_private.attempt;
    without tenancy_private.attempt;
    again tenancy_private.attempt;
    reader record;
    digest text;
    removal text[] := tenancy_private.removal(stage.relation, stage.their_place);
begin
    for reader in
        with recursive above (relation) as (
            select stage.relation::oid
            union
            select r.ev_class
            from above as b
            join pg_depend as d on d.refclassid = 'pg_class'::regclass and d.refobjid = b.relation
                and d.classid = 'pg_rewrite'::regclass
            join pg_rewrite as r on r.oid = d.objid
        )
        select c.oid::regclass as name, c.relkind as kind
        from above as b
        join pg_class as c on c.oid = b.relation
        where c.relkind in ('v', 'm')
        order by c.oid
    loop
        if not has_any_column_privilege('tenancy_app', reader.name, 'select') then
            return next tenancy_private.finding(format('read through %s', reader.name), 'held', 'tenancy_app may not read it');
            continue;
        end if;
        if reader.kind = 'm' then
            return next tenancy_private.finding(format('read through %s', reader.name), 'broken',
                'a materialized view holds the rows of every tenant, has no policies, and tenancy_app may read it');
            continue;
        end if;
        digest := format('select concat(count(*), '' '', sum(hashtextextended(v::text, 0))) from %s as v', reader.name);
        made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}', '{}', digest);
        without := tenancy_private.attempt(stage.ours, 'tenancy_app', removal, '{}', digest);
        again := tenancy_private.attempt(stage.ours, 'tenancy_app', removal, '{}', digest);
        if without.answer is distinct from again.answer then
            return next tenancy_private.finding(format('read through %s', reader.name), 'skipped', 'it shows something else at every look');
            continue;
        end if;
        return next tenancy_private.judgement(format('read through %s', reader.name), made,
            made.answer is distinct from without.answer or made.code is distinct from without.code,
            'it shows whether the other tenant''s row is there', 'held');
    end loop;
end
$$;
comment on function tenancy_private.attack_views(tenancy_private.stage) is
    'Reads through the views on the table, and the views on those.';

-- A query that names a partition or child is under its policies, not under the table's.
create function tenancy_private.attack_children(stage tenancy_private.stage)
    returns setof tenancy_private.attack
    language plpgsql
as $$
declare
    child record;
    made tenancy_private.attempt;
    found tenancy_private.attack;
    is_any boolean := false;
    is_broken boolean := false;
begin
    for child in
        with recursive below (relation) as (
            select i.inhrelid from pg_inherits as i where i.inhparent = stage.relation
            union
            select i.inhrelid from below as b join pg_inherits as i on i.inhparent = b.relation
        )
        select c.oid::regclass as relation
        from below as b
        join pg_class as c on c.oid = b.relation
        where c.relkind in ('r', 'p', 'f')
        order by c.oid
    loop
        is_any := true;
        made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}', '{}', format(
            'select count(*) from (select from %s where %I is distinct from %L limit 1) as seen',
            child.relation, stage.tenant_column, stage.ours));
        if made.answer::bigint > 0 then
            is_broken := true;
            return next tenancy_private.finding(format('read %s by its own name', child.relation), 'broken', 'it gives rows of other tenants');
        end if;
        for found in
            select * from tenancy_private.attack_blindly(stage, child.relation, format('update %s by its own name', child.relation),
                format('update %s set %I = %L', child.relation, stage.writable, stage.our_row ->> stage.writable))
            union all
            select * from tenancy_private.attack_blindly(stage, child.relation, format('delete from %s by its own name', child.relation),
                format('delete from %s', child.relation))
        loop
            if found.outcome = 'broken' then
                is_broken := true;
                return next found;
            end if;
        end loop;
        made := tenancy_private.attempt(stage.ours, 'tenancy_app',
            tenancy_private.removal(stage.relation, stage.their_place),
            array[tenancy_private.insertion_by_app(child.relation, stage.their_row)]);
        if made.is_prepared and (made.code is null or made.code not in ('42501', '23514') and tenancy_private.is_stopped_late(made)) then
            is_broken := true;
            return next tenancy_private.finding(format('insert into %s by its own name', child.relation), 'broken', 'no policy refuses a row of the other tenant');
        end if;
    end loop;
    if is_any and not is_broken then
        return next tenancy_private.finding('partitions and children by their own names', 'held', 'nothing of the other tenant was reached');
    end if;
end
$$;
comment on function tenancy_private.attack_children(tenancy_private.stage) is
    'Reads and writes each partition and child by its own name. One row where all hold.';

-- Looked up, not done: TRUNCATE would take the table from everybody for as long as the attack lasts.
create function tenancy_private.attack_privileges(stage tenancy_private.stage)
    returns setof tenancy_private.attack
    language sql stable
begin atomic
    with recursive tree (relation) as (
        select (stage).relation::oid
        union
        select i.inhrelid from tree as t join pg_catalog.pg_inherits as i on i.inhparent = t.relation
    ), held (privilege, harm, relations) as (
        select p.privilege, p.harm, pg_catalog.string_agg(t.relation::regclass::text, ', ' order by t.relation)
            filter (where pg_catalog.has_table_privilege('tenancy_app', t.relation, p.privilege)
                or p.privilege = 'references' and pg_catalog.has_any_column_privilege('tenancy_app', t.relation, p.privilege))
        from tree as t, (values
            ('truncate', 'it empties the table for every tenant, whatever the policies say'),
            ('references', 'a foreign key to it tells which keys other tenants have'),
            ('trigger', 'a trigger on it sees the rows of every tenant that writes')
        ) as p (privilege, harm)
        group by p.privilege, p.harm
    )
    select tenancy_private.finding(h.privilege, case when h.relations is null then 'held' else 'broken' end,
        coalesce('tenancy_app holds this privilege on ' || h.relations || ': ' || h.harm, 'tenancy_app does not hold this privilege')
    )
    from held as h
    union all
    select case
        when not c.relforcerowsecurity
            then tenancy_private.finding('read as the owner', 'broken', pg_catalog.format('row-level security isn''t forced, so %I, who owns it, reads every tenant', o.rolname))
        else tenancy_private.finding('read as the owner', 'held', 'row-level security is forced')
    end
    from pg_catalog.pg_class as c
    join pg_catalog.pg_roles as o on o.oid = c.relowner
    where c.oid = (stage).relation;
end;
comment on function tenancy_private.attack_privileges(tenancy_private.stage) is
    'The privileges that row-level security knows nothing of, and its owner.';
