/*
 * Projects: what a tenant's tasks are grouped by.
 *
 * Also the pattern for a table of a tenant's own data: the tenant leads every
 * key, references are composite, the boundary is restrictive.
 */

create table tenancy.projects (
    tenant_id uuid not null default tenancy.current_tenant_id() references tenancy.tenants (id),
    id uuid not null default tenancy.uuid_v7(),
    owner_id uuid,
    title text not null,
    description text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    -- The column list keeps the tenant: a plain SET NULL would clear it too.
    constraint projects_owner foreign key (tenant_id, owner_id)
        references tenancy.memberships (tenant_id, user_id) on delete set null (owner_id),
    constraint projects_title_length check (char_length(title) between 1 and 255)
);
select pg_catalog.pg_extension_config_dump('tenancy.projects', '');
comment on table tenancy.projects is 'A tenant''s projects.';
comment on column tenancy.projects.owner_id is 'The member who owns it; NULL when that membership has ended.';
-- The row functions tell these to the person whose value was refused, behind the field's name.
comment on constraint projects_title_length on tenancy.projects is 'must be 1 to 255 characters long';
comment on constraint projects_owner on tenancy.projects is 'must be a member of this tenant';

create index projects_owner on tenancy.projects (tenant_id, owner_id);

create trigger keep_times before update on tenancy.projects
    for each row execute function tenancy_private.keep_times();

alter table tenancy.projects enable row level security, force row level security;

create policy tenant_boundary on tenancy.projects as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());
create policy all_in_tenant on tenancy.projects for all to tenancy_app
    using (true)
    with check (true);
