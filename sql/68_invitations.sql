/*
 * Invitations: how a person comes into a tenant.
 *
 * An invitation is good once, for one address, until it expires, is revoked,
 * replaced by a new one for the same address, or its maker could not make it any
 * more. Its token goes by mail and is stored nowhere. It is told to who invites, so
 * that who brings it need not be the one who reads that mail.
 */

create table tenancy.invitations (
    tenant_id uuid not null references tenancy.tenants (id),
    id uuid not null default tenancy.uuid_v7(),
    email text not null,
    role text not null,
    digest bytea not null,
    invited_by uuid references tenancy.users (id),
    invited_with uuid,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    accepted_at timestamptz,
    accepted_by uuid references tenancy.users (id),
    revoked_at timestamptz,
    primary key (tenant_id, id),
    constraint invitations_role check (role in ('owner', 'admin', 'member', 'viewer')),
    constraint invitations_email_shape check (
        email ~ '^[^@[:space:][:cntrl:]]{1,64}@[^@[:space:][:cntrl:]]{1,189}$'
    ),
    constraint invitations_digest_length check (octet_length(digest) = 32),
    -- A person's or, alone, an API key's.
    constraint invitations_maker check ((invited_by is null) <> (invited_with is null)),
    constraint invitations_one_end check (accepted_at is null or revoked_at is null)
);
select pg_catalog.pg_extension_config_dump('tenancy.invitations', '');
comment on table tenancy.invitations is 'Who was asked into a tenant. No policy but the boundary: owners and admins read them with list_invitations().';
comment on column tenancy.invitations.digest is 'SHA-256 of the token, which is stored nowhere.';
comment on column tenancy.invitations.invited_by is 'The person who made it; NULL for one that an API key made.';
comment on column tenancy.invitations.invited_with is 'The API key that made it; NULL for a person''s.';

-- Who brings one names no tenant.
create unique index invitations_digest_key on tenancy.invitations (digest);
-- A new one for the same address takes the place of the old.
create unique index invitations_open_key on tenancy.invitations (tenant_id, lower(email))
    where accepted_at is null and revoked_at is null;
-- For the people whom they were made or accepted by, should one be deleted.
create index invitations_invited_by on tenancy.invitations (invited_by);
create index invitations_accepted_by on tenancy.invitations (accepted_by);

alter table tenancy.invitations enable row level security, force row level security;

create policy tenant_boundary on tenancy.invitations as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());

create function tenancy_private.invitation(made tenancy.invitations)
    returns json
    language sql stable
return json_build_object(
    'id', made.id,
    'email', made.email,
    'role', made.role,
    'invitedBy', made.invited_by,
    'invitedWith', made.invited_with,
    'createdAt', tenancy_private.iso(made.created_at),
    'expiresAt', tenancy_private.iso(made.expires_at),
    'revokedAt', tenancy_private.iso(made.revoked_at)
);
comment on function tenancy_private.invitation(tenancy.invitations) is 'An invitation as JSON, without its secret.';

-- Apart from invite_member(), whose answer has columns with the names of its arguments.
create function tenancy_private.make_invitation(address text, as_role text, lifetime interval)
    returns table (id uuid, email text, role text, token text, expires_at timestamptz, tenant_name text)
    language plpgsql volatile
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
    manager constant text := tenancy_private.lock_people();
    secret constant text := 'pgi_' || tenancy_private.random_token();
    wanted constant text := btrim(address);
    expiry constant timestamptz := tenancy_private.expiry_of(coalesce(lifetime, '7 days'), '90 days');
    made tenancy.invitations;
    replaced tenancy.invitations;
begin
    perform tenancy_private.check_role_name(as_role);
    if as_role = 'owner' then
        perform tenancy_private.check_role(manager, array['owner']);
    end if;
    if exists (
        select from tenancy.memberships as m
        join tenancy.users as u on u.id = m.user_id
        where m.tenant_id = tenant and lower(u.email) = lower(wanted)
    ) then
        raise exception 'that person is a member already'
            using errcode = 'TN301', column = 'email', hint = 'Change the role of the member instead.';
    end if;

    update tenancy.invitations as i
    set revoked_at = clock_timestamp()
    where i.tenant_id = tenant
      and lower(i.email) = lower(wanted)
      and i.accepted_at is null and i.revoked_at is null
    returning i.* into replaced;
    if replaced.role = 'owner' and replaced.expires_at > clock_timestamp() then
        perform tenancy_private.check_role(manager, array['owner']);
    end if;

    insert into tenancy.invitations as i (tenant_id, email, role, digest, invited_by, invited_with, expires_at)
    values (
        tenant, wanted, as_role, tenancy_private.digest_of(secret),
        tenancy.current_user_id(),
        case when tenancy.current_user_id() is null then tenancy_private.context_proof_id() end,
        expiry)
    returning i.* into made;

    return query
        select made.id, made.email, made.role, secret, made.expires_at, t.name
        from tenancy.tenants as t
        where t.id = tenant;
exception
    when check_violation or not_null_violation then
        raise exception 'the email is not an address'
            using errcode = 'TN105', column = 'email', hint = 'Give an address like name@example.com.';
end
$$;
comment on function tenancy_private.make_invitation(text, text, interval) is 'What invite_member() does.';

-- A definer: nobody may write invitations.
create function tenancy.invite_member(email text, role text, lifetime interval default '7 days')
    returns table (id uuid, email text, role text, token text, expires_at timestamptz, tenant_name text)
    language sql volatile rows 1
    security definer set search_path = pg_catalog, pg_temp
begin atomic
    select m.id, m.email, m.role, m.token, m.expires_at, m.tenant_name
    from tenancy_private.make_invitation(invite_member.email, invite_member.role, invite_member.lifetime) as m;
end;
comment on function tenancy.invite_member(text, text, interval) is
    'Asks a person into this tenant, and returns the invitation with its token, once: for the service to mail. A new one for the same address, whatever the case, revokes the old. TN001, TN025 a lifetime of more than 90 days, or none, TN105 bad email, TN201 only owners invite owners, or replace an invitation of one, TN203 for owners and admins, TN206 no such role, TN207 not for support, TN301 a member already.';

-- A definer: it reads invitations, which nobody may.
create function tenancy.list_invitations(query json default '{}')
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
    page constant tenancy_private.page := tenancy_private.read_page(query);
begin
    perform tenancy_private.require_proof('token', 'word', 'api_key');
    perform tenancy_private.require_role('owner', 'admin');
    return tenancy_private.list_of(page,
        (select json_agg(tenancy_private.invitation(p.made) order by (p.made).id desc)
         from (
             select i as made
             from tenancy.invitations as i
             where i.tenant_id = tenant and i.accepted_at is null and i.revoked_at is null
             order by i.id desc
             limit page.size offset page.size * (page.number - 1)
         ) as p),
        case when page.is_counted then (
            select count(*) from tenancy.invitations as i
            where i.tenant_id = tenant and i.accepted_at is null and i.revoked_at is null)
        end);
end
$$;
comment on function tenancy.list_invitations(json) is
    'The open invitations of this tenant, expired ones among them, newest first: {"data":[{"id","email","role","invitedBy","invitedWith","createdAt","expiresAt","revokedAt"}],"page","limit"}, and "total" where asked. The query as list_members(). TN001, TN203 for owners and admins, TN207 not for support, TN406.';

-- A definer: nobody may write invitations.
create function tenancy.revoke_invitation(id uuid)
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
    manager constant text := tenancy_private.lock_people();
    revoked tenancy.invitations;
begin
    update tenancy.invitations as i
    set revoked_at = clock_timestamp()
    where i.tenant_id = tenant
      and i.id = revoke_invitation.id
      and i.accepted_at is null and i.revoked_at is null
    returning i.* into revoked;
    if not found then
        perform tenancy_private.refuse_invitation();
    end if;
    if revoked.role = 'owner' then
        perform tenancy_private.check_role(manager, array['owner']);
    end if;
    return tenancy_private.invitation(revoked);
end
$$;
comment on function tenancy.revoke_invitation(uuid) is
    'Ends an open invitation of this tenant and returns it. TN001, TN201 only owners revoke one of an owner, TN203 for owners and admins, TN207 not for support, TN303 no such invitation, or it was used or revoked.';

create function tenancy_private.may_invite(role_now text, role text)
    returns boolean
    language sql immutable
return coalesce(role_now = 'owner' or (role_now = 'admin' and role <> 'owner'), false);
comment on function tenancy_private.may_invite(text, text) is
    'Whether somebody of that role (NULL: a stranger) may ask a person in as the other.';

create function tenancy_private.revoke_invitations_of(tenant uuid, person uuid, role_now text)
    returns void
    language sql volatile
begin atomic
    update tenancy.invitations as i
    set revoked_at = pg_catalog.clock_timestamp()
    where i.tenant_id = revoke_invitations_of.tenant
      and i.invited_by = revoke_invitations_of.person
      and i.accepted_at is null and i.revoked_at is null
      and not tenancy_private.may_invite(role_now, i.role);
end;
comment on function tenancy_private.revoke_invitations_of(uuid, uuid, text) is
    'Ends the open invitations that a person made and, with the role of now (NULL: none), could not make any more.';
