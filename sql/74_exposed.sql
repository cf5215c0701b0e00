/*
 * What the service serves: exposed resources, and tables shared by all tenants.
 *
 * A resource is a name for a relation, and may show less of it than the caller
 * is granted; it never shows more. Both tables say what the DBA has chosen. Whether
 * a relation is still fit to be served is asked of the catalog each time it is
 * described: one that was released since is served no more.
 */

create table tenancy.exposed_resources (
    resource text primary key,
    relation regclass not null,
    columns name[],
    insertable name[],
    updatable name[],
    filterable name[],
    sortable name[],
    key name[],
    is_hidden boolean not null default false,
    constraint exposed_resources_name check (resource ~ '^[a-z][a-z0-9_-]{0,62}$')
);
-- Without those whose relation is gone: a dump would have a number for it, which
-- another relation may bear where it is restored.
select pg_catalog.pg_extension_config_dump('tenancy.exposed_resources',
    'where exists (select from pg_catalog.pg_class as c where c.oid = relation)');
comment on table tenancy.exposed_resources is
    'The relations that are served, by the names they have in a URL. Written by expose_table() and hide_table().';
comment on column tenancy.exposed_resources.columns is 'The only columns there are; NULL: all. As in every list here, grants are the rule beyond it.';
comment on column tenancy.exposed_resources.insertable is 'The columns that a new row may set; NULL: all of a table, none of a view.';
comment on column tenancy.exposed_resources.updatable is 'The columns that can be changed; NULL: all of a table, none of a view.';
comment on column tenancy.exposed_resources.filterable is 'The columns that lists can be filtered by; NULL: those that an index holds.';
comment on column tenancy.exposed_resources.sortable is 'The columns that lists can be sorted by; NULL: those that an index holds.';
comment on column tenancy.exposed_resources.key is 'The columns that tell the rows of a view apart within a tenant; NULL: the primary key of a table.';
comment on column tenancy.exposed_resources.is_hidden is 'Not served: how a resource that comes with the extension stays hidden in a restored database.';

alter table tenancy.exposed_resources enable row level security, force row level security;

create table tenancy.shared_tables (
    relation regclass primary key
);
select pg_catalog.pg_extension_config_dump('tenancy.shared_tables',
    'where exists (select from pg_catalog.pg_class as c where c.oid = relation)');
comment on table tenancy.shared_tables is
    'Reference data: tables without tenants that every tenant may read and none may change. Written by share_table() and unshare_table().';

alter table tenancy.shared_tables enable row level security, force row level security;

-- A restore meets the resources that the extension comes with.
create function tenancy_private.replace_resource()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from tenancy.exposed_resources as r where r.resource = new.resource;
    return new;
end
$$;
comment on function tenancy_private.replace_resource() is 'Trigger: a new row takes the place of the one of that name, also where COPY brings it.';

create trigger replace_resource before insert on tenancy.exposed_resources
    for each row execute function tenancy_private.replace_resource();

create function tenancy_private.forget_resources(registry regclass)
    returns void
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_forget_resources';
comment on function tenancy_private.forget_resources(regclass) is
    'Has every backend, from the commit on, look again at what it knows of resources.';

create function tenancy_private.tell_of_resources()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.forget_resources(tg_relid);
    perform pg_notify('pg_tenancy_resources', '');
    return null;
end
$$;
comment on function tenancy_private.tell_of_resources() is
    'Trigger: tells backends, and services by NOTIFY pg_tenancy_resources, that other resources are served.';

create trigger tell_of_resources after insert or update or delete or truncate on tenancy.exposed_resources
    for each statement execute function tenancy_private.tell_of_resources();
create trigger tell_of_resources after insert or update or delete or truncate on tenancy.shared_tables
    for each statement execute function tenancy_private.tell_of_resources();

create function tenancy_private.field_name(column_name text)
    returns text
    language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'tenancy_field_name';
comment on function tenancy_private.field_name(text) is 'The field of JSON that a column is: created_at as createdAt.';

create function tenancy_private.is_ordered(type oid)
    returns boolean
    language c stable strict parallel safe
as 'MODULE_PATHNAME', 'tenancy_is_ordered';
comment on function tenancy_private.is_ordered(oid) is 'Whether values of a type have an order.';

-- What the extension comes with.
insert into tenancy.exposed_resources (resource, relation)
values ('projects', 'tenancy.projects'), ('tasks', 'tenancy.tasks');
