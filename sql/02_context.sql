/*
 * The tenant context: who this transaction is, once, and never by a setting
 * that SQL could forge.
 *
 * It is kept in the backend's memory, bound to the transaction's number and to the
 * savepoint in which it was entered. The setting pg_tenancy.context shows it; only
 * these functions can write that, and do where PostgreSQL's own machinery for settings
 * has to carry it, to parallel workers above all. Everything here is in Rust:
 * pg_tenancy/src/context.rs, context/kept.rs and entry/.
 */

-- Policies call it directly, and not as (select …). The planner then asks it, too, and
-- expects as many rows as this tenant has: a large one is read in parallel and a small one
-- by its index. What a subquery gives is known only later, so that every tenant is taken
-- for one of the average size (pg_tenancy/src/tests/plans_by_size.rs); one for a million
-- rows is then counted by one process, row by row from the index. A subquery is asked once
-- and not once for each row; but a call is a load from memory, and a full scan takes
-- nearly the same with either (make bench-db).
create function tenancy.current_tenant_id()
    returns uuid
    language c stable parallel safe
as 'MODULE_PATHNAME', 'tenancy_current_tenant_id';
comment on function tenancy.current_tenant_id() is
    'The tenant that this transaction has entered. Without one: an error (TN001), or NULL where pg_tenancy.missing_context is empty; NULL matches no row.';

create function tenancy.current_user_id()
    returns uuid
    language c stable parallel safe
as 'MODULE_PATHNAME', 'tenancy_current_user_id';
comment on function tenancy.current_user_id() is
    'The person who entered; NULL in a context that names nobody. Without a context as current_tenant_id().';

create function tenancy.current_member_role()
    returns text
    language c stable parallel safe
as 'MODULE_PATHNAME', 'tenancy_current_member_role';
comment on function tenancy.current_member_role() is
    'The role (owner, admin, member, viewer) of the person who entered, as it was at that moment; NULL in a context that names nobody. Without a context as current_tenant_id().';

-- No definer: with a token of ours it looks rows up by their keys, in C, where no
-- privilege is asked and no SQL runs, and lets out nothing but an id. For the rest it
-- calls the function below. A definer with a search path costs as much as the whole.
create function tenancy.enter(token text)
    returns uuid
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_enter';
comment on function tenancy.enter(text) is
    'Enters the tenant that a proof names, for the rest of this transaction, and returns its id. A proof is a signed token (of ours or of an issuer), an API key (pgt_), a capsule (pgc_) or support access (pgs_). It, the tenant and the membership are checked now, on every call. TN002 not a member, TN003 another context is set, TN004 suspended, TN010 malformed, TN011 unknown key or bad signature, TN012 expired, TN013 not yet valid, TN014 issuer or audience, TN015 the session has ended, TN018 API key, TN019 capsule, TN020 support access, TN021 nobody is that subject, TN204 a statement that writes, for who can only read.';

-- A definer: it reads keys, tenants and memberships, which no caller may.
create function tenancy_private.enter_as_owner(token text)
    returns uuid
    language c strict volatile parallel unsafe
    security definer set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tenancy_enter_as_owner';
comment on function tenancy_private.enter_as_owner(text) is
    'What enter(token) calls where SQL has to be asked: for the tokens of issuers, API keys, capsules, support access; the first time on a connection; where a DBA has changed the tables that it looks into.';

-- A definer: it reads tenants and memberships before there is a context.
create function tenancy.set_tenant_context(tenant_id uuid, user_id uuid default null)
    returns uuid
    language c volatile parallel unsafe
    security definer set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tenancy_set_tenant_context';
comment on function tenancy.set_tenant_context(uuid, uuid) is
    'Enters a tenant by its bare id, for the rest of this transaction, and returns the id. For tenancy_gateway: an application that the DBA trusts to name its tenant. A user must be a member. TN002 no such tenant or no member, TN003 another context is set, TN004 suspended.';

create function tenancy_private.context_user_id()
    returns uuid
    language c stable parallel safe
as 'MODULE_PATHNAME', 'tenancy_context_user_id';
comment on function tenancy_private.context_user_id() is
    'The person who entered, or NULL; never an error, whatever pg_tenancy.missing_context says.';

create function tenancy_private.context_proof()
    returns text
    language c stable parallel safe
as 'MODULE_PATHNAME', 'tenancy_context_proof';
comment on function tenancy_private.context_proof() is
    'What this transaction entered with: token, api_key, support, or word for a gateway''s. NULL without a context, also where a plain setting names a tenant.';

create function tenancy_private.context_proof_id()
    returns uuid
    language c stable parallel safe
as 'MODULE_PATHNAME', 'tenancy_context_proof_id';
comment on function tenancy_private.context_proof_id() is
    'The id of the API key or support access that this transaction entered with; else NULL.';
