/*
 * Roles: what an owner or admin may and others may not.
 *
 * What changes a tenant's people waits at its owners' rows and then looks at
 * roles as they are: two owners who leave at the same moment would leave none,
 * and an admin who is being removed could come back by his own invitation. What only
 * shuts somebody out (leaving, for all but owners, and the end of an API key) waits
 * for none of them.
 */

create function tenancy_private.require_context()
    returns void
    language plpgsql volatile
as $$
begin
    if tenancy_private.context_proof() is null then
        raise exception 'no tenant has been entered'
            using errcode = 'TN001', hint = 'Call tenancy.enter(token) first, in the same transaction.';
    end if;
end
$$;
comment on function tenancy_private.require_context() is
    'TN001 without a context, whatever pg_tenancy.missing_context says.';

create function tenancy_private.require_proof(variadic proofs text[])
    returns void
    language plpgsql volatile
as $$
begin
    perform tenancy_private.require_context();
    if tenancy_private.context_proof() <> all (proofs) then
        raise exception 'that is for the people of the tenant'
            using errcode = 'TN207', hint = 'An owner or admin of the tenant does it, with a token of their own.';
    end if;
end
$$;
comment on function tenancy_private.require_proof(text[]) is
    'TN207 unless the transaction entered with one of these: token, word, api_key, support. TN001 without a context.';

create function tenancy_private.require_role(variadic roles text[])
    returns void
    language plpgsql volatile
as $$
begin
    perform tenancy_private.require_context();
    perform tenancy_private.check_role(tenancy.current_member_role(), roles);
end
$$;
comment on function tenancy_private.require_role(text[]) is
    'TN201 (only owners may) or TN203 unless who entered has one of these roles, as they were at that moment. Good for a look; what changes people asks lock_people(). TN001 without a context.';

create function tenancy_private.check_role(role text, roles text[])
    returns void
    language plpgsql immutable
as $$
begin
    if check_role.role = any (roles) then
        return;
    end if;
    if roles = array['owner'] then
        raise exception 'only an owner of the tenant may do that'
            using errcode = 'TN201', hint = 'Ask an owner of the tenant.';
    end if;
    raise exception 'only owners and admins of the tenant may do that'
        using errcode = 'TN203', hint = 'Ask an owner or admin of the tenant.';
end
$$;
comment on function tenancy_private.check_role(text, text[]) is
    'TN201 or TN203 unless the role is one of these; NULL is none.';

create function tenancy_private.lock_owners(tenant uuid)
    returns void
    language plpgsql volatile
as $$
declare
    locked uuid[];
begin
    -- Not the tenant's row: who holds that could hold up its suspension. In REPEATABLE
    -- READ the transaction may see owners of long ago; PostgreSQL refuses to lock a row
    -- that has changed since (40001), and the caller tries again.
    loop
        locked := array(
            select m.user_id
            from tenancy.memberships as m
            where m.tenant_id = lock_owners.tenant and m.role = 'owner'
            order by m.user_id
            for no key update);
        -- While it waited, others may have become owners.
        exit when locked = array(
            select m.user_id
            from tenancy.memberships as m
            where m.tenant_id = lock_owners.tenant and m.role = 'owner'
            order by m.user_id);
    end loop;
end
$$;
comment on function tenancy_private.lock_owners(uuid) is
    'Waits until nobody else changes the people of that tenant, and keeps others waiting until the transaction ends.';

create function tenancy_private.require_good_context()
    returns void
    language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_require_good_context';
comment on function tenancy_private.require_good_context() is
    'Whether who entered could enter now, as it is committed. TN001, TN004 suspended, TN015 the session has ended or the tokens were revoked, TN018 the API key is no longer good.';

create function tenancy_private.lock_people()
    returns text
    language plpgsql volatile
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
    role_now text;
begin
    perform tenancy_private.require_proof('token', 'word', 'api_key');
    -- Who may not manage people should not hold up those who may.
    perform tenancy_private.require_role('owner', 'admin');
    perform tenancy_private.lock_owners(tenant);
    -- A transaction that was left open must not make what outlasts a logout.
    perform tenancy_private.require_good_context();

    if tenancy_private.context_proof() = 'api_key' then
        -- A key's role never changes. Its row isn't locked: that would hold up its end.
        role_now := tenancy.current_member_role();
    else
        select m.role into role_now
        from tenancy.memberships as m
        where m.tenant_id = tenant and m.user_id = tenancy.current_user_id()
        for share;
    end if;
    perform tenancy_private.check_role(role_now, array['owner', 'admin']);
    return role_now;
end
$$;
comment on function tenancy_private.lock_people() is
    'The role, owner or admin, that who entered has now, with the tenant''s people locked. TN001, TN004, TN015, TN018, TN203, TN207.';

create function tenancy_private.role_now()
    returns text
    language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_role_now';
comment on function tenancy_private.role_now() is
    'The role of the person of this context as it is committed at this moment, also where the transaction''s snapshot is older; NULL for who is no member any more, or no person. It waits for nobody, and locks nothing.';

create function tenancy_private.check_role_name(role text)
    returns void
    language plpgsql immutable
as $$
begin
    if check_role_name.role in ('owner', 'admin', 'member', 'viewer') then
        return;
    end if;
    raise exception 'there is no such role'
        using errcode = 'TN206', column = 'role', hint = 'Roles are owner, admin, member and viewer.';
end
$$;
comment on function tenancy_private.check_role_name(text) is
    'TN206 unless it is a role, in exactly these letters.';

create function tenancy_private.keep_an_owner(tenant uuid, person uuid)
    returns void
    language plpgsql volatile
as $$
begin
    if not exists (
        select from tenancy.memberships as m
        where m.tenant_id = keep_an_owner.tenant
          and m.role = 'owner'
          and m.user_id <> keep_an_owner.person
    ) then
        raise exception 'the last owner stays'
            using errcode = 'TN202', hint = 'Make somebody else an owner first.';
    end if;
end
$$;
comment on function tenancy_private.keep_an_owner(uuid, uuid) is
    'TN202 unless the tenant has an owner beside that person. Only after lock_owners().';

create function tenancy_private.require_active(tenant uuid)
    returns void
    language plpgsql volatile
as $$
begin
    if exists (select from tenancy.tenants as t where t.id = require_active.tenant and t.status <> 'active') then
        raise exception 'the tenant is suspended'
            using errcode = 'TN004', hint = 'Ask the operator of this service.';
    end if;
end
$$;
comment on function tenancy_private.require_active(uuid) is 'TN004 where the tenant is suspended.';
