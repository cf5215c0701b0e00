/*
 * Tenants: the customers that are kept apart.
 *
 * A tenant sees its own row and no other. Rows come from register_tenant();
 * their status changes by suspend_tenant() and resume_tenant().
 */

create table tenancy.tenants (
    id uuid primary key default tenancy.uuid_v7(),
    slug text not null,
    name text not null,
    status text not null default 'active',
    settings jsonb not null default '{}',
    tokens_valid_from timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint tenants_slug_shape check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    constraint tenants_name_shape check (
        char_length(name) between 1 and 255 and name = btrim(name) and name !~ '[[:cntrl:]]'
    ),
    constraint tenants_status check (status in ('active', 'suspended')),
    constraint tenants_settings_object check (jsonb_typeof(settings) = 'object')
);
select pg_catalog.pg_extension_config_dump('tenancy.tenants', '');
comment on table tenancy.tenants is 'The customers. A tenant sees itself alone.';
comment on column tenancy.tenants.slug is 'The name in addresses: a to z, 0 to 9 and inner hyphens, at most 63; unique.';
comment on column tenancy.tenants.name is 'The name that people read, 1 to 255 characters; unique, whatever the case.';
comment on column tenancy.tenants.status is 'active, or suspended: nobody can enter it.';
comment on column tenancy.tenants.tokens_valid_from is 'Tokens without a session, and capsules, from before that moment are refused; NULL: none are.';

-- In this order: the older index is looked at first, so that a name that is taken
-- is reported as such, and not as the slug that was made from it.
create unique index tenants_name_key on tenancy.tenants (lower(name));
create unique index tenants_slug_key on tenancy.tenants (slug);

create trigger keep_times before update on tenancy.tenants
    for each row execute function tenancy_private.keep_times();

alter table tenancy.tenants enable row level security, force row level security;

create policy tenant_boundary on tenancy.tenants as restrictive for all to public
    using (id = tenancy.current_tenant_id())
    with check (id = tenancy.current_tenant_id());
create policy select_own on tenancy.tenants for select to tenancy_app
    using (true);
