/*
 * Reports across tenants, for the operator.
 *
 * Numbers and names of tenants, never a row of theirs. Each call leaves a row
 * in the audit log, also when the caller rolls back: what was read stays read.
 */

create function tenancy_private.tenants_report()
    returns table (
        tenant_id uuid,
        slug text,
        name text,
        status text,
        created_at timestamptz,
        members bigint,
        projects bigint,
        tasks_todo bigint,
        tasks_in_progress bigint,
        tasks_done bigint,
        first_activity_at timestamptz,
        last_activity_at timestamptz
    )
    language sql stable
begin atomic
    select t.id, t.slug, t.name, t.status, t.created_at,
        coalesce(m.members, 0),
        coalesce(p.projects, 0),
        coalesce(k.todo, 0), coalesce(k.in_progress, 0), coalesce(k.done, 0),
        least(p.first_at, k.first_at),
        greatest(p.last_at, k.last_at)
    from tenancy.tenants as t
    left join (
        select tenant_id, count(*) as members
        from tenancy.memberships
        group by tenant_id
    ) as m on m.tenant_id = t.id
    left join (
        select tenant_id, count(*) as projects,
            min(created_at) as first_at, max(updated_at) as last_at
        from tenancy.projects
        group by tenant_id
    ) as p on p.tenant_id = t.id
    left join (
        select tenant_id,
            count(*) filter (where status = 'todo') as todo,
            count(*) filter (where status = 'in_progress') as in_progress,
            count(*) filter (where status = 'done') as done,
            min(created_at) as first_at, max(updated_at) as last_at
        from tenancy.tasks
        group by tenant_id
    ) as k on k.tenant_id = t.id
    order by t.created_at, t.id;
end;

-- A definer: it reads every tenant's rows, to count them.
create function tenancy.report_tenants()
    returns table (
        tenant_id uuid,
        slug text,
        name text,
        status text,
        created_at timestamptz,
        members bigint,
        projects bigint,
        tasks_todo bigint,
        tasks_in_progress bigint,
        tasks_done bigint,
        first_activity_at timestamptz,
        last_activity_at timestamptz
    )
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit_now('report_tenants');
    return query select * from tenancy_private.tenants_report();
end
$$;
comment on function tenancy.report_tenants() is
    'One row per tenant, oldest first: its status, its members, projects and tasks by status, and when its projects and tasks were first made and last changed. Leaves a row in audit_log.';

-- A definer: it reads every tenant's rows, to count them.
create function tenancy.report_daily(from_day date, to_day date)
    returns table (
        day date,
        tenants bigint,
        users bigint,
        projects bigint,
        tasks bigint
    )
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if not coalesce(isfinite(from_day) and isfinite(to_day), false)
        or to_day < from_day or to_day - from_day > 3660 or to_day >= '9999-12-31'
    then
        raise exception 'the range must run from a day to the same or a later one, at most ten years on'
            using errcode = 'TN602', hint = 'select * from tenancy.report_daily(''2026-01-01'', ''2026-01-31'')';
    end if;
    perform tenancy_private.audit_now('report_daily', jsonb_build_object('from_day', from_day, 'to_day', to_day));

    return query
    with made as (
        select 'tenant' as kind, created_at from tenancy.tenants
        union all select 'user', created_at from tenancy.users
        union all select 'project', created_at from tenancy.projects
        union all select 'task', created_at from tenancy.tasks
    ), per_day as (
        select (created_at at time zone 'UTC')::date as day, kind, count(*) as number
        from made
        where created_at >= from_day::timestamp at time zone 'UTC'
          and created_at < (to_day + 1)::timestamp at time zone 'UTC'
        group by 1, 2
    )
    select d::date,
        coalesce(sum(p.number) filter (where p.kind = 'tenant'), 0)::bigint,
        coalesce(sum(p.number) filter (where p.kind = 'user'), 0)::bigint,
        coalesce(sum(p.number) filter (where p.kind = 'project'), 0)::bigint,
        coalesce(sum(p.number) filter (where p.kind = 'task'), 0)::bigint
    from generate_series(from_day::timestamp, to_day::timestamp, '1 day') as d
    left join per_day as p on p.day = d::date
    group by d
    order by d;
end
$$;
comment on function tenancy.report_daily(date, date) is
    'One row per day of UTC, both ends included: how many tenants, users, projects and tasks were made on it and are still there. Leaves a row in audit_log. TN602 bad range.';
