/*
 * Soft delete: a table that asks for it keeps its deleted rows, out of sight.
 *
 *     select tenancy.enable_soft_delete('public.students', '90 days')
 *
 * Its column deleted_at says when a row was deleted. A restrictive policy hides such
 * rows from every query of the application, and refuses to write the column. A DELETE
 * by whom the policy holds becomes an UPDATE of it (pg_tenancy/src/soft_delete.rs); by
 * whom it doesn't, superusers and cascades among them, it deletes for good. A trigger
 * refuses what would pass that by (MERGE), and keeps the retention time: nothing is
 * registered anywhere, so all of it goes with a dump and with a new name.
 */

create function tenancy_private.guard_soft_delete()
    returns trigger
    language c volatile
as 'MODULE_PATHNAME', 'tenancy_guard_soft_delete';
comment on function tenancy_private.guard_soft_delete() is
    'Trigger of a soft-deleted table: TN422 where a row would be deleted for good by whom row-level security holds. Its argument is the retention time.';

create function tenancy_private.soft_deleted_tables()
    returns table (relation regclass, retention interval, is_enabled boolean)
    language sql stable rows 20
    set search_path = pg_catalog, pg_temp
as $$
    select t.tgrelid::regclass,
        split_part(encode(t.tgargs, 'escape'), '\000', 1)::interval,
        t.tgenabled in ('O', 'A')
    from pg_trigger as t
    where t.tgfoid = 'tenancy_private.guard_soft_delete()'::regprocedure
      and t.tgparentid = 0
$$;
comment on function tenancy_private.soft_deleted_tables() is
    'The tables with soft delete, how long each keeps what is deleted, and whether the trigger is enabled.';

create function tenancy_private.hides_deleted(relation oid)
    returns boolean
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pg_policy as p
        where p.polrelid = hides_deleted.relation and p.polname = 'without_deleted'
          and not p.polpermissive and p.polcmd = '*' and p.polroles = '{0}'
          and pg_get_expr(p.polqual, p.polrelid) = '(deleted_at IS NULL)'
          and p.polwithcheck is null)
$$;
comment on function tenancy_private.hides_deleted(oid) is 'Whether a table has the policy that hides deleted rows, unchanged.';

-- Called for whoever asks what is served, so it names nothing that has to be looked up.
create function tenancy_private.is_soft_deleted(relation oid)
    returns boolean
    language sql stable strict
begin atomic
    select exists (
            select from pg_catalog.pg_policy as p
            where p.polrelid = is_soft_deleted.relation and p.polname = 'without_deleted' and not p.polpermissive)
        and exists (
            select from pg_catalog.pg_trigger as t
            where t.tgrelid = is_soft_deleted.relation
              and t.tgfoid = 'tenancy_private.guard_soft_delete()'::regprocedure);
end;
comment on function tenancy_private.is_soft_deleted(oid) is 'Whether a deleted row of that table is only marked as such.';

create function tenancy_private.why_no_soft_delete(relation regclass)
    returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select case
        when c.oid is null then 'there is no such table'
        when c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
            then 'it is a table of pg_tenancy itself'
        when tenancy_private.tenant_column(c.oid::regclass) is null then 'it is not isolated'
        when exists (select from pg_inherits as i where i.inhrelid = c.oid) then 'it is a part of another table'
        when exists (
            select from tenancy_private.members(c.oid::regclass) as m
            where m.member <> c.oid and not m.is_partition)
            then 'it has inheritance children'
        when exists (
            select from pg_trigger as t
            where t.tgrelid = c.oid and t.tgname = 'soft_delete'
              and t.tgfoid <> 'tenancy_private.guard_soft_delete()'::regprocedure)
            then 'it has another trigger soft_delete'
        when a.attnum is null then null
        when a.atttypid <> 'timestamptz'::regtype then 'its column deleted_at is no timestamptz'
        when a.attnotnull then 'its column deleted_at is NOT NULL'
        when a.atthasdef then 'its column deleted_at has a default'
    end
    from (values (why_no_soft_delete.relation)) as r (oid)
    left join pg_class as c on c.oid = r.oid
    left join pg_attribute as a on a.attrelid = c.oid and a.attname = 'deleted_at' and not a.attisdropped
$$;
comment on function tenancy_private.why_no_soft_delete(regclass) is
    'Why a table can''t have soft delete; NULL where it can.';

create function tenancy_private.purger_of(relation oid)
    returns oid
    language sql stable strict
    set search_path = pg_catalog, pg_temp
as $$
    select case when o.rolsuper or o.rolname = 'tenancy_owner' then 'tenancy_purger'::regrole::oid else o.oid end
    from pg_class as c
    join pg_roles as o on o.oid = c.relowner
    where c.oid = purger_of.relation
$$;
comment on function tenancy_private.purger_of(oid) is
    'As whom the purge deletes from a table: its owner, whose triggers and rules gain nothing by that; or the role that may nothing else, where the owner may everything.';

create function tenancy.enable_soft_delete(relation regclass, retention interval default '30 days')
    returns text
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
    set intervalstyle = iso_8601
    set client_min_messages = warning
as $$
declare
    target constant regclass := enable_soft_delete.relation;
    kept constant interval := enable_soft_delete.retention;
    reason text;
    part record;
begin
    perform tenancy_private.require_dba('enable soft delete');
    if kept is null or kept < interval '0' or kept > interval '100 years' then
        raise exception 'deleted rows are kept for 0 to 100 years'
            using errcode = 'TN446', hint = 'Leave the retention out for 30 days.';
    end if;
    if target::oid in (select c.oid from pg_class as c) then
        execute format('lock table %s in access exclusive mode', target);
    end if;
    reason := tenancy_private.why_no_soft_delete(target);
    if reason is not null then
        raise exception '% can''t have soft delete: %', coalesce(target::text, 'NULL'), reason
            using errcode = 'TN445', hint = 'An isolated table can, where deleted_at is a nullable timestamptz or is not there yet.';
    end if;

    execute format('alter table %s add column if not exists deleted_at timestamptz', target);
    execute format('drop trigger if exists soft_delete on %s', target);
    execute format('create trigger soft_delete before delete on %s for each row execute function tenancy_private.guard_soft_delete(%L)',
        target, kept);
    for part in
        select m.member, m.is_partition, c.relnamespace::regnamespace as schema
        from tenancy_private.members(target) as m
        join pg_class as c on c.oid = m.member
    loop
        execute format('drop policy if exists without_deleted on %s', part.member);
        -- By its name it is asked after the boundary.
        execute format('create policy without_deleted on %s as restrictive for all to public using (deleted_at is null)', part.member);
        if tenancy_private.purger_of(part.member) = 'tenancy_purger'::regrole then
            -- A lock of a row asks for the right to update.
            execute format('grant select, delete, update (deleted_at) on %s to tenancy_purger', part.member);
            execute format('grant usage on schema %s to tenancy_purger', part.schema);
        end if;
    end loop;
    -- For the lock of a row whose version is compared before it is deleted, and to restore.
    if has_table_privilege('tenancy_app', target, 'delete') then
        execute format('grant update (deleted_at) on %s to tenancy_app', target);
    end if;
    if not exists (
        select from pg_index as i
        join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = target and i.indpred is not null and a.attname = 'deleted_at')
    then
        execute format('create index %I on %s (deleted_at) where deleted_at is not null',
            tenancy_private.free_name(target, 'deleted_at'), target);
    end if;
    return format('%s keeps deleted rows for %s', target, kept);
end
$$;
comment on function tenancy.enable_soft_delete(regclass, interval) is
    'For a superuser: from now on a DELETE of the application keeps the row, as deleted, out of everybody''s sight; purge_deleted() deletes it when the retention is over. Adds the column deleted_at where missing. Again: sets the retention, and mends what is missing. TN444 inside a context, TN445 not for this table, TN446 a bad retention.';

create function tenancy.disable_soft_delete(relation regclass)
    returns text
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
    set client_min_messages = warning
as $$
declare
    target constant regclass := disable_soft_delete.relation;
    part record;
    has_deleted boolean;
begin
    perform tenancy_private.require_dba('disable soft delete');
    if not exists (select from tenancy_private.soft_deleted_tables() as s where s.relation = target)
        and not coalesce(tenancy_private.hides_deleted(target), false)
    then
        raise exception '% has no soft delete', coalesce(target::text, 'NULL')
            using errcode = 'TN447', hint = 'There is nothing to disable.';
    end if;
    execute format('lock table %s in access exclusive mode', target);
    execute format('select exists (select from %s as t where t.deleted_at is not null)', target) into has_deleted;
    if has_deleted then
        raise exception '% has deleted rows, which would be seen again', target
            using errcode = 'TN448',
                  hint = format('Delete them for good: delete from %s where deleted_at is not null', target);
    end if;

    execute format('drop trigger if exists soft_delete on %s', target);
    for part in select m.member from tenancy_private.members(target) as m loop
        execute format('drop policy if exists without_deleted on %s', part.member);
        execute format('revoke select, delete, update (deleted_at) on %s from tenancy_purger', part.member);
    end loop;
    execute format('revoke update (deleted_at) on %s from tenancy_app', target);
    return format('%s deletes for good', target);
end
$$;
comment on function tenancy.disable_soft_delete(regclass) is
    'For a superuser: from now on a DELETE deletes. The column and its index stay. TN444 inside a context, TN447 there is no soft delete, TN448 there are deleted rows.';

create function tenancy.restore_resource(resource text, id text[])
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_restore_resource';
comment on function tenancy.restore_resource(text, text[]) is
    'Brings a deleted row back and returns it, or NULL where this tenant has no such deleted row. For owners and admins of the tenant. TN203, TN204, TN401 no such resource, TN405 not an id, TN412 another row has its value by now, TN421 the resource keeps no deleted rows.';
