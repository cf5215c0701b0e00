/*
 * New tables can't be forgotten.
 *
 * The setting pg_tenancy.new_tables says what becomes of a table that somebody
 * makes in one of the schemas of pg_tenancy.new_tables_schemas. The list is
 * empty until a DBA fills it: the extension doesn't know which schemas hold
 * tenants' data.
 */

create function tenancy_private.on_new_table()
    returns event_trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    -- Where nobody has set them, and the library isn't loaded, they are NULL.
    mode constant text := coalesce(nullif(current_setting('pg_tenancy.new_tables', true), ''), 'warn');
    schemas constant text[] := regexp_split_to_array(
        trim(coalesce(current_setting('pg_tenancy.new_tables_schemas', true), '')), '\s*,\s*');
    made record;
begin
    if mode = 'ignore' then
        return;
    end if;

    for made in
        select distinct c.oid::regclass as relation
        from pg_event_trigger_ddl_commands() as d
        join pg_class as c on c.oid = d.objid and d.classid = 'pg_class'::regclass
        join pg_namespace as n on n.oid = c.relnamespace
        where d.object_type in ('table', 'foreign table')
          and not d.in_extension
          and c.relpersistence <> 't'
          and n.nspname::text = any (schemas)
          and not exists (
              select from pg_policy as p
              where p.polrelid = c.oid and p.polname = 'tenant_boundary')
    loop
        if mode = 'isolate' and not (select rolsuper from pg_roles where rolname = current_user) then
            -- Not as a definer: what somebody has put into their table must not run
            -- with a superuser's rights.
            raise exception 'the new table % can be isolated by a superuser alone', made.relation
                using errcode = 'TN844', hint = 'Have a superuser make it.';
        elsif mode = 'isolate' then
            perform tenancy.isolate_table(made.relation);
        elsif mode = 'refuse' then
            raise exception 'the new table % is not isolated', made.relation
                using errcode = 'TN844',
                      hint = format('Make it and call tenancy.isolate_table(%L) with pg_tenancy.new_tables set to ignore, as a superuser.', made.relation);
        else
            raise warning 'the new table % is not isolated: every tenant''s rows in it are visible to whoever may read it', made.relation
                using errcode = '01000',
                      hint = format('select tenancy.isolate_table(%L);', made.relation);
        end if;
    end loop;
end
$$;
comment on function tenancy_private.on_new_table() is
    'Event trigger: does with a new table what pg_tenancy.new_tables says. TN844 where that is refuse.';

create event trigger pg_tenancy_new_table on ddl_command_end
    when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE FOREIGN TABLE', 'CREATE SCHEMA', 'IMPORT FOREIGN SCHEMA')
    execute function tenancy_private.on_new_table();
comment on event trigger pg_tenancy_new_table is 'Does with a new table what pg_tenancy.new_tables says.';
