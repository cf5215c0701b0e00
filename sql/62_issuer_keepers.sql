/*
 * The keepers of the issuers: which identity providers are believed, about whom
 * and for which tenants. All for tenancy_admin, and all in the audit log. What lets
 * somebody in is there at once: who could add an issuer, enter with it and roll back
 * would leave no trace. What shuts somebody out is there with the deed, so that it
 * never waits for a free background worker.
 */

-- A definer: the tables are writable by nobody.
create function tenancy.add_issuer(
    issuer text,
    audience text,
    jwks text default null,
    jwks_url text default null,
    tenant_claim text[] default '{tenantId}',
    tenant_by text default 'id',
    subject_by text default 'identity',
    only_tenant uuid default null
)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    broken text;
begin
    if add_issuer.jwks is null and add_issuer.jwks_url is null then
        perform tenancy_private.refuse('TN504', 'an issuer needs keys: a JWKS, or the address of one',
            'Its configuration (/.well-known/openid-configuration) says where: jwks_uri.');
    end if;
    if exists (select from tenancy.signing_keys as k where k.issuer = add_issuer.issuer) then
        perform tenancy_private.refuse('TN504', 'our own services'' tokens have that issuer',
            'An identity provider must have another name than our own services.');
    end if;
    if add_issuer.only_tenant is not null
        and not exists (select from tenancy.tenants as t where t.id = add_issuer.only_tenant)
    then
        raise exception 'there is no tenant %', add_issuer.only_tenant
            using errcode = 'TN601', hint = 'tenancy.report_tenants() lists them.';
    end if;

    perform tenancy_private.audit_now('add_issuer', jsonb_build_object(
        'issuer', add_issuer.issuer, 'audience', add_issuer.audience, 'jwks_url', add_issuer.jwks_url,
        'tenant_claim', add_issuer.tenant_claim, 'tenant_by', add_issuer.tenant_by,
        'subject_by', add_issuer.subject_by, 'only_tenant', add_issuer.only_tenant));
    insert into tenancy.issuers
        (issuer, audience, jwks_url, tenant_claim, tenant_by, subject_by, only_tenant)
    values (add_issuer.issuer, add_issuer.audience, add_issuer.jwks_url, add_issuer.tenant_claim,
        add_issuer.tenant_by, add_issuer.subject_by, add_issuer.only_tenant);
    if add_issuer.jwks is not null then
        perform tenancy_private.replace_issuer_keys(add_issuer.issuer, add_issuer.jwks);
        -- Those are from before the first fetch.
        update tenancy.issuers as i set fetched_at = null where i.issuer = add_issuer.issuer;
    end if;
exception
    when unique_violation then
        perform tenancy_private.refuse('TN504', 'there is that issuer already',
            'Change its keys with set_issuer_jwks(), or remove it first.');
    when check_violation then
        get stacked diagnostics broken = constraint_name;
        perform tenancy_private.refuse('TN504', coalesce((
            select obj_description(c.oid, 'pg_constraint')
            from pg_constraint as c
            where c.conrelid = 'tenancy.issuers'::regclass and c.conname = broken
        ), 'bad settings of an issuer'), 'See the comments on tenancy.issuers.');
    when not_null_violation then
        perform tenancy_private.refuse('TN504', 'only audience, only_tenant and one of jwks and jwks_url may be null',
            'See the comments on tenancy.issuers.');
end
$$;
comment on function tenancy.add_issuer(text, text, text, text, text[], text, text, uuid) is
    'Lets the tokens of an identity provider enter. Its keys: as a JWKS, or by the address that a service fetches one from. Without an audience (NULL) a token that it made for any other application is good here, too. What the other arguments mean stands with the columns of tenancy.issuers. TN504 bad settings, or it is there already, TN506 bad key set, TN601 no such tenant.';

-- A definer: the tables are writable by nobody.
create function tenancy.set_issuer_jwks(issuer text, jwks text)
    returns integer
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit_now('set_issuer_jwks', jsonb_build_object('issuer', set_issuer_jwks.issuer));
    return tenancy_private.replace_issuer_keys(set_issuer_jwks.issuer, set_issuer_jwks.jwks);
end
$$;
comment on function tenancy.set_issuer_jwks(text, text) is
    'Makes those of a JWKS the only keys of an issuer, from the next transaction on, and returns how many can be used. Where it has an address, until the next fetch. TN505 no such issuer, TN506 bad key set.';

-- A definer: the tables are writable by nobody.
create function tenancy.remove_issuer(issuer text)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit('remove_issuer', jsonb_build_object('issuer', remove_issuer.issuer));
    delete from tenancy.issuer_tenants as l where l.issuer = remove_issuer.issuer;
    delete from tenancy.issuers as i where i.issuer = remove_issuer.issuer;
    if not found then
        perform tenancy_private.refuse('TN505', 'there is no such issuer', 'tenancy.issuers lists them.');
    end if;
end
$$;
comment on function tenancy.remove_issuer(text) is
    'From the next transaction on its tokens are refused (TN011). Its keys and all links to persons and tenants go with it. TN505 no such issuer.';

create function tenancy_private.require_issuer(issuer text)
    returns void
    language plpgsql
as $$
begin
    -- With a lock, so that a link can't outlive an issuer that is removed at this moment.
    perform from tenancy.issuers as i where i.issuer = require_issuer.issuer for key share;
    if not found then
        perform tenancy_private.refuse('TN505', 'there is no such issuer', 'tenancy.add_issuer() adds one.');
    end if;
end
$$;
comment on function tenancy_private.require_issuer(text) is 'TN505 unless there is that issuer.';

-- A definer: the tables are writable by nobody.
create function tenancy.link_identity(issuer text, subject text, email text)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    person constant uuid := tenancy_private.user_of(link_identity.email);
    linked uuid;
begin
    perform tenancy_private.audit_now('link_identity', jsonb_build_object(
        'issuer', link_identity.issuer, 'subject', link_identity.subject, 'user_id', person));
    perform tenancy_private.require_issuer(link_identity.issuer);
    insert into tenancy.user_identities as l (issuer, subject, user_id)
    values (link_identity.issuer, link_identity.subject, person)
    on conflict on constraint user_identities_pkey do update set user_id = l.user_id
    returning l.user_id into linked;
    if linked <> person then
        perform tenancy_private.refuse('TN508', 'that subject is somebody else here',
            'tenancy.unlink_identity() parts them first.');
    end if;
exception
    when check_violation or not_null_violation then
        perform tenancy_private.refuse('TN504', 'the subject must be 1 to 255 characters',
            'It is the sub of the person''s tokens, to the letter.');
end
$$;
comment on function tenancy.link_identity(text, text, text) is
    'That subject of that issuer is the person with that email here. Again: no effect. TN504 bad subject, TN505 no such issuer, TN508 it is somebody else, TN603 nobody has that email.';

-- A definer: the tables are writable by nobody.
create function tenancy.unlink_identity(issuer text, subject text)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit('unlink_identity', jsonb_build_object(
        'issuer', unlink_identity.issuer, 'subject', unlink_identity.subject));
    delete from tenancy.user_identities as l
    where l.issuer = unlink_identity.issuer and l.subject = unlink_identity.subject;
end
$$;
comment on function tenancy.unlink_identity(text, text) is
    'From the next transaction on that subject is nobody here (TN021), unless the issuer''s verified emails are believed. Again: no effect.';

-- A definer: the tables are writable by nobody.
create function tenancy.link_tenant(issuer text, external_id text, tenant uuid)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
-- For ON CONFLICT, whose columns can't be qualified.
#variable_conflict use_column
declare
    linked uuid;
begin
    perform tenancy_private.audit_now('link_tenant', jsonb_build_object(
        'issuer', link_tenant.issuer, 'external_id', link_tenant.external_id, 'tenant', link_tenant.tenant));
    perform tenancy_private.require_issuer(link_tenant.issuer);
    if not exists (select from tenancy.tenants as t where t.id = link_tenant.tenant) then
        raise exception 'there is no tenant %', link_tenant.tenant
            using errcode = 'TN601', hint = 'tenancy.report_tenants() lists them.';
    end if;
    insert into tenancy.issuer_tenants as l (tenant_id, issuer, external_id)
    values (link_tenant.tenant, link_tenant.issuer, link_tenant.external_id)
    on conflict (issuer, external_id) do update set tenant_id = l.tenant_id
    returning l.tenant_id into linked;
    if linked <> link_tenant.tenant then
        perform tenancy_private.refuse('TN508', 'that name is another tenant here',
            'tenancy.unlink_tenant() parts them first.');
    end if;
exception
    when check_violation or not_null_violation then
        perform tenancy_private.refuse('TN504', 'the external name must be 1 to 255 characters',
            'It is what stands at tenant_claim in the issuer''s tokens, to the letter.');
end
$$;
comment on function tenancy.link_tenant(text, text, uuid) is
    'What that issuer calls so is that tenant here, for an issuer with tenant_by external. A tenant may have several names. Again: no effect. TN504 bad name, TN505 no such issuer, TN508 it is another tenant, TN601 no such tenant.';

-- A definer: the tables are writable by nobody.
create function tenancy.unlink_tenant(issuer text, external_id text)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit('unlink_tenant', jsonb_build_object(
        'issuer', unlink_tenant.issuer, 'external_id', unlink_tenant.external_id));
    delete from tenancy.issuer_tenants as l
    where l.issuer = unlink_tenant.issuer and l.external_id = unlink_tenant.external_id;
end
$$;
comment on function tenancy.unlink_tenant(text, text) is
    'From the next transaction on that name is no tenant here (TN002). Again: no effect.';
