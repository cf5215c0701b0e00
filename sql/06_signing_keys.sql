/*
 * Signing keys: what the signature of our own services' tokens is verified with.
 *
 * A key names its algorithm, and a token that claims another is refused. The
 * material is readable by tenancy_owner alone: by enter(), and by no person. A
 * key is next, then active, then retired. Tokens of the first two are good, so
 * that a rotation (add, activate, retire) refuses none; the services sign with
 * the one of theirs that was activated last.
 */

create table tenancy.signing_keys (
    kid text primary key,
    algorithm text not null default 'HS256',
    material bytea not null,
    issuer text,
    audience text,
    status text not null default 'next',
    created_at timestamptz not null default now(),
    activated_at timestamptz,
    constraint signing_keys_kid_shape check (kid ~ '^[A-Za-z0-9._-]{1,64}$'),
    constraint signing_keys_algorithm check (algorithm in ('HS256', 'RS256', 'PS256', 'ES256', 'EdDSA')),
    constraint signing_keys_material_length check (octet_length(material) between 32 and 2048),
    constraint signing_keys_status check (status in ('next', 'active', 'retired')),
    constraint signing_keys_activated check (status <> 'active' or activated_at is not null)
);
select pg_catalog.pg_extension_config_dump('tenancy.signing_keys', '');
comment on table tenancy.signing_keys is 'Keys that our own services'' tokens are verified with. No policy: RLS shows it to nobody but its owner.';
comment on column tenancy.signing_keys.kid is 'The key''s name in a token''s header: 1 to 64 letters, digits, dots, underscores and hyphens.';
comment on column tenancy.signing_keys.material is 'The secret of HS256, else the public key in DER (SubjectPublicKeyInfo).';
comment on column tenancy.signing_keys.issuer is 'What a token''s iss must be; NULL: it is not looked at.';
comment on column tenancy.signing_keys.audience is 'What a token''s aud must be or contain; NULL: it is not looked at.';
comment on column tenancy.signing_keys.status is 'next and active: tokens are good; retired: they are not.';
comment on column tenancy.signing_keys.activated_at is 'When services were told to sign with it: the latest counts.';

alter table tenancy.signing_keys enable row level security, force row level security;

create function tenancy_private.read_key(key text, algorithm text)
    returns json
    language c strict immutable
as 'MODULE_PATHNAME', 'tenancy_read_key';
comment on function tenancy_private.read_key(text, text) is
    'A secret, PEM or JWK for that algorithm as {"kid","material"}: kid as a JWK has it, or null; the material in hex, in one form for each algorithm. TN501, which shows nothing of the key.';

create function tenancy_private.refuse(code text, message text, hint text)
    returns void
    language c strict volatile
as 'MODULE_PATHNAME', 'tenancy_refuse';
comment on function tenancy_private.refuse(text, text, text) is
    'Raises an error, and keeps the statement out of the server''s log: for calls whose text may hold a key. The code is one of TN501 to TN508.';

-- A definer: it verifies a token, which takes the key.
create function tenancy_private.verify_token(token text)
    returns json
    language c strict volatile parallel unsafe
    security definer set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tenancy_verify_token';
comment on function tenancy_private.verify_token(text) is
    'What a token says whose key, signature, dates and session are good: {"userId","tenantId","sessionId","purpose","issuer","email"}, null for what it doesn''t say; else the error that enter() would raise. Ids are ours, also where an issuer''s token has others; issuer is that of an identity provider, and null for a token of our own. Membership and the tenant''s state are not looked at. An issuer with only_tenant speaks for that tenant and not for the person: TN014. A token with a purpose is a service''s word and nobody''s proof: see require_word().';

-- A definer: it verifies a word, which takes the key.
create function tenancy_private.require_word(token text, purpose text)
    returns uuid
    language c strict volatile parallel unsafe
    security definer set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tenancy_require_word';
comment on function tenancy_private.require_word(text, text) is
    'The person (sub) whom a service''s word of exactly that purpose is about: a token with the claim purpose, signed with one of our signing keys. TN010 to TN014, TN023 another purpose, or none.';
