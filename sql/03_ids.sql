/*
 * Ids that sort by time, and tokens that can't be guessed.
 *
 * Rows are listed newest first. With UUIDv7 that is a backward scan of the
 * primary key (tenant_id, id), and no second index is needed.
 */

create function tenancy.uuid_v7()
    returns uuid
    language c volatile parallel safe
as 'MODULE_PATHNAME', 'tenancy_uuid_v7';
comment on function tenancy.uuid_v7() is
    'A new UUID of version 7 (RFC 9562): the milliseconds since 1970, then random bits. Ascending within one connection.';

create function tenancy_private.random_token()
    returns text
    language c volatile parallel safe
as 'MODULE_PATHNAME', 'tenancy_random_token';
comment on function tenancy_private.random_token() is
    'A new secret of 256 random bits, as 43 characters of base64url. Store its SHA-256 alone; so many bits need no salt.';

create function tenancy_private.digest_of(secret text)
    returns bytea
    language sql immutable strict parallel safe
return pg_catalog.sha256(pg_catalog.convert_to(secret, 'UTF8'));
comment on function tenancy_private.digest_of(text) is
    'What is stored of a secret that random_token() made.';

-- Every table that tells when its rows changed has this trigger.
create function tenancy_private.keep_times()
    returns trigger
    language plpgsql
as $$
begin
    new.created_at := old.created_at;
    new.updated_at := pg_catalog.now();
    return new;
end
$$;
comment on function tenancy_private.keep_times() is
    'Trigger: created_at stays what it was, updated_at is the time of this transaction.';
