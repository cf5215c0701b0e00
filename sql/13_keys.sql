/*
 * The keepers of the signing keys: add one, activate it, retire the old one.
 */

-- A definer: the table is readable and writable by nobody.
create function tenancy.add_signing_key(
    key text,
    kid text default null,
    issuer text default null,
    audience text default null,
    algorithm text default 'HS256',
    status text default 'active'
)
    returns text
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    algorithms constant text[] := '{HS256,RS256,PS256,ES256,EdDSA}';
    found json;
    bytes bytea;
    name text;
begin
    if coalesce(add_signing_key.algorithm <> all (algorithms), true) or add_signing_key.kid = any (algorithms) then
        perform tenancy_private.refuse('TN501', 'the algorithm must be HS256, RS256, PS256, ES256 or EdDSA',
            'add_signing_key(''…'', algorithm => ''ES256'', status => ''next'')');
    end if;
    if add_signing_key.status is null or add_signing_key.status not in ('next', 'active') then
        perform tenancy_private.refuse('TN501', 'a new key is next or active',
            'next: its tokens are good, and services sign with it once it is activated.');
    end if;
    found := tenancy_private.read_key(coalesce(add_signing_key.key, ''), add_signing_key.algorithm);
    bytes := decode(found ->> 'material', 'hex');
    -- 64 bits of a digest tell no more about the secret than any token signed with it.
    name := coalesce(add_signing_key.kid, found ->> 'kid', left(encode(sha256(bytes), 'hex'), 16));
    if name !~ '^[A-Za-z0-9._-]{1,64}$' then
        perform tenancy_private.refuse('TN501', 'the kid must be 1 to 64 letters, digits, dots, underscores and hyphens',
            'Leave it out to have one made from the key.');
    end if;
    if exists (select from tenancy.issuers as i where i.issuer = add_signing_key.issuer) then
        perform tenancy_private.refuse('TN504', 'there is an identity provider of that name',
            'Our own services'' iss must be another than those of tenancy.issuers.');
    end if;

    -- At once: who could add a key, enter with it and roll back would leave no trace.
    perform tenancy_private.audit_now('add_signing_key', jsonb_build_object(
        'kid', name, 'algorithm', add_signing_key.algorithm, 'status', add_signing_key.status));
    insert into tenancy.signing_keys (kid, algorithm, material, issuer, audience, status, activated_at)
    values (name, add_signing_key.algorithm, bytes, add_signing_key.issuer, add_signing_key.audience,
        add_signing_key.status, case when add_signing_key.status = 'active' then clock_timestamp() end);
    return name;
exception
    when unique_violation then
        perform tenancy_private.refuse('TN502', format('there is a signing key "%s" already', name),
            'Give another kid, or use that key.');
end
$$;
comment on function tenancy.add_signing_key(text, text, text, text, text, text) is
    'Adds a key that enter() verifies our own services'' tokens with, and returns its kid: the JWK''s own, or the first 16 hex digits of the SHA-256 of the material. The key is a secret of 32 to 1024 bytes (HS256), or a public key as PEM or JWK (RS256 and PS256 from 2048 bits, ES256, EdDSA). With issuer or audience, tokens must carry them. A key that is next is accepted, too, and not yet signed with. TN501 bad key, kid, algorithm or status, TN502 kid taken, TN504 the issuer is an identity provider''s.';

create function tenancy_private.set_key_status(kid text, status text)
    returns void
    language plpgsql
as $$
declare
    old text;
begin
    select k.status into old
    from tenancy.signing_keys as k
    where k.kid = set_key_status.kid
    for update;
    if not found then
        raise exception 'there is no signing key "%"', set_key_status.kid
            using errcode = 'TN503', hint = 'The kid stands in the header of every token signed with it.';
    end if;
    if old = 'retired' and set_key_status.status = 'active' then
        raise exception 'the signing key "%" is retired', set_key_status.kid
            using errcode = 'TN507', hint = 'Add another key: one that was retired may be known to others.';
    end if;
    update tenancy.signing_keys as k
    set status = set_key_status.status,
        activated_at = case when set_key_status.status = 'active' then clock_timestamp() else k.activated_at end
    where k.kid = set_key_status.kid;
end
$$;
comment on function tenancy_private.set_key_status(text, text) is
    'Makes a signing key active or retired. TN503, TN507.';

-- A definer: the table is readable and writable by nobody.
create function tenancy.activate_signing_key(kid text)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit_now('activate_signing_key', jsonb_build_object('kid', activate_signing_key.kid));
    perform tenancy_private.set_key_status(activate_signing_key.kid, 'active');
end
$$;
comment on function tenancy.activate_signing_key(text) is
    'From now on the services that hold the key sign with it; the tokens of the others stay good until their keys are retired. Again: it is the latest again. TN503 no such key, TN507 it is retired.';

-- A definer: the table is readable and writable by nobody.
create function tenancy.retire_signing_key(kid text)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit('retire_signing_key', jsonb_build_object('kid', retire_signing_key.kid));
    perform tenancy_private.set_key_status(retire_signing_key.kid, 'retired');
end
$$;
comment on function tenancy.retire_signing_key(text) is
    'From the next transaction on tokens signed with that key are refused (TN011), and there is no way back. TN503 no such key.';

-- A definer: the table is readable by nobody. It tells no material.
create function tenancy.signing_key_states(kids text[] default null)
    returns table (kid text, algorithm text, status text, activated_at timestamptz)
    language sql stable
    security definer set search_path = pg_catalog, pg_temp
begin atomic
    select k.kid, k.algorithm, k.status, k.activated_at
    from tenancy.signing_keys as k
    where signing_key_states.kids is null or k.kid = any (signing_key_states.kids)
    order by k.activated_at desc nulls last, k.created_at desc, k.kid;
end;
comment on function tenancy.signing_key_states(text[]) is
    'The signing keys of these kids (NULL: all), the one that was activated last first: for a service, to know which of its keys to sign with.';
