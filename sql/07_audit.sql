/*
 * The audit log: who did what across tenants, with which arguments, when.
 *
 * Written by the functions that reports and administration go through, and by
 * nobody else; read by tenancy_admin. Nothing updates or deletes a row.
 */

create table tenancy.audit_log (
    id uuid primary key default tenancy.uuid_v7(),
    at timestamptz not null default clock_timestamp(),
    login text not null default session_user,
    role text,
    user_id uuid,
    action text not null,
    arguments jsonb not null default '{}'
);
select pg_catalog.pg_extension_config_dump('tenancy.audit_log', '');
comment on table tenancy.audit_log is 'Who did what across tenants. tenancy_admin reads it.';
comment on column tenancy.audit_log.login is 'The role that the connection logged in as.';
comment on column tenancy.audit_log.role is 'The role it had changed to by SET ROLE; NULL if none.';
comment on column tenancy.audit_log.user_id is 'The person in whose context it was called; NULL outside a context.';
comment on column tenancy.audit_log.action is 'The function that was called, without its schema.';

alter table tenancy.audit_log enable row level security, force row level security;

create policy select_all on tenancy.audit_log for select to tenancy_admin
    using (true);

create function tenancy_private.audit(action text, arguments jsonb default '{}')
    returns void
    language sql
begin atomic
    insert into tenancy.audit_log (role, user_id, action, arguments)
    values (
        nullif(pg_catalog.current_setting('role'), 'none'),
        tenancy_private.context_user_id(),
        audit.action,
        audit.arguments
    );
end;
comment on function tenancy_private.audit(text, jsonb) is
    'Writes one row of the audit log in this transaction: for a deed that a rollback undoes.';

create function tenancy_private.commit_audit(entry text)
    returns void
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_commit_audit';
comment on function tenancy_private.commit_audit(text) is
    'Writes an audit row, given as JSON, in a background worker, and returns when that has committed. 53400 no worker is free, 58000 it could not be written.';

create function tenancy_private.audit_now(action text, arguments jsonb default '{}')
    returns void
    language sql
begin atomic
    select tenancy_private.commit_audit(
        pg_catalog.jsonb_build_object(
            'login', session_user,
            'role', nullif(pg_catalog.current_setting('role'), 'none'),
            'user_id', tenancy_private.context_user_id(),
            'action', audit_now.action,
            'arguments', audit_now.arguments
        )::text
    );
end;
comment on function tenancy_private.audit_now(text, jsonb) is
    'As audit(), and the row stays when the caller rolls back: for a look, which a rollback does not undo. 53400 no worker is free, 58000 it could not be written.';
