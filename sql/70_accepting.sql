/*
 * Accepting an invitation: by who brings its token, as a new person or as one
 * who is logged in.
 */

-- A definer: it reads invitations, which nobody may. The token is the proof.
create function tenancy.peek_invitation(invitation text)
    returns table (email text, role text, tenant_name text, expires_at timestamptz, has_account boolean)
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    found_one constant tenancy.invitations := tenancy_private.good_invitation(peek_invitation.invitation);
begin
    return query
        select found_one.email, found_one.role, t.name, found_one.expires_at,
            exists (select from tenancy.users as u where lower(u.email) = lower(found_one.email))
        from tenancy.tenants as t
        where t.id = found_one.tenant_id;
end
$$;
comment on function tenancy.peek_invitation(text) is
    'What an invitation is for, to who brings its token: for the page that asks to accept it. With has_account the person logs in first. TN004 the tenant is suspended, TN302 expired, TN303 no such invitation, or it was used or revoked.';

-- A definer: nobody may write users and memberships. The invitation's token
-- says who was meant; an account that is there takes a login, too.
create function tenancy.accept_invitation(
    invitation text,
    token text default null,
    password_hash text default null
)
    returns table (user_id uuid, email text, tenant_id uuid, role text)
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    accepted tenancy.invitations;
    person tenancy.users;
begin
    -- The owners first, as everywhere: so that two at once wait, and never in a circle.
    perform tenancy_private.lock_owners(i.tenant_id)
    from tenancy.invitations as i
    where i.digest = tenancy_private.digest_of(accept_invitation.invitation);
    -- In REPEATABLE READ it may have been used since (40001).
    perform from tenancy.invitations as i
    where i.digest = tenancy_private.digest_of(accept_invitation.invitation)
    for update;
    accepted := tenancy_private.good_invitation(accept_invitation.invitation);

    if accept_invitation.token is null then
        person := tenancy_private.new_person(accepted.email, accept_invitation.password_hash);
    else
        person := tenancy_private.person_of(accept_invitation.token, accepted.email);
    end if;
    if exists (
        select from tenancy.memberships as m
        where m.tenant_id = accepted.tenant_id and m.user_id = person.id
    ) then
        raise exception 'you are a member already'
            using errcode = 'TN301', hint = 'Log in to that tenant.';
    end if;

    insert into tenancy.memberships (tenant_id, user_id, role)
    values (accepted.tenant_id, person.id, accepted.role);
    update tenancy.invitations as i
    set accepted_at = clock_timestamp(), accepted_by = person.id
    where i.tenant_id = accepted.tenant_id and i.id = accepted.id;
    -- email_verified_at stays: the invitation's token was told to SQL of the tenant,
    -- which could accept for an address that nobody there reads.

    return query select person.id, person.email, accepted.tenant_id, accepted.role;
end
$$;
comment on function tenancy.accept_invitation(text, text, text) is
    'Makes who brings an invitation''s token a member, once: with an access token of the account that has the invitation''s address, else as a new person with a password_hash (argon2id, PHC). The address doesn''t count as verified by it: whoever made the invitation knows the token. TN004 the tenant is suspended, TN010 to TN015 as enter(), TN106 bad hash, TN301 a member already, TN302 expired, TN303 no such invitation, or it was used or revoked, TN304 the address has an account: log in, TN305 the token is of another address, TN306 no password_hash.';

create function tenancy_private.good_invitation(invitation text)
    returns tenancy.invitations
    language plpgsql volatile
as $$
declare
    found_one tenancy.invitations;
begin
    select i.* into found_one
    from tenancy.invitations as i
    where i.digest = tenancy_private.digest_of(good_invitation.invitation)
      and i.accepted_at is null and i.revoked_at is null;
    if not found or not tenancy_private.is_still_meant(found_one) then
        perform tenancy_private.refuse_invitation();
    end if;
    if found_one.expires_at <= clock_timestamp() then
        raise exception 'the invitation has expired'
            using errcode = 'TN302', hint = 'Ask an owner or admin of the tenant for a new one.';
    end if;
    perform tenancy_private.require_active(found_one.tenant_id);
    return found_one;
end
$$;
comment on function tenancy_private.good_invitation(text) is
    'The invitation that has this token and can be accepted now. TN004, TN302, TN303.';

-- What set_member_role() and its sisters do is seen to there; here is what a DBA
-- does by hand, and what time does.
create function tenancy_private.is_still_meant(made tenancy.invitations)
    returns boolean
    language sql volatile
begin atomic
    select case
        when made.invited_by is null then exists (
            select from tenancy.api_keys as k
            where k.tenant_id = made.tenant_id and k.id = made.invited_with and k.revoked_at is null
              and (k.expires_at is null or k.expires_at > pg_catalog.clock_timestamp()))
        else tenancy_private.may_invite((
            select m.role from tenancy.memberships as m
            where m.tenant_id = made.tenant_id and m.user_id = made.invited_by), made.role)
    end;
end;
comment on function tenancy_private.is_still_meant(tenancy.invitations) is
    'Whether who made the invitation could still make it: a member of a role that may, or an API key that is neither revoked nor expired.';

create function tenancy_private.refuse_invitation()
    returns void
    language plpgsql volatile
as $$
begin
    raise exception 'there is no such invitation, or it was used or revoked'
        using errcode = 'TN303', hint = 'Ask an owner or admin of the tenant for a new one.';
end
$$;
comment on function tenancy_private.refuse_invitation() is 'Raises TN303.';

create function tenancy_private.new_person(email text, password_hash text)
    returns tenancy.users
    language plpgsql volatile
as $$
declare
    made tenancy.users;
    broken text;
begin
    if exists (select from tenancy.users as u where lower(u.email) = lower(new_person.email)) then
        raise unique_violation using constraint = 'users_email_key';
    end if;
    if new_person.password_hash is null then
        raise exception 'a new person needs a password'
            using errcode = 'TN306', column = 'password', hint = 'Choose one.';
    end if;
    insert into tenancy.users as u (email, password_hash)
    values (new_person.email, new_person.password_hash)
    returning u.* into made;
    return made;
exception
    -- Also that of somebody who comes at this moment by another way.
    when unique_violation or check_violation then
        get stacked diagnostics broken = constraint_name;
        case broken
            when 'users_email_key' then
                raise exception 'there is an account with that address'
                    using errcode = 'TN304', hint = 'Log in with it, then accept the invitation.';
            when 'users_password_hash_argon2id' then
                raise exception 'the password hash is not argon2id in PHC form'
                    using errcode = 'TN106', column = 'password', hint = 'Hash the password before you call; never store it as it is.';
            else
                raise;
        end case;
end
$$;
comment on function tenancy_private.new_person(text, text) is
    'Makes a person. TN106 bad hash, TN304 the address has an account, TN306 no hash.';

create function tenancy_private.person_of(token text, email text)
    returns tenancy.users
    language plpgsql volatile
as $$
declare
    person tenancy.users;
begin
    select u.* into person
    from tenancy_private.verify_access(person_of.token) as v
    join tenancy.users as u on u.id = v.user_id
    where lower(u.email) = lower(person_of.email);
    if not found then
        raise exception 'the invitation is for another address'
            using errcode = 'TN305', hint = 'Log in with the address that the invitation went to.';
    end if;
    return person;
end
$$;
comment on function tenancy_private.person_of(text, text) is
    'The person of an access token, who has that address. TN010 to TN015 as enter(), TN305 another address.';
