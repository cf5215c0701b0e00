/*
 * backfill_tenant(): gives the rows of a large table their tenant while it is
 * in use, some at a time, and commits in between.
 *
 * A row without a tenant is what is left to do, so it can be stopped at any
 * moment and called again. Where it stands is written down with every batch.
 */

create table tenancy_private.backfills (
    relation oid not null,
    part oid not null,
    started_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    finished_at timestamptz,
    rows_filled bigint not null default 0,
    filled_in_pass bigint not null default 0,
    next_block bigint not null default 0,
    blocks bigint not null default 0,
    primary key (relation, part)
);
-- The rows are about this server's files: none goes with a dump.
select pg_catalog.pg_extension_config_dump('tenancy_private.backfills', 'where false');
comment on table tenancy_private.backfills is 'Where each backfill stands, per table that keeps rows.';

alter table tenancy_private.backfills enable row level security, force row level security;

create view tenancy.backfill_progress with (security_invoker = on) as
    select b.relation::regclass as relation,
        sum(b.rows_filled)::bigint as rows_filled,
        round(100.0 * sum(case when b.finished_at is null then least(b.next_block, b.blocks) else b.blocks end)
            / greatest(sum(b.blocks), 1), 1) as percent,
        min(b.started_at) as started_at,
        max(b.updated_at) as updated_at,
        case when bool_and(b.finished_at is not null) then max(b.finished_at) end as finished_at
    from tenancy_private.backfills as b
    group by b.relation;
comment on view tenancy.backfill_progress is
    'How far each backfill_tenant() has come: rows filled, percent of the table looked at, when. For superusers.';

create function tenancy_private.begin_backfill(target regclass, tenant_column name)
    returns regclass[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    parts regclass[];
begin
    if not exists (
        select from pg_attribute as a
        where a.attrelid = target and a.attname = begin_backfill.tenant_column and not a.attisdropped)
    then
        raise exception '% has no column "%" to fill', target, tenant_column
            using errcode = 'TN702', hint = format('alter table %s add column %I uuid', target, tenant_column);
    end if;
    parts := array(select m.member from tenancy_private.members(target) as m where m.kind = 'r');

    delete from tenancy_private.backfills as b
    where not exists (select from pg_class as c where c.oid = b.part);
    insert into tenancy_private.backfills as b (relation, part)
    select target, p from unnest(parts) as p
    on conflict on constraint backfills_pkey do update set
        next_block = case when b.finished_at is null then b.next_block else 0 end,
        started_at = case when b.finished_at is null then b.started_at else now() end,
        rows_filled = case when b.finished_at is null then b.rows_filled else 0 end,
        filled_in_pass = 0,
        finished_at = null;
    return parts;
end
$$;
comment on function tenancy_private.begin_backfill(regclass, name) is
    'Notes that a backfill begins or goes on; the tables that keep the rows. TN702 without the column.';

create function tenancy_private.plan_backfill(
    relation regclass, tenant_column name, tenant uuid, parent name, mapping text, mapping_column name, batch_size integer,
    out target regclass, out wanted name, out parts regclass[]
)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.refuse_caller();
    target := tenancy_private.isolation_target(relation);
    wanted := tenancy_private.isolation_column(target, plan_backfill.tenant_column);
    perform tenancy_private.refuse_sources(target, wanted, tenant, parent, mapping, mapping_column, '{}');
    if num_nonnulls(tenant, parent, mapping) = 0 then
        raise exception 'nothing says which tenant the rows of % belong to', target
            using errcode = 'TN705', hint = 'Give tenant, or parent, or mapping and mapping_column.';
    elsif batch_size is null or batch_size < 1 then
        raise exception 'a batch has at least one row'
            using errcode = 'TN705', hint = 'Leave batch_size out for 10000.';
    end if;
    parts := tenancy_private.begin_backfill(target, wanted);
end
$$;
comment on function tenancy_private.plan_backfill(regclass, name, uuid, name, text, name, integer) is
    'Checks the arguments of backfill_tenant() and notes that it begins.';

create function tenancy_private.backfill_batch(
    target regclass, filled_part regclass, tenant_column name, statement text, batch_size integer
)
    returns tenancy_private.backfills
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    progress tenancy_private.backfills;
    rows_per_block bigint;
    ahead bigint;
    filled bigint;
    is_complete boolean;
begin
    -- Two at once share the work: the second waits for the batch of the first.
    select b.* into progress
    from tenancy_private.backfills as b
    where b.relation = target and b.part = filled_part
    for update;
    -- Until the commit that follows.
    if tenancy_private.can_silence(target, tenant_column) then
        perform set_config('session_replication_role', 'replica', true);
    end if;
    -- What a pass itself adds behind the last block has its tenant.
    if progress.next_block = 0 then
        progress.blocks := pg_relation_size(filled_part) / current_setting('block_size')::integer;
    end if;
    -- Statistics may be missing: the next blocks tell how many rows stand in one.
    execute format('select greatest(count(*) / 8, 1) from only %s as r where r.ctid >= %L and r.ctid < %L', filled_part,
        format('(%s,0)', least(progress.next_block, 4294967286)), format('(%s,0)', least(progress.next_block + 8, 4294967294)))
    into rows_per_block;
    ahead := greatest(batch_size / rows_per_block, 1);

    if progress.next_block < progress.blocks then
        execute format('%s and r.ctid >= %L and r.ctid < %L', statement,
            format('(%s,0)', progress.next_block), format('(%s,0)', least(progress.next_block + ahead, 4294967294)));
        get diagnostics filled = row_count;
        progress.rows_filled := progress.rows_filled + filled;
        progress.filled_in_pass := progress.filled_in_pass + filled;
        progress.next_block := progress.next_block + ahead;
    end if;
    if progress.next_block >= progress.blocks then
        execute format('select not exists (select from only %s as r where r.%I is null)', filled_part, tenant_column) into is_complete;
        if is_complete or progress.filled_in_pass = 0 then
            progress.finished_at := clock_timestamp();
        else
            -- A row that was changed meanwhile may have moved to a place that was passed.
            progress.next_block := 0;
            progress.filled_in_pass := 0;
        end if;
    end if;
    progress.updated_at := clock_timestamp();
    update tenancy_private.backfills as b
    set blocks = progress.blocks, next_block = progress.next_block, rows_filled = progress.rows_filled,
        filled_in_pass = progress.filled_in_pass, finished_at = progress.finished_at, updated_at = progress.updated_at
    where b.relation = target and b.part = filled_part;
    return progress;
end
$$;
comment on function tenancy_private.backfill_batch(regclass, regclass, name, text, integer) is
    'Gives the next rows of one table their tenant and notes how far that came.';

-- A procedure that commits can't pin its path, so nothing here depends on one:
-- every name has its schema, and there is no operator.
create procedure tenancy.backfill_tenant(
    relation regclass,
    tenant_column name default null,
    tenant uuid default null,
    parent name default null,
    mapping text default null,
    mapping_column name default null,
    batch_size integer default 10000
)
    language plpgsql
as $$
declare
    work record;
    part pg_catalog.regclass;
    progress tenancy_private.backfills;
begin
    select * into work
    from tenancy_private.plan_backfill(relation, tenant_column, tenant, parent, mapping, mapping_column, batch_size);
    commit;
    foreach part in array work.parts loop
        loop
            progress := tenancy_private.backfill_batch(work.target, part, work.wanted,
                tenancy_private.fill_statement(work.target, part, work.wanted, tenant, parent, mapping, mapping_column), batch_size);
            commit;
            raise notice '%: % rows filled, block % of %', part, progress.rows_filled, progress.next_block, progress.blocks;
            exit when progress.finished_at is not null;
        end loop;
    end loop;
    perform tenancy_private.require_tenants(work.target, work.wanted);
end
$$;
comment on procedure tenancy.backfill_tenant(regclass, name, uuid, name, text, name, integer) is
    'Gives the rows of a table that is in use their tenant, about batch_size at a time, and commits after each batch; see tenancy.backfill_progress. Stopped and called again, it goes on. Not inside a transaction (2D000). Errors as isolate_table(); TN703 in the end, when rows are left that nothing gives a tenant.';
