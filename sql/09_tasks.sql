/*
 * Tasks: what a tenant's people have to do.
 */

create table tenancy.tasks (
    tenant_id uuid not null default tenancy.current_tenant_id() references tenancy.tenants (id),
    id uuid not null default tenancy.uuid_v7(),
    project_id uuid,
    assignee_id uuid,
    title text not null,
    description text,
    status text not null default 'todo',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    constraint tasks_project foreign key (tenant_id, project_id)
        references tenancy.projects (tenant_id, id) on delete set null (project_id),
    constraint tasks_assignee foreign key (tenant_id, assignee_id)
        references tenancy.memberships (tenant_id, user_id) on delete set null (assignee_id),
    constraint tasks_title_length check (char_length(title) between 1 and 255),
    constraint tasks_status check (status in ('todo', 'in_progress', 'done'))
);
select pg_catalog.pg_extension_config_dump('tenancy.tasks', '');
comment on table tenancy.tasks is 'A tenant''s tasks.';
comment on column tenancy.tasks.project_id is 'The project of the same tenant that it belongs to, if any; NULL when that is deleted.';
comment on column tenancy.tasks.assignee_id is 'The member who does it, if any; NULL when that membership has ended.';
comment on column tenancy.tasks.status is 'todo, in_progress or done.';
comment on constraint tasks_title_length on tenancy.tasks is 'must be 1 to 255 characters long';
comment on constraint tasks_status on tenancy.tasks is 'must be todo, in_progress or done';
comment on constraint tasks_project on tenancy.tasks is 'must be a project of this tenant';
comment on constraint tasks_assignee on tenancy.tasks is 'must be a member of this tenant';

create index tasks_project_status on tenancy.tasks (tenant_id, project_id, status);
-- For the reference: without it, ending a membership reads all the tenant's tasks.
create index tasks_assignee on tenancy.tasks (tenant_id, assignee_id);

create trigger keep_times before update on tenancy.tasks
    for each row execute function tenancy_private.keep_times();

alter table tenancy.tasks enable row level security, force row level security;

create policy tenant_boundary on tenancy.tasks as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());
create policy all_in_tenant on tenancy.tasks for all to tenancy_app
    using (true)
    with check (true);
