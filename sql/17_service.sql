/*
 * What a service asks about itself: who is the caller, which version is this,
 * and is the database role it was given a safe one.
 */

-- In PL/pgSQL, which keeps its plan: one in SQL would be planned by each request. With the
-- caller's search_path, so every name says its schema.
create function tenancy.me()
    returns json
    language plpgsql stable
as $$
begin
    return (
        select pg_catalog.json_build_object(
            'user', (
                select pg_catalog.json_build_object('id', u.id, 'email', u.email)
                from tenancy.users as u
                where u.id operator(pg_catalog.=) tenancy.current_user_id()
            ),
            'tenant', pg_catalog.json_build_object('id', t.id, 'name', t.name, 'slug', t.slug, 'status', t.status),
            'role', tenancy.current_member_role())
        from tenancy.tenants as t
        where t.id operator(pg_catalog.=) tenancy.current_tenant_id()
    );
end
$$;
comment on function tenancy.me() is
    'The person and the tenant of this context: {"user":{"id","email"},"tenant":{"id","name","slug","status"},"role"}; user and role are null in a context that names nobody.';

create function tenancy.version()
    returns text
    language sql stable
begin atomic
    select e.extversion from pg_catalog.pg_extension as e where e.extname = 'pg_tenancy';
end;
comment on function tenancy.version() is 'The version of the extension that is installed in this database.';

create function tenancy_private.danger_of(role oid)
    returns text
    language sql stable
begin atomic
    select case
        when r.rolsuper then 'is a superuser'
        when r.rolbypassrls then 'has BYPASSRLS'
        when r.rolcreaterole then 'has CREATEROLE, and so can become other roles'
        when r.rolreplication then 'has REPLICATION, and so can copy the whole database'
        when r.rolname = 'tenancy_owner' then 'owns the extension''s tables'
        when r.rolname = 'tenancy_gateway' then 'is a tenancy_gateway, which enters any tenant without a token'
        when r.rolname in ('tenancy_reporter', 'tenancy_admin', 'tenancy_backup')
            then pg_catalog.format('is a %s, which looks across tenants', r.rolname)
        when r.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_execute_server_program',
                           'pg_read_server_files', 'pg_write_server_files')
            then pg_catalog.format('is a %s', r.rolname)
        else (
            select pg_catalog.format('owns the isolated table %s', p.polrelid::regclass)
            from pg_catalog.pg_policy as p
            join pg_catalog.pg_class as c on c.oid = p.polrelid
            where p.polname = 'tenant_boundary' and c.relowner = r.oid
            limit 1)
        end
    from pg_catalog.pg_roles as r
    where r.oid = danger_of.role;
end;
comment on function tenancy_private.danger_of(oid) is
    'Why a role must not serve requests; NULL for one that may.';

-- A definer: it looks at what the login could become, and calls verify_token().
create function tenancy.assert_service(token text)
    returns void
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    danger text;
begin
    select tenancy_private.danger_of(r.oid) || case when r.rolname = session_user then ''
        else format(', by way of the role %I', r.rolname) end
    into danger
    from pg_roles as r
    where (r.rolname = session_user or pg_has_role(session_user, r.oid, 'MEMBER'))
      and tenancy_private.danger_of(r.oid) is not null
    order by r.rolname = session_user desc, r.rolsuper desc, r.rolname like 'tenancy%' desc, r.rolname
    limit 1;

    if danger is not null then
        raise exception 'the role "%" must not serve requests: it %', session_user, danger
            using errcode = 'TN211',
                  hint = 'Connect as a login role that is a member of tenancy_app and tenancy_authenticator, and of nothing more.';
    end if;
    perform tenancy_private.verify_token(assert_service.token);
end
$$;
comment on function tenancy.assert_service(text) is
    'For a service, when it starts: an error when the login could read past the wall (TN211, with the reason), or when this database would refuse the tokens that it signs (TN010 to TN014).';
