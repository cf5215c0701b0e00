/*
 * The keepers of the signing keys: add one, retire one.
 */

-- A definer: the table is readable and writable by nobody.
create function tenancy.add_signing_key(
    secret text,
    kid text default null,
    issuer text default null,
    audience text default null
)
    returns text
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    bytes constant bytea := convert_to(add_signing_key.secret, 'UTF8');
    -- 64 bits of a digest tell no more about the secret than any token signed with it.
    name constant text := coalesce(add_signing_key.kid, left(encode(sha256(bytes), 'hex'), 16));
begin
    if coalesce(octet_length(bytes), 0) not between 32 and 1024 then
        raise exception 'the secret must be 32 to 1024 bytes long'
            using errcode = 'TN501', hint = 'Make one with: openssl rand -base64 48';
    end if;
    if name !~ '^[A-Za-z0-9._-]{1,64}$' then
        raise exception 'the kid must be 1 to 64 letters, digits, dots, underscores and hyphens'
            using errcode = 'TN501', hint = 'Leave it out to have one made from the secret.';
    end if;

    -- At once: who could add a key, enter with it and roll back would leave no trace.
    perform tenancy_private.audit_now('add_signing_key', jsonb_build_object('kid', name));
    insert into tenancy.signing_keys (kid, secret, issuer, audience)
    values (name, bytes, add_signing_key.issuer, add_signing_key.audience);
    return name;
exception
    when unique_violation then
        raise exception 'there is a signing key "%" already', name
            using errcode = 'TN502', hint = 'Give another kid, or use that key.';
end
$$;
comment on function tenancy.add_signing_key(text, text, text, text) is
    'Adds an HS256 key (32 to 1024 bytes of UTF-8) that enter() verifies tokens with, and returns its kid: by default the first 16 hex digits of the secret''s SHA-256. With issuer or audience, tokens must carry them. TN501 bad secret or kid, TN502 kid taken.';

-- A definer: the table is readable and writable by nobody.
create function tenancy.retire_signing_key(kid text)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit('retire_signing_key', jsonb_build_object('kid', retire_signing_key.kid));
    update tenancy.signing_keys as k
    set status = 'retired'
    where k.kid = retire_signing_key.kid;
    if not found then
        raise exception 'there is no signing key "%"', retire_signing_key.kid
            using errcode = 'TN503', hint = 'The kid stands in the header of every token signed with it.';
    end if;
end
$$;
comment on function tenancy.retire_signing_key(text) is
    'From the next transaction on tokens signed with that key are refused (TN011). TN503 no such key.';
