/*
 * Signing keys: what a token's signature is verified with.
 *
 * A key names its algorithm, and a token that claims another is refused. The
 * secret is readable by tenancy_owner alone: by enter(), and by no person.
 */

create table tenancy.signing_keys (
    kid text primary key,
    algorithm text not null default 'HS256',
    secret bytea not null,
    issuer text,
    audience text,
    status text not null default 'active',
    created_at timestamptz not null default now(),
    constraint signing_keys_kid_shape check (kid ~ '^[A-Za-z0-9._-]{1,64}$'),
    constraint signing_keys_algorithm check (algorithm in ('HS256')),
    constraint signing_keys_secret_length check (octet_length(secret) between 32 and 1024),
    constraint signing_keys_status check (status in ('active', 'retired'))
);
select pg_catalog.pg_extension_config_dump('tenancy.signing_keys', '');
comment on table tenancy.signing_keys is 'Keys that tokens are verified with. No policy: RLS shows it to nobody but its owner.';
comment on column tenancy.signing_keys.kid is 'The key''s name in a token''s header: 1 to 64 letters, digits, dots, underscores and hyphens.';
comment on column tenancy.signing_keys.issuer is 'What a token''s iss must be; NULL: it is not looked at.';
comment on column tenancy.signing_keys.audience is 'What a token''s aud must be or contain; NULL: it is not looked at.';

alter table tenancy.signing_keys enable row level security, force row level security;

-- A definer: it verifies a token, which takes the key.
create function tenancy_private.verify_token(token text)
    returns json
    language c strict volatile parallel unsafe
    security definer set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tenancy_verify_token';
comment on function tenancy_private.verify_token(text) is
    'What a token says whose key, signature and dates are good: {"userId","tenantId","sessionId","purpose","issuer","email"}, null for what it doesn''t say; else the error that enter() would raise. Tenant and membership are not looked at. A token with a purpose is a service''s word and nobody''s proof: see require_word().';

-- A definer: it verifies a word, which takes the key.
create function tenancy_private.require_word(token text, purpose text)
    returns uuid
    language c strict volatile parallel unsafe
    security definer set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tenancy_require_word';
comment on function tenancy_private.require_word(text, text) is
    'The person (sub) whom a service''s word of exactly that purpose is about: a token with the claim purpose, signed with one of our signing keys. TN010 to TN014, TN023 another purpose, or none.';
