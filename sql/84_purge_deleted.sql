/*
 * What was deleted softly goes for good when its table's retention is over; and
 * lint() finds tables whose soft delete is broken.
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

-- A definer: it deletes rows of all tenants.
create function tenancy.purge_deleted(most integer default 10000)
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
    -- A reference must refuse here, and not at the commit of all.
    set constraints all immediate;
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
                + tenancy_private.purge_table(part.member, clock_timestamp() - part.retention, most - purged);
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
                when not (pg_catalog.has_table_privilege('tenancy_owner', p.member, 'SELECT')
                    and pg_catalog.has_table_privilege('tenancy_owner', p.member, 'DELETE'))
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
