/*
 * How sessions end: by logout, from another device, for all of a person, for
 * all of a tenant; and how what is over goes.
 *
 * A person's own deeds take the token and not a context: a viewer's context can
 * write nothing, a suspended tenant can't be entered, and both may log out.
 */

create function tenancy_private.end_sessions(tenant uuid, person uuid, reason text)
    returns void
    language plpgsql volatile
as $$
declare
    ids uuid[];
begin
    -- Locked in one order, so that two who end some of the same don't wait in a circle.
    if end_sessions.person is not null then
        ids := array(
            select s.id from tenancy.sessions as s
            where s.user_id = end_sessions.person and s.ended_at is null
              and (end_sessions.tenant is null or s.tenant_id = end_sessions.tenant)
            order by s.id
            for update);
        update tenancy.sessions as s
        set ended_at = clock_timestamp(), end_reason = coalesce(end_sessions.reason, 'ended')
        where s.user_id = end_sessions.person and s.id = any (ids);
    elsif end_sessions.tenant is not null then
        ids := array(
            select s.id from tenancy.sessions as s
            where s.tenant_id = end_sessions.tenant and s.ended_at is null
            order by s.id
            for update);
        update tenancy.sessions as s
        set ended_at = clock_timestamp(), end_reason = coalesce(end_sessions.reason, 'ended')
        where s.tenant_id = end_sessions.tenant and s.id = any (ids);
    end if;
end
$$;
comment on function tenancy_private.end_sessions(uuid, uuid, text) is
    'Ends the living sessions of a person, of a tenant, or of a person in a tenant; NULL is any, but not for both. First change or lock the row that start_session() locks: the person or the membership.';

create function tenancy_private.end_person(person uuid, reason text)
    returns void
    language plpgsql volatile
as $$
begin
    update tenancy.users as u
    set tokens_valid_from = greatest(u.tokens_valid_from, clock_timestamp())
    where u.id = end_person.person;
    perform tenancy_private.end_sessions(null, end_person.person, end_person.reason);
end
$$;
comment on function tenancy_private.end_person(uuid, text) is
    'From the next transaction on every token of that person from before now is refused, and every refresh token.';

create function tenancy_private.end_tenant(tenant uuid, reason text)
    returns void
    language plpgsql volatile
as $$
begin
    update tenancy.tenants as t
    set tokens_valid_from = greatest(t.tokens_valid_from, clock_timestamp())
    where t.id = end_tenant.tenant;
    if not found then
        raise exception 'there is no tenant %', end_tenant.tenant
            using errcode = 'TN601', hint = 'tenancy.report_tenants() lists them.';
    end if;
    -- A login that is under way holds its membership. The owners' first, as where
    -- people are managed.
    perform from tenancy.memberships as m
    where m.tenant_id = end_tenant.tenant
    order by m.role = 'owner' desc, m.user_id
    for no key update;
    perform tenancy_private.end_sessions(end_tenant.tenant, null, end_tenant.reason);
end
$$;
comment on function tenancy_private.end_tenant(uuid, text) is
    'The same for everybody in a tenant. API keys stay. TN601.';

-- A definer: sessions are written by nobody.
create function tenancy.end_session(token text)
    returns void
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    caller record;
begin
    begin
        select * into caller from tenancy_private.verify_access(end_session.token);
    exception
        -- It has ended: that was the wish.
        when sqlstate 'TN015' then return;
    end;
    if caller.session_id is null then
        raise exception 'the token belongs to no session'
            using errcode = 'TN010', hint = 'Log out where it comes from.';
    end if;

    update tenancy.sessions as s
    set ended_at = clock_timestamp(), end_reason = 'logout'
    where s.tenant_id = caller.tenant_id and s.id = caller.session_id
      and s.user_id = caller.user_id and s.ended_at is null;
end
$$;
comment on function tenancy.end_session(text) is
    'Logs out: ends the session of this access token, from the next transaction on. Again: no effect. Also for a viewer and in a suspended tenant. TN010 to TN014.';

-- A definer: sessions and persons are written by nobody.
create function tenancy.end_all_sessions(token text)
    returns void
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    caller record;
begin
    begin
        select * into caller from tenancy_private.verify_access(end_all_sessions.token);
    exception
        when sqlstate 'TN015' then
            -- What has ended can't end what lives; but when nothing does, the wish is fulfilled.
            if tenancy_private.has_living_session(tenancy_private.claims_of(end_all_sessions.token)) then
                raise;
            end if;
            return;
    end;
    perform tenancy_private.end_person(caller.user_id, 'logout everywhere');
end
$$;
comment on function tenancy.end_all_sessions(text) is
    'Logs out everywhere: ends all sessions of the person whose access token this is, in all tenants, and every other token of theirs from before now. Again: no effect. TN010 to TN014, TN015 this session has ended and others have not.';

create function tenancy_private.has_living_session(claims json)
    returns boolean
    language plpgsql stable
as $$
begin
    -- The sub and sid of an identity provider's token are no ids of ours, even where they
    -- look like some: they could be anybody's, and the answer would tell of that person.
    if exists (select from tenancy.issuers as i where i.issuer = has_living_session.claims ->> 'iss') then
        return true;
    end if;
    -- A token without a session is another service's.
    if has_living_session.claims ->> 'sid' is null
        or has_living_session.claims ->> 'sub' !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    then
        return true;
    end if;
    return exists (
        select from tenancy.sessions as s
        where s.user_id = (has_living_session.claims ->> 'sub')::uuid
          and s.ended_at is null and s.expires_at > clock_timestamp());
end
$$;
comment on function tenancy_private.has_living_session(json) is
    'Whether the person of these claims, of a token that was verified, is still logged in somewhere; true where that can''t be told.';

-- A definer: it reads sessions across tenants, of one person.
create function tenancy.list_sessions(token text)
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    caller record;
begin
    select * into caller from tenancy_private.verify_access(list_sessions.token);
    return json_build_object('data', coalesce((
        select json_agg(json_build_object(
            'id', l.id,
            'tenant', json_build_object('id', l.tenant_id, 'slug', l.slug, 'name', l.name),
            'createdAt', tenancy_private.iso(l.created_at),
            'lastUsedAt', tenancy_private.iso(l.last_used_at),
            'expiresAt', tenancy_private.iso(l.expires_at),
            'client', l.client,
            'address', l.address,
            'current', l.id is not distinct from caller.session_id)
            order by l.last_used_at desc, l.id desc)
        from (
            select s.*, t.slug, t.name
            from tenancy.sessions as s
            -- Who is no member any more learns nothing of the tenant.
            join tenancy.memberships as m on m.tenant_id = s.tenant_id and m.user_id = s.user_id
            join tenancy.tenants as t on t.id = s.tenant_id
            where s.user_id = caller.user_id and s.ended_at is null and s.expires_at > clock_timestamp()
            order by s.last_used_at desc, s.id desc
            limit 1000
        ) as l
    ), '[]'));
end
$$;
comment on function tenancy.list_sessions(text) is
    'Where the person whose access token this is is logged in, in all tenants, last used first, at most 1000: {"data":[{id, tenant:{id, slug, name}, createdAt, lastUsedAt, expiresAt, client, address, current}]}. TN010 to TN015.';

-- A definer: sessions are written by nobody.
create function tenancy.end_one_session(token text, session uuid)
    returns void
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    caller record;
begin
    select * into caller from tenancy_private.verify_access(end_one_session.token);
    update tenancy.sessions as s
    set ended_at = coalesce(s.ended_at, clock_timestamp()),
        end_reason = coalesce(s.end_reason, 'ended from another session')
    where s.user_id = caller.user_id and s.id = end_one_session.session;
    if not found then
        raise exception 'there is no such session'
            using errcode = 'TN024', hint = 'The list of sessions has those that there are.';
    end if;
end
$$;
comment on function tenancy.end_one_session(text, uuid) is
    'Ends one session of the person whose access token this is, by its id. One that has ended: no effect. TN010 to TN015, TN024 there is none of that id, or it is somebody else''s.';

-- A definer: sessions and tenants are written by nobody.
create function tenancy.revoke_tenant_sessions()
    returns void
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
begin
    if tenancy.current_member_role() is null or tenancy.current_member_role() not in ('owner', 'admin') then
        raise exception 'only owners and admins may log everybody out'
            using errcode = 'TN203', hint = 'Ask an owner of the tenant.';
    end if;
    -- A key that leaked should not keep people from working.
    if tenancy_private.context_user_id() is null then
        raise exception 'only a person may log everybody out'
            using errcode = 'TN207', hint = 'Log in as an owner or admin of the tenant.';
    end if;
    perform tenancy_private.end_tenant(tenant, 'revoked by the tenant');
end
$$;
comment on function tenancy.revoke_tenant_sessions() is
    'Ends all sessions in this tenant, of the caller too, and every other token and capsule of it from before now. API keys stay. For owners and admins (TN203), in person (TN207).';

-- A definer: sessions and tenants are written by nobody.
create function tenancy.revoke_tenant(tenant uuid, reason text)
    returns void
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit('revoke_tenant',
        jsonb_build_object('tenant', revoke_tenant.tenant, 'reason', revoke_tenant.reason));
    perform tenancy_private.end_tenant(revoke_tenant.tenant, 'revoked by the operator');
end
$$;
comment on function tenancy.revoke_tenant(uuid, text) is
    'As revoke_tenant_sessions(), from outside: everybody in that tenant logs in again. TN601 no such tenant.';

-- A definer: it deletes sessions of all tenants.
create function tenancy.purge_sessions(older_than interval default '30 days')
    returns bigint
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    start constant timestamptz := clock_timestamp();
    before constant timestamptz :=
        tenancy_private.moment_before(start, coalesce(purge_sessions.older_than, '30 days'));
    purged bigint;
begin
    if before is null or before > start then
        raise exception 'what has not ended can''t be purged'
            using errcode = 'TN025', hint = 'Give an interval of no less than 0, and not of all times.';
    end if;
    perform tenancy_private.audit('purge_sessions',
        jsonb_build_object('older_than', coalesce(purge_sessions.older_than, '30 days')));

    delete from tenancy.sessions as s
    where least(s.ended_at, s.expires_at) < before;
    get diagnostics purged = row_count;
    delete from tenancy.refresh_tokens as r
    where r.used_at < before;
    delete from tenancy.password_resets as r
    where r.expires_at < before;
    delete from tenancy.spent_words as w
    where w.expires_at < clock_timestamp();
    return purged;
end
$$;
comment on function tenancy.purge_sessions(interval) is
    'Deletes the sessions that were over that long ago, and refresh tokens, resets and words of which nothing more can be learnt; returns how many sessions. A refresh token that was used longer ago is unknown from then on (TN016, where TN017 would end the session). TN025 a negative interval, or one that no calendar has.';
