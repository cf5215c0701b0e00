/*
 * Who owns and who may what, all in one place.
 *
 * Everything belongs to tenancy_owner, so that a hole in a definer function is
 * no hole into the server. What is not granted here, nobody may; a new
 * function has to be added here and to the expected list in
 * pg_tenancy/src/tests/grants.txt.
 */

do $$
declare
    thing record;
begin
    for thing in
        select pg_catalog.format('alter table %s owner to tenancy_owner', c.oid::regclass) as statement
        from pg_catalog.pg_class as c
        where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
          and c.relkind in ('r', 'p', 'v')
        union all
        select pg_catalog.format('alter type %s owner to tenancy_owner', t.oid::regtype)
        from pg_catalog.pg_type as t
        join pg_catalog.pg_class as c on c.oid = t.typrelid and c.relkind = 'c'
        where t.typnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
        union all
        select pg_catalog.format('alter routine %s owner to tenancy_owner', p.oid::regprocedure)
        from pg_catalog.pg_proc as p
        where p.pronamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
          -- An event trigger's function belongs to a superuser, like the trigger.
          and p.prorettype <> 'event_trigger'::regtype
    loop
        execute thing.statement;
    end loop;
end
$$;
alter schema tenancy owner to tenancy_owner;
alter schema tenancy_private owner to tenancy_owner;

-- From PUBLIC, and from whoever got something by ALTER DEFAULT PRIVILEGES before
-- this extension was there: a login with EXECUTE on all functions would be a gateway.
revoke all on schema tenancy, tenancy_private from public;
revoke all on all tables in schema tenancy, tenancy_private from public;
revoke all on all routines in schema tenancy, tenancy_private from public;
revoke all on type tenancy.registration, tenancy.credentials,
    tenancy_private.finding, tenancy_private.walled, tenancy_private.page from public;
do $$
declare
    given record;
begin
    for given in
        select pg_catalog.format('schema %I', n.nspname) as thing, a.grantee
        from pg_catalog.pg_namespace as n, pg_catalog.aclexplode(n.nspacl) as a
        where n.nspname in ('tenancy', 'tenancy_private') and a.grantee <> n.nspowner
        union
        select pg_catalog.format('table %s', c.oid::regclass), a.grantee
        from pg_catalog.pg_class as c, pg_catalog.aclexplode(c.relacl) as a
        where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
          and c.relkind in ('r', 'p', 'v') and a.grantee <> c.relowner
        union
        select pg_catalog.format('routine %s', p.oid::regprocedure), a.grantee
        from pg_catalog.pg_proc as p, pg_catalog.aclexplode(p.proacl) as a
        where p.pronamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
          and a.grantee <> p.proowner
        union
        select pg_catalog.format('type %s', t.oid::regtype), a.grantee
        from pg_catalog.pg_type as t, pg_catalog.aclexplode(t.typacl) as a
        where t.typnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
          and a.grantee <> t.typowner
    loop
        if given.grantee <> 0 then
            execute pg_catalog.format('revoke all on %s from %s cascade', given.thing, given.grantee::regrole);
        end if;
    end loop;
end
$$;

grant usage on schema tenancy
    to tenancy_app, tenancy_authenticator, tenancy_reporter, tenancy_admin;

-- The application. No TRUNCATE, REFERENCES or TRIGGER: each is a way past RLS.
-- Ids and times are the database's, so they are not among the columns.
grant select (id, slug, name, status, settings, created_at, updated_at) on tenancy.tenants to tenancy_app;
grant select (id, email, created_at, updated_at) on tenancy.users to tenancy_app;
grant select on tenancy.memberships to tenancy_app;
grant select, delete,
    insert (tenant_id, owner_id, title, description),
    update (owner_id, title, description)
    on tenancy.projects to tenancy_app;
grant select, delete,
    insert (tenant_id, project_id, assignee_id, title, description, status),
    update (project_id, assignee_id, title, description, status)
    on tenancy.tasks to tenancy_app;
grant execute on function
    tenancy.current_tenant_id(),
    tenancy.current_user_id(),
    tenancy.current_member_role(),
    tenancy.enter(text),
    tenancy.uuid_v7(),
    tenancy.list_rows(regclass, json),
    tenancy.get_row(regclass, text),
    tenancy.insert_row(regclass, json),
    tenancy.update_row(regclass, text, json),
    tenancy.delete_row(regclass, text),
    tenancy.me(),
    tenancy.platform_report_tenants(),
    tenancy.assert_service(text),
    tenancy.version()
    to tenancy_app;

-- People and keys of the tenant that was entered.
grant execute on function
    tenancy.list_members(json),
    tenancy.set_member_role(uuid, text),
    tenancy.remove_member(uuid),
    tenancy.invite_member(text, text, interval),
    tenancy.list_invitations(json),
    tenancy.revoke_invitation(uuid),
    tenancy.create_api_key(text, text, timestamptz),
    tenancy.list_api_keys(json),
    tenancy.revoke_api_key(uuid)
    to tenancy_app;
-- By a proof that they take as an argument.
grant execute on function tenancy.leave_tenant(text) to tenancy_app, tenancy_authenticator;
grant execute on function
    tenancy.peek_invitation(text),
    tenancy.accept_invitation(text, text, text)
    to tenancy_authenticator;
grant execute on function
    tenancy.seal(interval, text),
    tenancy.enter_sealed(text, text),
    tenancy.current_purpose(),
    tenancy.list_support_access(json),
    tenancy.end_support_access(uuid)
    to tenancy_app;
grant select (tenant_id, id, reason, ticket, read_only, login, created_at, expires_at, ended_at, ended_by)
    on tenancy.support_access to tenancy_app;
grant execute on function tenancy_private.like_pattern(text) to tenancy_app;
grant execute on function tenancy.enter(text, text) to tenancy_app;
grant execute on function tenancy.record_denial(text, text) to tenancy_app;

-- Functions and idempotency.
grant execute on function
    tenancy.call_function(text, json),
    tenancy.insert_resource_once(text, json, text),
    tenancy.call_function_once(text, json, text),
    tenancy.restore_resource(text, text[])
    to tenancy_app;
grant execute on function
    tenancy.purge_idempotency_keys(integer),
    tenancy.purge_deleted(integer),
    tenancy_private.purge_tables(integer),
    tenancy_private.make_constraints_immediate()
    to tenancy_admin;

-- Resources. What is private here is called by the bodies of those that are not, as the caller.
grant execute on function
    tenancy.list_resource(text, json),
    tenancy.get_resource(text, text[], json),
    tenancy.insert_resource(text, json),
    tenancy.update_resource(text, text[], json, text[]),
    tenancy.delete_resource(text, text[], text[]),
    tenancy.resources(text),
    tenancy.newer_resources(text)
    to tenancy_app;
grant execute on function
    tenancy_private.field_name(text),
    tenancy_private.is_ordered(oid),
    tenancy_private.is_soft_deleted(oid),
    tenancy_private.served_resources(text),
    tenancy_private.to_one_references(oid),
    tenancy_private.base_type(oid),
    tenancy_private.base_modifier(oid),
    tenancy_private.choices_of(text),
    tenancy_private.described_fields(),
    tenancy_private.described_resources(),
    tenancy_private.described_functions(name)
    to tenancy_app;

grant execute on function tenancy.set_tenant_context(uuid, uuid) to tenancy_gateway;
grant execute on function
    tenancy.active_tenants(uuid, integer),
    tenancy.note_run(text),
    tenancy.note_failure(uuid, uuid, text),
    tenancy.note_end(uuid, bigint, bigint),
    tenancy.refuse_residue()
    to tenancy_gateway;
grant execute on procedure tenancy.for_each_tenant(text, bigint, bigint) to tenancy_gateway;

grant execute on function
    tenancy.register_tenant(text, text, text, text),
    tenancy.find_credentials(text),
    tenancy.version()
    to tenancy_authenticator;

-- Sessions and passwords: each demands a word of the service, a token or a secret.
grant execute on function
    tenancy.start_session(text, text, text, text, interval),
    tenancy.switch_tenant(text, text, text, text, interval),
    tenancy.refresh_session(text),
    tenancy.end_session(text),
    tenancy.end_all_sessions(text),
    tenancy.list_sessions(text),
    tenancy.end_one_session(text, uuid),
    tenancy.find_password_hash(text),
    tenancy.change_password(text, text),
    tenancy.start_password_reset(text, text, interval),
    tenancy.finish_password_reset(text, text)
    to tenancy_authenticator;
grant execute on function tenancy.revoke_tenant_sessions() to tenancy_app;
grant execute on function
    tenancy.revoke_tenant(uuid, text),
    tenancy.purge_sessions(interval)
    to tenancy_admin;

grant execute on function
    tenancy.report_tenants(),
    tenancy.report_daily(date, date),
    tenancy.version()
    to tenancy_reporter;

grant execute on function
    tenancy.suspend_tenant(uuid, text),
    tenancy.resume_tenant(uuid),
    tenancy.grant_platform_administrator(text),
    tenancy.revoke_platform_administrator(text),
    tenancy.lint()
    to tenancy_admin;
grant select on tenancy.audit_log to tenancy_admin;
grant execute on function
    tenancy.rotate_seal_key(interval),
    tenancy.impersonate(uuid, text, text, integer, boolean),
    tenancy.end_support_access(uuid),
    tenancy.report_support_access(uuid)
    to tenancy_admin;

-- Keys and issuers. What a service may call tells no key, or takes its word.
grant execute on function
    tenancy.add_signing_key(text, text, text, text, text, text),
    tenancy.activate_signing_key(text),
    tenancy.retire_signing_key(text),
    tenancy.add_issuer(text, text, text, text, text[], text, text, uuid),
    tenancy.set_issuer_jwks(text, text),
    tenancy.remove_issuer(text),
    tenancy.link_identity(text, text, text),
    tenancy.unlink_identity(text, text),
    tenancy.link_tenant(text, text, uuid),
    tenancy.unlink_tenant(text, text)
    to tenancy_admin;
grant select on tenancy.issuers to tenancy_admin;
grant execute on function tenancy.signing_key_states(text[])
    to tenancy_app, tenancy_authenticator, tenancy_admin;
grant execute on function
    tenancy.issuers_to_fetch(),
    tenancy.store_issuer_jwks(text, text, text)
    to tenancy_authenticator;

-- The last statement: lint() compares with what stands here now.
select tenancy_private.lint_remember();
