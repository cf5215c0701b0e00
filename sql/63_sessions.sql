/*
 * Sessions: a login, the refresh tokens that carry it on, and its end.
 *
 * A session is of one person in one tenant. Its access tokens name it and are
 * refused from the next transaction on when it has ended. It lives until
 * expires_at at the latest, however often it is refreshed.
 */

create table tenancy.sessions (
    tenant_id uuid not null references tenancy.tenants (id),
    id uuid not null default tenancy.uuid_v7(),
    user_id uuid not null references tenancy.users (id),
    created_at timestamptz not null default clock_timestamp(),
    last_used_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    ended_at timestamptz,
    end_reason text,
    client text,
    address text,
    primary key (tenant_id, id),
    constraint sessions_ended_for_a_reason check ((ended_at is null) = (end_reason is null)),
    constraint sessions_label_lengths check (length(client) <= 200 and length(address) <= 64)
);
select pg_catalog.pg_extension_config_dump('tenancy.sessions', '');
comment on table tenancy.sessions is 'Logins: of one person in one tenant. No policy but the boundary: people read theirs with list_sessions().';
comment on column tenancy.sessions.last_used_at is 'When it was started or last refreshed.';
comment on column tenancy.sessions.ended_at is 'From here on its tokens are refused; NULL while it lives. One that has just expired is not ended.';
comment on column tenancy.sessions.client is 'What the person logged in with, as it calls itself: not to be believed.';
comment on column tenancy.sessions.address is 'Where the person logged in from, as the service saw it.';

-- For a person's list, and for the end of all of them.
create index sessions_user_id on tenancy.sessions (user_id);
-- For purge_sessions().
create index sessions_over_at on tenancy.sessions (least(ended_at, expires_at));

alter table tenancy.sessions enable row level security, force row level security;

create policy tenant_boundary on tenancy.sessions as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());

create table tenancy.refresh_tokens (
    tenant_id uuid not null,
    session_id uuid not null,
    digest bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    used_at timestamptz,
    expires_at timestamptz not null,
    primary key (tenant_id, session_id, digest),
    foreign key (tenant_id, session_id) references tenancy.sessions (tenant_id, id) on delete cascade,
    constraint refresh_tokens_digest_length check (octet_length(digest) = 32)
);
select pg_catalog.pg_extension_config_dump('tenancy.refresh_tokens', '');
comment on table tenancy.refresh_tokens is 'What carries a session on, each good for one use. Used ones stay: a second use ends the session.';
comment on column tenancy.refresh_tokens.digest is 'SHA-256 of the token, which is stored nowhere.';

-- Who brings one names no tenant.
create unique index refresh_tokens_digest_key on tenancy.refresh_tokens (digest);

alter table tenancy.refresh_tokens enable row level security, force row level security;

create policy tenant_boundary on tenancy.refresh_tokens as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());

create function tenancy_private.moment_after(start timestamptz, span interval)
    returns timestamptz
    language plpgsql stable
as $$
begin
    -- In UTC: else the session's time zone would decide how long a day is.
    return (start at time zone 'UTC' + span) at time zone 'UTC';
exception
    when datetime_field_overflow or interval_field_overflow then
        return null;
end
$$;
comment on function tenancy_private.moment_after(timestamptz, interval) is
    'That moment; NULL where there is none, in a year that no calendar has. Limits on intervals are limits on moments: PostgreSQL compares intervals by months of 30 days, and adds real ones.';

create function tenancy_private.moment_before(start timestamptz, span interval)
    returns timestamptz
    language plpgsql stable
as $$
begin
    return (start at time zone 'UTC' - span) at time zone 'UTC';
exception
    when datetime_field_overflow or interval_field_overflow then
        return null;
end
$$;
comment on function tenancy_private.moment_before(timestamptz, interval) is 'As moment_after(), in the past.';

create function tenancy_private.expiry_of(lifetime interval, longest interval)
    returns timestamptz
    language plpgsql volatile
as $$
declare
    start constant timestamptz := clock_timestamp();
    expiry constant timestamptz := tenancy_private.moment_after(start, lifetime);
begin
    if expiry is null
        or expiry not between start + interval '1 second' and tenancy_private.moment_after(start, longest)
    then
        raise exception 'a lifetime must be between one second and %', longest
            using errcode = 'TN025', hint = 'Leave it out for the usual one.';
    end if;
    return expiry;
end
$$;
comment on function tenancy_private.expiry_of(interval, interval) is
    'When something ends that begins now. TN025 a lifetime that is none, or too long; there is no endless one.';

create function tenancy_private.label_of(said text, longest integer)
    returns text
    language sql immutable
return nullif(btrim(left(
    -- Control characters, and those that turn or hide what stands beside them.
    regexp_replace(left(said, 4 * longest),
        '[\u0001-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]+', ' ', 'g'),
    longest)), '');
comment on function tenancy_private.label_of(text, integer) is
    'What a client says of itself, in a form that can be shown: cut, on one line, nothing invisible; NULL for nothing.';

-- PL/pgSQL keeps the plan, which costs more than all the rest of it; a function in SQL is
-- planned by each login anew.
create function tenancy_private.tenants_of(person uuid)
    returns json
    language plpgsql stable
as $$
begin
    return (
        select json_agg(
            json_build_object('id', t.id, 'slug', t.slug, 'name', t.name, 'role', m.role, 'status', t.status)
            order by m.created_at, t.id)
        from tenancy.memberships as m
        join tenancy.tenants as t on t.id = m.tenant_id
        where m.user_id = tenants_of.person
    );
end
$$;
comment on function tenancy_private.tenants_of(uuid) is 'All the tenants of a person, oldest membership first.';

create function tenancy_private.verify_access(
    token text,
    out user_id uuid,
    out tenant_id uuid,
    out session_id uuid
)
    language plpgsql volatile
as $$
declare
    said constant json := tenancy_private.verify_token(verify_access.token);
begin
    if said is null or said ->> 'purpose' is not null then
        raise exception 'this is no access token'
            using errcode = 'TN010', hint = 'Log in again for a new one.';
    end if;
    user_id := said ->> 'userId';
    tenant_id := said ->> 'tenantId';
    session_id := said ->> 'sessionId';
end
$$;
comment on function tenancy_private.verify_access(text) is
    'Whose access token this is, of which tenant and session; the session is NULL for a token of another service. Tenant and membership are not looked at: a person may log out of a suspended tenant. TN010 to TN015, TN021.';

create function tenancy_private.require_session(
    token text,
    out user_id uuid,
    out tenant_id uuid,
    out session_id uuid,
    out expires_at timestamptz
)
    language plpgsql volatile
as $$
begin
    select v.user_id, v.tenant_id, v.session_id, s.expires_at
    into user_id, tenant_id, session_id, expires_at
    from tenancy_private.verify_access(require_session.token) as v
    left join tenancy.sessions as s
        on s.tenant_id = v.tenant_id and s.id = v.session_id and s.user_id = v.user_id
        and s.ended_at is null and s.expires_at > clock_timestamp();
    if session_id is null then
        raise exception 'the token belongs to no session'
            using errcode = 'TN010', hint = 'Log in here for one that does.';
    end if;
    if expires_at is null then
        raise exception 'the session has ended'
            using errcode = 'TN015', hint = 'Log in again.';
    end if;
end
$$;
comment on function tenancy_private.require_session(text) is
    'As verify_access(), for a token of a session that lives. TN015 ended; TN010 a token without one.';
