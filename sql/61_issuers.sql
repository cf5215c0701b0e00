/*
 * Issuers: identity providers of others, whose tokens enter too.
 *
 * A token belongs to the issuer that its iss names, and is verified with that
 * issuer's keys alone, never with another's or with our signing keys. An issuer
 * says who somebody is and for which tenant; whether that person is a member of
 * it, and with which role, is decided here. Its subjects are no users of ours
 * until somebody links them, or the issuer was told to be believed.
 */

create table tenancy.issuers (
    issuer text primary key,
    audience text,
    jwks_url text,
    tenant_claim text[] not null default '{tenantId}',
    tenant_by text not null default 'id',
    subject_by text not null default 'identity',
    only_tenant uuid references tenancy.tenants (id),
    created_at timestamptz not null default now(),
    fetched_at timestamptz,
    constraint issuers_issuer_shape check (issuer ~ '^[^[:cntrl:][:space:]]{1,255}$'),
    constraint issuers_audience_shape check (audience ~ '^[^[:cntrl:]]{1,255}$'),
    -- Without @: what stands before it would look like the host.
    constraint issuers_jwks_url_shape check (
        length(jwks_url) <= 2048
        and (jwks_url ~ '^https://[^/?#@[:space:][:cntrl:]]+(/[^[:space:][:cntrl:]]*)?$'
             or jwks_url ~ '^http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?(/[^[:space:][:cntrl:]]*)?$')
    ),
    constraint issuers_tenant_claim_shape check (
        cardinality(tenant_claim) between 1 and 8
        and array_ndims(tenant_claim) = 1
        and tenant_claim[array_lower(tenant_claim, 1)] <> '*'
        and array_position(tenant_claim, null) is null
        and '' <> all (tenant_claim)
    ),
    constraint issuers_tenant_by check (tenant_by in ('id', 'slug', 'external')),
    constraint issuers_subject_by check (subject_by in ('identity', 'verified_email', 'id'))
);
select pg_catalog.pg_extension_config_dump('tenancy.issuers', '');
comment on table tenancy.issuers is 'Identity providers whose tokens enter. tenancy_admin reads it; it holds no key.';
comment on column tenancy.issuers.issuer is 'The iss of its tokens, to the letter.';
comment on column tenancy.issuers.audience is 'What a token''s aud must be or contain; NULL: it is not looked at, and a token for any other application of that issuer is good here as well.';
comment on column tenancy.issuers.jwks_url is 'Where a service fetches its keys from; NULL: they come by set_issuer_jwks() alone.';
comment on column tenancy.issuers.tenant_claim is 'The path to the tenant in a token, step by step; * is the only member of an object or the only element of a list.';
comment on column tenancy.issuers.tenant_by is 'What stands there: id or slug of a tenant, or an external name that link_tenant() knows.';
comment on column tenancy.issuers.subject_by is 'Whose token it is: identity, a link by link_identity(); verified_email, also whose address the issuer and we have both verified; id, sub is the id of a user here.';
comment on column tenancy.issuers.only_tenant is 'The one tenant that its tokens may enter, such as the customer''s whose it is; NULL: every tenant that the person is a member of.';
comment on constraint issuers_issuer_shape on tenancy.issuers is 'the issuer must be 1 to 255 characters without blanks';
comment on constraint issuers_audience_shape on tenancy.issuers is 'the audience must be 1 to 255 characters';
comment on constraint issuers_jwks_url_shape on tenancy.issuers is 'the address of the keys must begin with https://, and have no user in it';
comment on constraint issuers_tenant_claim_shape on tenancy.issuers is 'the path to the tenant must have 1 to 8 steps, and begin with a name';
comment on constraint issuers_tenant_by on tenancy.issuers is 'tenant_by must be id, slug or external';
comment on constraint issuers_subject_by on tenancy.issuers is 'subject_by must be identity, verified_email or id';

alter table tenancy.issuers enable row level security, force row level security;

create policy select_all on tenancy.issuers for select to tenancy_admin
    using (true);

create table tenancy.issuer_keys (
    issuer text not null references tenancy.issuers (issuer) on delete cascade,
    kid text not null,
    algorithm text not null,
    material bytea not null,
    primary key (issuer, kid),
    constraint issuer_keys_algorithm check (algorithm in ('RS256', 'PS256', 'ES256', 'EdDSA'))
);
select pg_catalog.pg_extension_config_dump('tenancy.issuer_keys', '');
comment on table tenancy.issuer_keys is 'The public keys of issuers, as they published them last. No policy: RLS shows it to nobody but its owner.';
comment on column tenancy.issuer_keys.material is 'The public key in DER (SubjectPublicKeyInfo).';

alter table tenancy.issuer_keys enable row level security, force row level security;

create table tenancy.user_identities (
    issuer text not null references tenancy.issuers (issuer) on delete cascade,
    subject text not null,
    user_id uuid not null references tenancy.users (id),
    created_at timestamptz not null default now(),
    primary key (issuer, subject),
    constraint user_identities_subject_shape check (subject ~ '^[^[:cntrl:]]{1,255}$')
);
select pg_catalog.pg_extension_config_dump('tenancy.user_identities', '');
comment on table tenancy.user_identities is 'Who a subject of an issuer is here. No policy: RLS shows it to nobody but its owner.';

create index user_identities_user_id on tenancy.user_identities (user_id);

alter table tenancy.user_identities enable row level security, force row level security;

create table tenancy.issuer_tenants (
    tenant_id uuid not null references tenancy.tenants (id),
    issuer text not null,
    external_id text not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, issuer, external_id),
    constraint issuer_tenants_external_id_shape check (external_id ~ '^[^[:cntrl:]]{1,255}$')
);
select pg_catalog.pg_extension_config_dump('tenancy.issuer_tenants', '');
comment on table tenancy.issuer_tenants is 'What issuers call our tenants. No policy but the boundary: nobody reads it.';

-- A token names the issuer and its name for the tenant.
create unique index issuer_tenants_external_id_key on tenancy.issuer_tenants (issuer, external_id);

alter table tenancy.issuer_tenants enable row level security, force row level security;

create policy tenant_boundary on tenancy.issuer_tenants as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());

create function tenancy_private.read_key_set(jwks text)
    returns json
    language c strict immutable
as 'MODULE_PATHNAME', 'tenancy_read_key_set';
comment on function tenancy_private.read_key_set(text) is
    'The keys of a JWKS that can be used here, as [{"kid","algorithm","material"}], the material in hex. TN506, which shows nothing of it.';

create function tenancy_private.replace_issuer_keys(issuer text, jwks text)
    returns integer
    language plpgsql
as $$
declare
    keys constant json := tenancy_private.read_key_set(coalesce(replace_issuer_keys.jwks, ''));
    changed bigint;
begin
    update tenancy.issuers as i
    set fetched_at = clock_timestamp()
    where i.issuer = replace_issuer_keys.issuer;
    if not found then
        perform tenancy_private.refuse('TN505', 'there is no such issuer', 'tenancy.add_issuer() adds one.');
    end if;

    with wanted as (
        select k.kid, k.algorithm, decode(k.material, 'hex') as material
        from json_to_recordset(keys) as k (kid text, algorithm text, material text)
    ), gone as (
        delete from tenancy.issuer_keys as old
        where old.issuer = replace_issuer_keys.issuer
          and not exists (select from wanted as w where w.kid = old.kid)
        returning old.kid
    ), put as (
        insert into tenancy.issuer_keys as old (issuer, kid, algorithm, material)
        select replace_issuer_keys.issuer, w.kid, w.algorithm, w.material
        from wanted as w
        on conflict on constraint issuer_keys_pkey do update
        set algorithm = excluded.algorithm, material = excluded.material
        where (old.algorithm, old.material) is distinct from (excluded.algorithm, excluded.material)
        returning old.kid
    )
    select (select count(*) from gone) + (select count(*) from put) into changed;
    if changed > 0 then
        perform tenancy_private.audit('issuer_keys_changed', jsonb_build_object(
            'issuer', replace_issuer_keys.issuer,
            'kids', (select json_agg(k.kid order by k.kid) from tenancy.issuer_keys as k
                     where k.issuer = replace_issuer_keys.issuer)));
    end if;
    return json_array_length(keys);
end
$$;
comment on function tenancy_private.replace_issuer_keys(text, text) is
    'Makes those of a JWKS the only keys of an issuer, and returns how many they are. TN505, TN506; then the old ones stay.';

-- A definer: the table is readable and writable by nobody.
create function tenancy.issuers_to_fetch()
    returns table (issuer text, jwks_url text, fetched_at timestamptz)
    language sql stable
    security definer set search_path = pg_catalog, pg_temp
begin atomic
    select i.issuer, i.jwks_url, i.fetched_at
    from tenancy.issuers as i
    where i.jwks_url is not null
    order by i.fetched_at nulls first, i.issuer;
end;
comment on function tenancy.issuers_to_fetch() is
    'The issuers whose keys are to be fetched from an address, those that have waited longest first: for a service. The database itself fetches nothing.';

-- A definer: the tables are writable by nobody. The word is the service's: who has
-- the database password alone can't plant a key.
create function tenancy.store_issuer_jwks(word text, issuer text, jwks text)
    returns integer
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.spend_word(coalesce(store_issuer_jwks.word, ''), 'jwks');
    -- Keys that a DBA has set by hand are not the service's business.
    if not exists (
        select from tenancy.issuers as i
        where i.issuer = store_issuer_jwks.issuer and i.jwks_url is not null
    ) then
        perform tenancy_private.refuse('TN505', 'there is no such issuer with an address to fetch from',
            'tenancy.issuers_to_fetch() lists them.');
    end if;
    return tenancy_private.replace_issuer_keys(store_issuer_jwks.issuer, store_issuer_jwks.jwks);
end
$$;
comment on function tenancy.store_issuer_jwks(text, text, text) is
    'Stores the JWKS that a service has fetched from an issuer''s address, as the only keys of that issuer, and returns how many can be used. The word is a token of the service with the purpose jwks, good once. TN010 to TN014, TN023 a bad word, TN505 no such issuer, TN506 a bad key set: then the old keys stay.';
