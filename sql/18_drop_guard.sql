/*
 * DROP EXTENSION without CASCADE refuses while there are tenants, and with CASCADE
 * while there are isolated tables beside the extension's own: their boundaries depend
 * on it and would go, while grants and the policy that lets the application in stay.
 *
 * PostgreSQL would drop the extension's own tables with all rows in them and
 * without a question. So does DROP OWNED BY the role that made the extension,
 * which is what a DBA does when a colleague leaves.
 */

create function tenancy_private.guard_drop()
    returns event_trigger
    language c
as 'MODULE_PATHNAME', 'tenancy_guard_drop';
comment on function tenancy_private.guard_drop() is
    'Event trigger: TN901 for DROP EXTENSION pg_tenancy without CASCADE while there are tenants, with CASCADE while there are isolated tables, and for DROP OWNED BY its owner while there are either.';

create event trigger pg_tenancy_guard_drop on ddl_command_start
    when tag in ('DROP EXTENSION', 'DROP OWNED')
    execute function tenancy_private.guard_drop();
comment on event trigger pg_tenancy_guard_drop is 'Keeps the tenants, and the boundaries of isolated tables, from going with the extension by accident.';
