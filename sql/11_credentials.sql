/*
 * Credentials: what a login needs, one exact address at a time.
 *
 * The authenticator can't read the tables, so it can't list people. It can ask
 * for an address that it already knows.
 */

create type tenancy.credentials as (
    user_id uuid,
    email text,
    password_hash text
);
comment on type tenancy.credentials is 'What find_credentials() tells of a person.';

-- A definer: password hashes are readable by nobody.
create function tenancy.find_credentials(email text)
    returns setof tenancy.credentials
    language sql stable strict rows 1
    security definer set search_path = pg_catalog, pg_temp
begin atomic
    select u.id, u.email, u.password_hash
    from tenancy.users as u
    where lower(u.email) = lower(btrim(find_credentials.email));
end;
comment on function tenancy.find_credentials(text) is
    'The person with exactly that email, whatever the case, or no row. Compare the password also when there is none, or the time tells who exists.';

-- A definer: it verifies a token, which takes the key, and reads memberships
-- across tenants, of one person. The token is the service's word that the
-- password was right: the database password alone must not tell who is where.
create function tenancy.start_session(token text, tenant text default null)
    returns table (tenant_id uuid, role text, tenants json)
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    person constant uuid := (tenancy_private.verify_token(start_session.token) ->> 'userId')::uuid;
    chosen record;
begin
    select t.id, t.status, m.role into chosen
    from tenancy.memberships as m
    join tenancy.tenants as t on t.id = m.tenant_id
    where m.user_id = person
      and (start_session.tenant is null
           or t.slug = start_session.tenant
           or t.id::text = lower(start_session.tenant))
    order by t.status = 'active' desc, m.created_at, t.id
    limit 1;

    if not found then
        raise exception 'not a member of that tenant'
            using errcode = 'TN002', hint = 'Name a tenant that you belong to, by its slug or id.';
    end if;
    if chosen.status = 'suspended' then
        raise exception 'the tenant is suspended'
            using errcode = 'TN004', hint = 'Ask the operator of this service.';
    end if;

    tenant_id := chosen.id;
    role := chosen.role;
    select pg_catalog.json_agg(
               pg_catalog.json_build_object(
                   'id', t.id, 'slug', t.slug, 'name', t.name, 'role', m.role, 'status', t.status)
               order by m.created_at, t.id)
    into tenants
    from tenancy.memberships as m
    join tenancy.tenants as t on t.id = m.tenant_id
    where m.user_id = person;
    return next;
end
$$;
comment on function tenancy.start_session(text, text) is
    'For a person whose password was right: the tenant that the token will name, the role there, and all the person''s tenants. The service says so with a token of its own, signed for that person (sub) and no tenant (the nil UUID), good for a minute. The tenant is chosen by slug or id, and else is the oldest active one. TN002 not a member of it, TN004 suspended, TN010 to TN014 as enter().';
