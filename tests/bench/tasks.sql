/*
 * For the service and for the floor: the extension's own tasks, and the same without RLS.
 */
create table bench.tasks (like tenancy.tasks including all,
    foreign key (tenant_id) references tenancy.tenants (id),
    foreign key (tenant_id, project_id) references tenancy.projects (tenant_id, id),
    foreign key (tenant_id, assignee_id) references tenancy.memberships (tenant_id, user_id));
grant select, insert on bench.tasks to tenancy_app;

insert into tenancy.tasks (tenant_id, title)
select w.tenant_id, 'Task ' || r || ' of ' || w.n from generate_series(1, 100) as r, bench.who as w;
insert into bench.tasks select * from tenancy.tasks;

-- Who logs in: with the password password123.
update tenancy.users set password_hash = '{hash}';
