/*
 * Entering the tenant that is named, and no other.
 *
 * A service that serves each tenant at an address of its own, or takes the tenant
 * from a header, must not answer for another one than the address says. Where the
 * DBA has switched pg_tenancy.select_tenant on, a person may also choose between
 * the tenants that they are a member of, with one token: see
 * pg_tenancy/src/entry/jwt/mod.rs.
 */

-- No definer, as enter(token). Not STRICT: a tenant that is NULL is not asked for.
create function tenancy.enter(token text, tenant text)
    returns uuid
    language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_enter_named';
comment on function tenancy.enter(text, text) is
    'As enter(token), into the tenant of that id or slug, or not at all; NULL names none. Where pg_tenancy.select_tenant is on, a person''s token may name any tenant that the person is a member of now. TN026 the proof doesn''t lead there, or there is no such tenant; TN027 no name of a tenant; and what enter(token) has.';

-- A definer: it reads keys, tenants and memberships, which no caller may.
create function tenancy_private.enter_as_owner(token text, tenant text)
    returns uuid
    language c strict volatile parallel unsafe
    security definer set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tenancy_enter_named_as_owner';
comment on function tenancy_private.enter_as_owner(text, text) is
    'What enter(token, tenant) calls where SQL has to be asked, as enter_as_owner(token); also where the tenant is not the token''s own.';
