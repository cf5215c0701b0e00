/*
 * Members: who is in a tenant, and who may change that.
 *
 * An owner may everything. An admin invites, changes and removes all but owners;
 * owners are made, demoted and removed by owners alone, and the last one stays.
 * Anybody may leave.
 */

create function tenancy_private.member(tenant uuid, person uuid)
    returns json
    language sql volatile
begin atomic
    select pg_catalog.json_build_object(
        'userId', m.user_id,
        'email', u.email,
        'role', m.role,
        'createdAt', tenancy_private.iso(m.created_at))
    from tenancy.memberships as m
    join tenancy.users as u on u.id = m.user_id
    where m.tenant_id = member.tenant and m.user_id = member.person;
end;
comment on function tenancy_private.member(uuid, uuid) is 'A member as JSON; NULL where there is none.';

create function tenancy_private.end_membership(tenant uuid, person uuid, reason text)
    returns void
    language plpgsql volatile
as $$
begin
    delete from tenancy.memberships as m
    where m.tenant_id = end_membership.tenant and m.user_id = end_membership.person;
    perform tenancy_private.revoke_invitations_of(end_membership.tenant, end_membership.person, null);
    perform tenancy_private.end_sessions(end_membership.tenant, end_membership.person, end_membership.reason);
exception
    when foreign_key_violation then
        raise exception 'other rows still refer to this member'
            using errcode = 'TN413', hint = 'Delete or change those first.';
end
$$;
comment on function tenancy_private.end_membership(uuid, uuid, text) is
    'Takes a person out of a tenant, with the sessions and the open invitations. Only after lock_owners() or lock_leaver(). TN413 a table of the DBA''s refers to the membership.';

-- A definer: it tells the pages of a list, which are counted where asked.
create function tenancy.list_members(query json default '{}')
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
    page constant tenancy_private.page := tenancy_private.read_page(query);
begin
    return tenancy_private.list_of(page,
        (select json_agg(tenancy_private.member(tenant, p.user_id) order by p.user_id desc)
         from (
             select m.user_id
             from tenancy.memberships as m
             where m.tenant_id = tenant
             order by m.user_id desc
             limit page.size offset page.size * (page.number - 1)
         ) as p),
        case when page.is_counted then
            (select count(*) from tenancy.memberships as m where m.tenant_id = tenant)
        end);
end
$$;
comment on function tenancy.list_members(json) is
    'The people of this tenant, newest account first: {"data":[{"userId","email","role","createdAt"}],"page","limit"}, and "total" where the query says "count":"exact". The query as list_rows, without filter. For every member. TN001, TN406.';

-- A definer: nobody may write memberships.
create function tenancy.set_member_role(user_id uuid, role text)
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
    manager constant text := tenancy_private.lock_people();
    role_before text;
begin
    perform tenancy_private.check_role_name(set_member_role.role);
    role_before := tenancy_private.role_of(tenant, set_member_role.user_id);
    if 'owner' in (role_before, set_member_role.role) then
        perform tenancy_private.check_role(manager, array['owner']);
    end if;
    if role_before = 'owner' and set_member_role.role <> 'owner' then
        perform tenancy_private.keep_an_owner(tenant, set_member_role.user_id);
    end if;

    update tenancy.memberships as m
    set role = set_member_role.role
    where m.tenant_id = tenant
      and m.user_id = set_member_role.user_id
      and m.role <> set_member_role.role;
    perform tenancy_private.revoke_invitations_of(tenant, set_member_role.user_id, set_member_role.role);
    return tenancy_private.member(tenant, set_member_role.user_id);
end
$$;
comment on function tenancy.set_member_role(uuid, text) is
    'Gives a member of this tenant another role, from their next transaction on, and returns the member. Owners make and demote owners; admins change all others. Open invitations that the member could not make any more are revoked. TN001, TN201 only owners may, TN202 the last owner stays, TN203 for owners and admins, TN205 no such member, TN206 no such role, TN207 not for support.';

create function tenancy_private.role_of(tenant uuid, person uuid)
    returns text
    language plpgsql volatile
as $$
declare
    -- Locked: somebody who is no owner leaves without a lock on the owners.
    found_role constant text := tenancy_private.lock_member(role_of.tenant, role_of.person);
begin
    if found_role is null then
        raise exception 'nobody of that id is in this tenant'
            using errcode = 'TN205', hint = 'The list of members tells who is.';
    end if;
    return found_role;
end
$$;
comment on function tenancy_private.role_of(uuid, uuid) is
    'What a member is now, and stays until the transaction ends. Only after lock_owners(). TN205 no member, the same for a person of another tenant.';

-- A definer: nobody may write memberships.
create function tenancy.remove_member(user_id uuid)
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
    manager constant text := tenancy_private.lock_people();
    removed json;
begin
    if tenancy_private.role_of(tenant, remove_member.user_id) = 'owner' then
        perform tenancy_private.check_role(manager, array['owner']);
        perform tenancy_private.keep_an_owner(tenant, remove_member.user_id);
    end if;
    select json_build_object(
        'userId', m.user_id, 'email', u.email, 'role', m.role,
        'createdAt', tenancy_private.iso(m.created_at),
        'apiKeys', tenancy_private.good_api_keys_of(tenant, m.user_id))
    into removed
    from tenancy.memberships as m
    join tenancy.users as u on u.id = m.user_id
    where m.tenant_id = tenant and m.user_id = remove_member.user_id;

    perform tenancy_private.end_membership(tenant, remove_member.user_id, 'removed');
    return removed;
end
$$;
comment on function tenancy.remove_member(uuid) is
    'Takes a person out of this tenant, from their next transaction on: sessions and open invitations of theirs end. Returns the member, with "apiKeys": those that the person made and that are still good, for they are the tenant''s and stay. TN001, TN201 only owners may remove an owner, TN202 the last owner stays, TN203 for owners and admins, TN205 no such member, TN207 not for support, TN413 a table refers to the member.';

create function tenancy_private.lock_member(tenant uuid, person uuid)
    returns text
    language plpgsql volatile
as $$
declare
    role_now text;
begin
    select m.role into role_now
    from tenancy.memberships as m
    where m.tenant_id = lock_member.tenant and m.user_id = lock_member.person
    for no key update;
    return role_now;
end
$$;
comment on function tenancy_private.lock_member(uuid, uuid) is
    'The role of a member, which stays until the transaction ends; NULL where there is none.';

create function tenancy_private.lock_leaver(tenant uuid, person uuid)
    returns text
    language plpgsql volatile
as $$
declare
    role_now text;
begin
    select m.role into role_now
    from tenancy.memberships as m
    where m.tenant_id = lock_leaver.tenant and m.user_id = lock_leaver.person;
    -- Who is no owner leaves by a lock on their own row alone: a viewer who keeps a
    -- transaction open should not hold up who manages people.
    if role_now is distinct from 'owner' then
        begin
            role_now := tenancy_private.lock_member(lock_leaver.tenant, lock_leaver.person);
            if role_now is distinct from 'owner' then
                return role_now;
            end if;
            raise exception 'made an owner in the meantime' using errcode = 'TN202';
        exception
            -- It lets the row go again: the owners' rows are locked in one order.
            when sqlstate 'TN202' then null;
        end;
    end if;
    -- Two owners who leave at once wait for each other here, or they would leave none.
    perform tenancy_private.lock_owners(lock_leaver.tenant);
    return tenancy_private.lock_member(lock_leaver.tenant, lock_leaver.person);
end
$$;
comment on function tenancy_private.lock_leaver(uuid, uuid) is
    'The role of a member who is about to leave, which stays until the transaction ends; for an owner, the other owners stay, too. NULL where there is none.';

-- A definer: nobody may write memberships. A person of any role leaves, so it is
-- called outside of a context, where a viewer can write nothing; the token proves who it is.
create function tenancy.leave_tenant(token text)
    returns void
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant uuid;
    person uuid;
    role_now text;
begin
    select v.tenant_id, v.user_id into tenant, person
    from tenancy_private.verify_access(leave_tenant.token) as v;
    role_now := tenancy_private.lock_leaver(tenant, person);
    if role_now is null then
        raise exception 'not a member of that tenant'
            using errcode = 'TN002', hint = 'There is nothing to leave.';
    end if;
    perform tenancy_private.require_active(tenant);
    if role_now = 'owner' then
        perform tenancy_private.keep_an_owner(tenant, person);
    end if;
    perform tenancy_private.end_membership(tenant, person, 'left');
end
$$;
comment on function tenancy.leave_tenant(text) is
    'Takes the person of an access token out of the tenant that it names, from the next transaction on. For every role. TN002 not a member, TN004 suspended, TN010 to TN015 as enter(), TN202 the last owner stays, TN413 a table refers to the member.';
