/*
 * What was deleted softly goes for good when its table's retention is over; and
 * lint() finds tables whose soft delete is broken.
 *
 * A table's triggers, rules and indexes are its owner's code, and run as who deletes.
 * So each table is purged as its owner, and one whose owner may everything as
 * tenancy_purger, who may nothing else (pg_tenancy/src/purge.rs); never with the
 * rights of the extension.
 */

create function tenancy_private.purge_table(part regclass, before timestamptz, most bigint)
    returns bigint
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    victim tid;
    purged bigint := 0;
begin
    -- What another purge holds is left to it, and so is what somebody restores.
    for victim in
        execute format('select t.ctid from only %s as t where t.deleted_at < $1 order by t.deleted_at for update skip locked', part)
        using before
    loop
        exit when purged >= most;
        begin
            execute format('delete from only %s as t where t.ctid = $1', part) using victim;
            purged := purged + 1;
        exception
            when foreign_key_violation then
                -- Other rows still refer to it. It goes when they do.
                null;
        end;
    end loop;
    return purged;
end
$$;
comment on function tenancy_private.purge_table(regclass, timestamptz, bigint) is
    'Deletes at most so many rows of a table, without its partitions, that were deleted before; returns how many.';

create function tenancy_private.purge_table_as(role oid, part regclass, before timestamptz, most bigint)
    returns bigint
    language c strict volatile
as 'MODULE_PATHNAME', 'tenancy_purge_table_as';
comment on function tenancy_private.purge_table_as(oid, regclass, timestamptz, bigint) is
    'Calls purge_table() as that role, whom the row-level security of its own tables doesn''t hold meanwhile.';

-- A definer: it becomes the roles that may delete.
create function tenancy_private.purge_tables(most integer)
    returns bigint
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    part record;
    purged bigint := 0;
begin
    if most is null or most < 1 then
        raise exception 'a purge deletes at least one row'
            using errcode = 'TN025', hint = 'Leave the number out for 10000.';
    end if;
    for part in
        select m.member, s.retention
        from tenancy_private.soft_deleted_tables() as s
        cross join lateral tenancy_private.members(s.relation) as m
        where m.kind = 'r'
        order by m.member::oid
    loop
        exit when purged >= most;
        begin
            purged := purged
                + tenancy_private.purge_table_as(tenancy_private.purger_of(part.member), part.member,
                    clock_timestamp() - part.retention, most - purged);
        exception
            -- One table's triggers must not keep the others' rows.
            when others then
                raise warning 'no deleted row of % could be purged: %', part.member, sqlerrm
                    using errcode = sqlstate;
        end;
    end loop;
    perform tenancy_private.audit('purge_deleted', jsonb_build_object('purged', purged));
    return purged;
end
$$;
comment on function tenancy_private.purge_tables(integer) is 'What purge_deleted() does once constraints are immediate.';

-- As the caller, whose own triggers may be waiting, and with the caller's rights.
create function tenancy_private.make_constraints_immediate()
    returns void
    language plpgsql volatile
as $$
begin
    set constraints all immediate;
end
$$;
comment on function tenancy_private.make_constraints_immediate() is
    'A reference to a purged row must refuse at once, and not at the commit of all.';

create function tenancy.purge_deleted(most integer default 10000)
    returns bigint
    language sql volatile
begin atomic
    select tenancy_private.make_constraints_immediate();
    select tenancy_private.purge_tables(purge_deleted.most);
end;
comment on function tenancy.purge_deleted(integer) is
    'Deletes for good what was deleted longer ago than its table''s retention, in all tables and tenants, the oldest of each table first and at most that many rows; returns how many. Rows to which others refer stay. Two at once share the work. TN025 a bad number.';

create function tenancy_private.lint_soft_delete_broken(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    with parts as (
        select s.relation as root, s.retention, s.is_enabled, m.member
        from tenancy_private.soft_deleted_tables() as s
        cross join lateral tenancy_private.members(s.relation) as m
    ), broken as (
        select p.root, p.member as relation, p.retention,
            case
                when not tenancy_private.hides_deleted(p.member)
                    then 'has the trigger of soft delete without its policy: deleted rows are seen, and a DELETE is refused'
                when not p.is_enabled
                    then 'has soft delete, and its trigger is disabled: MERGE deletes for good'
                when not (pg_catalog.has_table_privilege(tenancy_private.purger_of(p.member), p.member, 'SELECT')
                    and pg_catalog.has_table_privilege(tenancy_private.purger_of(p.member), p.member, 'DELETE'))
                    then 'has soft delete, and purge_deleted() may not delete from it'
            end as problem
        from parts as p
        union all
        select o.polrelid::regclass, o.polrelid::regclass, interval '30 days',
            'hides deleted rows without the trigger of soft delete: nothing purges them'
        from pg_catalog.pg_policy as o
        where o.polname = 'without_deleted'
          and not exists (select from parts as p where p.member = o.polrelid)
    )
    select 'warning', b.relation::text, b.problem,
        format('select tenancy.enable_soft_delete(%L, %L)', b.root, b.retention)
    from broken as b
    where b.problem is not null;
end;
