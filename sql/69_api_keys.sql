/*
 * API keys: how a machine enters.
 *
 * A key is the tenant's, not the person's who made it: it has a role of its own
 * and stays when that person goes. It is shown once and stored as a digest. By
 * its digest it is found, so a guess costs a whole guess, and neither an answer
 * nor its time tells how near it was; the prefix is for people, to tell keys apart.
 */

create table tenancy.api_keys (
    tenant_id uuid not null references tenancy.tenants (id),
    id uuid not null default tenancy.uuid_v7(),
    name text not null,
    role text not null,
    prefix text not null,
    digest bytea not null,
    created_by uuid references tenancy.users (id),
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    primary key (tenant_id, id),
    constraint api_keys_role check (role in ('admin', 'member', 'viewer')),
    constraint api_keys_name_shape check (
        char_length(name) between 1 and 100 and name = btrim(name) and name !~ '[[:cntrl:]]'
    ),
    constraint api_keys_prefix_shape check (prefix ~ '^[0-9A-Za-z]{12}$'),
    constraint api_keys_digest_length check (octet_length(digest) = 32),
    constraint api_keys_expiry check (isfinite(expires_at) and expires_at < '10000-01-01 00:00:00+00')
);
select pg_catalog.pg_extension_config_dump('tenancy.api_keys', '');
comment on table tenancy.api_keys is 'Keys of machines. No policy but the boundary: owners and admins read them with list_api_keys().';
comment on column tenancy.api_keys.prefix is 'What the key begins with behind pgt_, in clear.';
comment on column tenancy.api_keys.digest is 'SHA-256 of the whole key, which is stored nowhere.';
comment on column tenancy.api_keys.created_by is 'The person who made it, who may have left.';
comment on column tenancy.api_keys.expires_at is 'From here on it is refused; NULL: never.';

-- Who brings one names no tenant.
create unique index api_keys_digest_key on tenancy.api_keys (digest);
-- For the list of what a member who is removed has made.
create index api_keys_created_by on tenancy.api_keys (created_by);

alter table tenancy.api_keys enable row level security, force row level security;

create policy tenant_boundary on tenancy.api_keys as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());

-- Apart from the keys: a transaction that notes its use holds that row until it
-- ends, and must not hold up the one that revokes the key.
create table tenancy.api_key_uses (
    tenant_id uuid not null,
    key_id uuid not null,
    last_used_at timestamptz,
    primary key (tenant_id, key_id),
    foreign key (tenant_id, key_id) references tenancy.api_keys (tenant_id, id) on delete cascade
);
alter table tenancy.api_key_uses set (fillfactor = 70);
select pg_catalog.pg_extension_config_dump('tenancy.api_key_uses', '');
comment on table tenancy.api_key_uses is 'When each API key entered last, to the minute. A row from the key''s first day on.';

alter table tenancy.api_key_uses enable row level security, force row level security;

create policy tenant_boundary on tenancy.api_key_uses as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());

create function tenancy_private.api_key(made tenancy.api_keys)
    returns json
    language sql volatile
begin atomic
    select pg_catalog.json_build_object(
        'id', made.id,
        'name', made.name,
        'role', made.role,
        'prefix', made.prefix,
        'createdBy', made.created_by,
        'createdAt', tenancy_private.iso(made.created_at),
        'expiresAt', tenancy_private.iso(made.expires_at),
        'revokedAt', tenancy_private.iso(made.revoked_at),
        'lastUsedAt', tenancy_private.iso((
            select u.last_used_at from tenancy.api_key_uses as u
            where u.tenant_id = made.tenant_id and u.key_id = made.id)));
end;
comment on function tenancy_private.api_key(tenancy.api_keys) is 'An API key as JSON, without its secret.';

-- A definer: nobody may write API keys.
create function tenancy.create_api_key(name text, role text, expires_at timestamptz default null)
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
    -- What is left of base64url without its two signs is base62, and more than twelve of 43.
    prefix constant text := left(translate(tenancy_private.random_token(), '-_', ''), 12);
    key constant text := format('pgt_%s_%s', prefix, tenancy_private.random_token());
    made tenancy.api_keys;
    broken text;
begin
    perform tenancy_private.require_proof('token', 'word');
    perform tenancy_private.lock_people();
    if create_api_key.expires_at <= clock_timestamp() then
        perform tenancy_private.refuse_api_key('expiresAt', 'must be in the future, and before the year 10000');
    end if;

    insert into tenancy.api_keys as k (tenant_id, name, role, prefix, digest, created_by, expires_at)
    values (tenant, btrim(create_api_key.name), create_api_key.role, prefix,
        tenancy_private.digest_of(key), tenancy.current_user_id(), create_api_key.expires_at)
    returning k.* into made;
    insert into tenancy.api_key_uses (tenant_id, key_id)
    values (tenant, made.id);

    return json_build_object(
        'id', made.id,
        'name', made.name,
        'role', made.role,
        'prefix', made.prefix,
        'key', key,
        'createdBy', made.created_by,
        'createdAt', tenancy_private.iso(made.created_at),
        'expiresAt', tenancy_private.iso(made.expires_at));
exception
    when check_violation or not_null_violation then
        get stacked diagnostics broken = constraint_name;
        perform tenancy_private.refuse_broken_api_key(broken, create_api_key.name, create_api_key.role);
        raise;
end
$$;
comment on function tenancy.create_api_key(text, text, timestamptz) is
    'Makes an API key of this tenant and returns it with "key", which is shown this once: {"id","name","role","prefix","key","createdBy","createdAt","expiresAt"}. The role is admin, member or viewer. TN001, TN203 for owners and admins, TN207 for persons only, TN310 bad name, role or expiry.';

create function tenancy_private.refuse_broken_api_key(broken text, name text, role text)
    returns void
    language plpgsql immutable
as $$
begin
    case
        when broken = 'api_keys_expiry' then
            perform tenancy_private.refuse_api_key('expiresAt', 'must be in the future, and before the year 10000');
        when broken = 'api_keys_role' or role is null then
            perform tenancy_private.refuse_api_key('role', 'must be admin, member or viewer');
        when broken = 'api_keys_name_shape' or name is null then
            perform tenancy_private.refuse_api_key('name', 'must be 1 to 100 characters long, without control characters');
        else
            -- A rule that a DBA added: the caller raises it as it is.
            null;
    end case;
end
$$;
comment on function tenancy_private.refuse_broken_api_key(text, text, text) is
    'Raises the TN310 that stands for a broken constraint.';

create function tenancy_private.refuse_api_key(field text, what text)
    returns void
    language plpgsql immutable
as $$
begin
    raise exception '"%" %', field, what
        using errcode = 'TN310', column = field, hint = 'Give a name and a role, and an expiry if it should have one.';
end
$$;
comment on function tenancy_private.refuse_api_key(text, text) is 'Raises TN310.';

-- A definer: it reads API keys, which nobody may.
create function tenancy.list_api_keys(query json default '{}')
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
    page constant tenancy_private.page := tenancy_private.read_page(query);
begin
    perform tenancy_private.require_proof('token', 'word');
    perform tenancy_private.require_role('owner', 'admin');
    return tenancy_private.list_of(page,
        (select json_agg(tenancy_private.api_key(p.made) order by (p.made).id desc)
         from (
             select k as made
             from tenancy.api_keys as k
             where k.tenant_id = tenant
             order by k.id desc
             limit page.size offset page.size * (page.number - 1)
         ) as p),
        case when page.is_counted then
            (select count(*) from tenancy.api_keys as k where k.tenant_id = tenant)
        end);
end
$$;
comment on function tenancy.list_api_keys(json) is
    'The API keys of this tenant, also revoked and expired ones, newest first: {"data":[{"id","name","role","prefix","createdBy","createdAt","expiresAt","revokedAt","lastUsedAt"}],"page","limit"}, and "total" where asked. The query as list_members(). TN001, TN203 for owners and admins, TN207 for persons only, TN406.';

-- A definer: nobody may write API keys.
create function tenancy.revoke_api_key(id uuid)
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
    revoked tenancy.api_keys;
begin
    perform tenancy_private.require_proof('token', 'word');
    -- Not by lock_people(): a key that leaked is revoked while others change people.
    perform tenancy_private.require_role('owner', 'admin');
    perform tenancy_private.check_role(tenancy_private.role_now(), array['owner', 'admin']);
    update tenancy.api_keys as k
    set revoked_at = coalesce(k.revoked_at, clock_timestamp())
    where k.tenant_id = tenant and k.id = revoke_api_key.id
    returning k.* into revoked;
    if not found then
        raise exception 'there is no such API key'
            using errcode = 'TN311', hint = 'The list of API keys tells which there are.';
    end if;

    update tenancy.invitations as i
    set revoked_at = clock_timestamp()
    where i.tenant_id = tenant
      and i.invited_with = revoked.id
      and i.accepted_at is null and i.revoked_at is null;
    return tenancy_private.api_key(revoked);
end
$$;
comment on function tenancy.revoke_api_key(uuid) is
    'From the next transaction on nobody enters with the key (TN018); the open invitations that were made with it end. Returns the key; again: no effect. TN001, TN203 for owners and admins, TN207 for persons only, TN311 no such key.';

create function tenancy_private.good_api_keys_of(tenant uuid, person uuid)
    returns json
    language sql volatile
begin atomic
    select coalesce(pg_catalog.json_agg(
        pg_catalog.json_build_object('id', k.id, 'name', k.name, 'role', k.role, 'prefix', k.prefix)
        order by k.id), '[]')
    from tenancy.api_keys as k
    where k.tenant_id = good_api_keys_of.tenant
      and k.created_by = good_api_keys_of.person
      and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > pg_catalog.clock_timestamp());
end;
comment on function tenancy_private.good_api_keys_of(uuid, uuid) is
    'The API keys of a tenant that a person made and that are still good.';

create function tenancy_private.note_use(tenant uuid, key uuid)
    returns void
    language plpgsql volatile
as $$
begin
    update tenancy.api_key_uses as u
    set last_used_at = clock_timestamp()
    where (u.tenant_id, u.key_id) in (
        select x.tenant_id, x.key_id
        from tenancy.api_key_uses as x
        where x.tenant_id = note_use.tenant and x.key_id = note_use.key
        for no key update skip locked);
exception
    -- In REPEATABLE READ, where somebody else has noted one since this transaction began.
    when serialization_failure then
        null;
end
$$;
comment on function tenancy_private.note_use(uuid, uuid) is
    'Notes that an API key entered now, unless somebody else is just noting it. Waits for nobody.';
