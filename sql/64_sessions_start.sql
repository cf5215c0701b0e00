/*
 * How sessions start, and go on: by a password, by a switch to another tenant,
 * by a refresh token.
 *
 * Whoever starts one locks the membership and the person, in this order; whoever
 * ends many locks one of these first, and then the sessions. So none slips
 * through between the two. The tenant's row is left alone: who holds that open
 * could hold up its suspension.
 */

create function tenancy_private.add_refresh_token(tenant uuid, session uuid, expires_at timestamptz)
    returns text
    language plpgsql volatile
as $$
declare
    secret constant text := 'pgr_' || tenancy_private.random_token();
begin
    insert into tenancy.refresh_tokens (tenant_id, session_id, digest, expires_at)
    values (add_refresh_token.tenant, add_refresh_token.session,
        tenancy_private.digest_of(secret), add_refresh_token.expires_at);
    return secret;
end
$$;
comment on function tenancy_private.add_refresh_token(uuid, uuid, timestamptz) is
    'A new refresh token of a session. Nobody can read it afterwards.';

create function tenancy_private.open_session(
    person uuid,
    tenant text,
    client text,
    address text,
    expires_at timestamptz,
    out tenant_id uuid,
    out role text,
    out session_id uuid,
    out refresh_token text
)
    language plpgsql volatile
as $$
declare
    chosen record;
begin
    -- The membership stays as it is until this commits: who is just removing the person,
    -- or ending all sessions of the tenant, finds this one or keeps it from starting. Then
    -- the person, for who is just ending all of theirs: rows are locked in the order after OF.
    select t.id, t.status, m.role into chosen
    from tenancy.tenants as t
    join tenancy.memberships as m on m.tenant_id = t.id
    join tenancy.users as u on u.id = m.user_id
    where m.user_id = open_session.person
      and (open_session.tenant is null
           or t.slug = open_session.tenant
           or t.id::text = lower(open_session.tenant))
    -- A slug may look like another tenant's id.
    order by t.id::text = lower(open_session.tenant) desc, t.status = 'active' desc, m.created_at, t.id
    limit 1
    for share of m, u;

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
    insert into tenancy.sessions as s (tenant_id, user_id, expires_at, client, address)
    values (chosen.id, open_session.person, open_session.expires_at,
        tenancy_private.label_of(open_session.client, 200),
        tenancy_private.label_of(open_session.address, 64))
    returning s.id into session_id;
    refresh_token := tenancy_private.add_refresh_token(chosen.id, session_id, open_session.expires_at);
end
$$;
comment on function tenancy_private.open_session(uuid, text, text, text, timestamptz) is
    'A new session of a person in a tenant by slug or id, or in the oldest active one, with its first refresh token. TN002, TN004.';

-- A definer: it verifies a word, and writes sessions and reads memberships across
-- tenants, of one person. The word says that the password was right: the database
-- password alone must not tell who is where.
create function tenancy.start_session(
    token text,
    tenant text default null,
    client text default null,
    address text default null,
    lifetime interval default '30 days'
)
    returns table (
        tenant_id uuid,
        role text,
        session_id uuid,
        refresh_token text,
        refresh_expires_at timestamptz,
        tenants json
    )
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    person constant uuid := tenancy_private.spend_word(start_session.token, 'session');
begin
    refresh_expires_at := tenancy_private.expiry_of(coalesce(start_session.lifetime, '30 days'), '400 days');
    select o.tenant_id, o.role, o.session_id, o.refresh_token
    into tenant_id, role, session_id, refresh_token
    from tenancy_private.open_session(person, start_session.tenant, start_session.client,
        start_session.address, refresh_expires_at) as o;
    tenants := tenancy_private.tenants_of(person);
    return next;
end
$$;
comment on function tenancy.start_session(text, text, text, text, interval) is
    'For a person whose password was right: a new session, in a tenant by slug or id, else in the oldest active one. The service says so with a word of the purpose session. Its first refresh token comes back once, and the tenant, the role there and all the person''s tenants. client and address are what list_sessions() shows. TN002 not a member, TN004 suspended, TN010 to TN014 and TN023 a bad word, TN025 bad lifetime (1 second to 400 days).';

-- A definer: as start_session(). The proof is an access token.
create function tenancy.switch_tenant(
    token text,
    tenant text,
    client text default null,
    address text default null,
    lifetime interval default '30 days'
)
    returns table (
        user_id uuid,
        email text,
        tenant_id uuid,
        role text,
        session_id uuid,
        refresh_token text,
        refresh_expires_at timestamptz,
        tenants json
    )
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    caller record;
begin
    if switch_tenant.tenant is null then
        raise exception 'there is no tenant to switch to'
            using errcode = 'TN002', hint = 'Name a tenant that you belong to, by its slug or id.';
    end if;
    select * into caller from tenancy_private.require_session(switch_tenant.token);

    -- No longer than the session that it comes from, or the password would never be asked for again.
    refresh_expires_at := least(caller.expires_at,
        tenancy_private.expiry_of(coalesce(switch_tenant.lifetime, '30 days'), '400 days'));
    user_id := caller.user_id;
    select u.email into email from tenancy.users as u where u.id = caller.user_id;
    select o.tenant_id, o.role, o.session_id, o.refresh_token
    into tenant_id, role, session_id, refresh_token
    from tenancy_private.open_session(caller.user_id, switch_tenant.tenant, switch_tenant.client,
        switch_tenant.address, refresh_expires_at) as o;
    -- Again: it may have ended while the locks were waited for.
    perform from tenancy_private.require_session(switch_tenant.token);
    tenants := tenancy_private.tenants_of(caller.user_id);
    return next;
end
$$;
comment on function tenancy.switch_tenant(text, text, text, text, interval) is
    'A new session in a tenant of the person whose access token this is, as start_session(); the old one stays, and the new one lives no longer. TN002 not a member, TN004 suspended, TN010 to TN014, TN015 the session has ended, TN025 bad lifetime.';

-- A definer: it finds a session by a secret, before there is a tenant to be in.
create function tenancy.refresh_session(token text)
    returns table (
        user_id uuid,
        email text,
        tenant_id uuid,
        role text,
        session_id uuid,
        refresh_token text,
        refresh_expires_at timestamptz,
        refused text
    )
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    presented constant bytea := tenancy_private.digest_of(refresh_session.token);
    of_session record;
    was_used boolean;
    member record;
begin
    -- The session's row is the lock: who refreshes or ends it at the same moment waits.
    select s.tenant_id, s.id, s.user_id, s.expires_at, s.ended_at into of_session
    from tenancy.refresh_tokens as r
    join tenancy.sessions as s on s.tenant_id = r.tenant_id and s.id = r.session_id
    where r.digest = presented
    for update of s;
    if not found or of_session.ended_at is not null or of_session.expires_at <= clock_timestamp() then
        refused := 'TN016';
        return next;
        return;
    end if;

    -- A statement of its own sees what the other did while this one waited.
    select r.used_at is not null into was_used
    from tenancy.refresh_tokens as r
    where r.digest = presented;
    if was_used is distinct from false then
        -- Two have it, and one of them is a thief. No error: the end must be committed.
        update tenancy.sessions as s
        set ended_at = clock_timestamp(), end_reason = 'a refresh token was used twice'
        where s.tenant_id = of_session.tenant_id and s.id = of_session.id;
        raise log 'a refresh token was used twice: session % of tenant % is ended', of_session.id, of_session.tenant_id;
        refused := 'TN017';
        return next;
        return;
    end if;

    select m.role, t.status, u.email into member
    from tenancy.memberships as m
    join tenancy.tenants as t on t.id = m.tenant_id
    join tenancy.users as u on u.id = m.user_id
    where m.tenant_id = of_session.tenant_id and m.user_id = of_session.user_id;
    if not found or member.status <> 'active' then
        -- Unused: it is good again when the tenant is.
        refused := case when member.status is null then 'TN002' else 'TN004' end;
        return next;
        return;
    end if;

    update tenancy.refresh_tokens as r
    set used_at = clock_timestamp()
    where r.digest = presented;
    update tenancy.sessions as s
    set last_used_at = clock_timestamp()
    where s.tenant_id = of_session.tenant_id and s.id = of_session.id;

    user_id := of_session.user_id;
    email := member.email;
    tenant_id := of_session.tenant_id;
    role := member.role;
    session_id := of_session.id;
    refresh_expires_at := of_session.expires_at;
    refresh_token := tenancy_private.add_refresh_token(of_session.tenant_id, of_session.id, of_session.expires_at);
    return next;
end
$$;
comment on function tenancy.refresh_session(text) is
    'Takes a refresh token and gives the next one, and who it is for, with the role of now. It never raises what must be committed: a row with refused alone says TN016 (unknown, expired or ended), TN017 (used before: the session is ended now), TN002 (no member any more) or TN004 (suspended). Commit in any case.';
