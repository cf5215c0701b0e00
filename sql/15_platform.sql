/*
 * Platform administrators: persons who may call the reports with their own
 * token, over HTTP, where the database role is the service's.
 *
 * The DBA grants it, not a tenant. It is looked at in each call.
 */

create table tenancy.platform_administrators (
    user_id uuid primary key references tenancy.users (id),
    granted_at timestamptz not null default now(),
    granted_by text not null default session_user
);
select pg_catalog.pg_extension_config_dump('tenancy.platform_administrators', '');
comment on table tenancy.platform_administrators is 'Persons who may see the reports. No policy: RLS shows it to nobody but its owner.';

alter table tenancy.platform_administrators enable row level security, force row level security;

create function tenancy_private.user_of(email text)
    returns uuid
    language plpgsql stable
as $$
declare
    found_id uuid;
begin
    select u.id into found_id
    from tenancy.users as u
    where lower(u.email) = lower(btrim(user_of.email));
    if found_id is null then
        raise exception 'there is no user with that email'
            using errcode = 'TN603', hint = 'The person registers first.';
    end if;
    return found_id;
end
$$;

-- A definer: nobody may write the table.
create function tenancy.grant_platform_administrator(email text)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    person constant uuid := tenancy_private.user_of(grant_platform_administrator.email);
begin
    perform tenancy_private.audit('grant_platform_administrator', jsonb_build_object('user_id', person));
    insert into tenancy.platform_administrators (user_id)
    values (person)
    on conflict do nothing;
end
$$;
comment on function tenancy.grant_platform_administrator(text) is
    'Lets a person see the reports over HTTP. Again: no effect. TN603 nobody has that email.';

-- A definer: nobody may write the table.
create function tenancy.revoke_platform_administrator(email text)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    person constant uuid := tenancy_private.user_of(revoke_platform_administrator.email);
begin
    perform tenancy_private.audit('revoke_platform_administrator', jsonb_build_object('user_id', person));
    delete from tenancy.platform_administrators as a
    where a.user_id = person;
end
$$;
comment on function tenancy.revoke_platform_administrator(text) is
    'Takes it back, from the next call on. Again: no effect. TN603 nobody has that email.';

-- A definer: the report reads every tenant's rows, and the person is looked up where nobody may read.
create function tenancy.platform_report_tenants()
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (
        select from tenancy.platform_administrators as a
        where a.user_id = tenancy_private.context_user_id()
    ) then
        raise exception 'only a platform administrator may see this'
            using errcode = 'TN210', hint = 'A DBA grants it with tenancy.grant_platform_administrator().';
    end if;
    perform tenancy_private.audit_now('platform_report_tenants');

    return json_build_object('data', coalesce((
        select json_agg(json_build_object(
            'id', r.tenant_id, 'slug', r.slug, 'name', r.name, 'status', r.status,
            'members', r.members, 'projects', r.projects,
            'tasks', json_build_object('todo', r.tasks_todo, 'inProgress', r.tasks_in_progress, 'done', r.tasks_done),
            'createdAt', tenancy_private.iso(r.created_at),
            'firstActivityAt', tenancy_private.iso(r.first_activity_at),
            'lastActivityAt', tenancy_private.iso(r.last_activity_at)))
        from tenancy_private.tenants_report() as r
    ), '[]'));
end
$$;
comment on function tenancy.platform_report_tenants() is
    'report_tenants() as JSON, for a platform administrator who has entered a tenant. Leaves a row in audit_log. TN210 the person is none.';

create function tenancy_private.iso(at timestamptz)
    returns text
    language sql stable strict
return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
comment on function tenancy_private.iso(timestamptz) is 'ISO 8601 in UTC, with microseconds, as the row functions write it.';
