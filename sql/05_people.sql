/*
 * Users are persons; memberships tie a person to a tenant, with one role.
 *
 * A person may belong to many tenants. A membership is the only thing that
 * makes a person visible to a tenant, and a tenant to a person.
 */

create table tenancy.users (
    id uuid primary key default tenancy.uuid_v7(),
    email text not null,
    password_hash text,
    email_verified_at timestamptz,
    tokens_valid_from timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- Not the whole of RFC 5321: one @, no blanks or control characters, a length that mail can carry.
    constraint users_email_shape check (
        email ~ '^[^@[:space:][:cntrl:]]{1,64}@[^@[:space:][:cntrl:]]{1,189}$'
    ),
    constraint users_password_hash_argon2id check (
        length(password_hash) <= 512
        and password_hash ~ '^\$argon2id\$v=19\$m=[0-9]+,t=[0-9]+,p=[0-9]+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$'
    )
);
select pg_catalog.pg_extension_config_dump('tenancy.users', '');
comment on table tenancy.users is 'Persons, across tenants. A tenant sees those who are its members.';
comment on column tenancy.users.email is 'As the person wrote it; unique, whatever the case.';
comment on column tenancy.users.password_hash is 'argon2id as a PHC string; NULL for a person who has no password. Readable by nobody but find_credentials().';
comment on column tenancy.users.email_verified_at is 'When the person has shown to read that address'' mail, by a reset, whose token only the service is told; NULL: never.';
comment on column tenancy.users.tokens_valid_from is 'Tokens without a session, and capsules, from before that moment are refused; NULL: none are.';

create unique index users_email_key on tenancy.users (lower(email));

create trigger keep_times before update on tenancy.users
    for each row execute function tenancy_private.keep_times();

create table tenancy.memberships (
    tenant_id uuid not null default tenancy.current_tenant_id() references tenancy.tenants (id),
    user_id uuid not null references tenancy.users (id),
    role text not null default 'member',
    created_at timestamptz not null default now(),
    primary key (tenant_id, user_id),
    constraint memberships_role check (role in ('owner', 'admin', 'member', 'viewer'))
);
select pg_catalog.pg_extension_config_dump('tenancy.memberships', '');
comment on table tenancy.memberships is 'Who belongs to which tenant, with one role: owner, admin, member, viewer.';

-- For the login, which knows the person and asks for the tenants.
create index memberships_user_id on tenancy.memberships (user_id);

alter table tenancy.memberships enable row level security, force row level security;

create policy tenant_boundary on tenancy.memberships as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());
create policy select_own on tenancy.memberships for select to tenancy_app
    using (true);

alter table tenancy.users enable row level security, force row level security;

-- An array and not EXISTS: the list of members is read once and its ids go
-- through the primary key, where EXISTS would look at every person there is.
create policy tenant_boundary on tenancy.users as restrictive for all to public
    using (id = any (array(
        select m.user_id from tenancy.memberships as m
        where m.tenant_id = tenancy.current_tenant_id()
    )));
create policy select_members on tenancy.users for select to tenancy_app
    using (true);
