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
