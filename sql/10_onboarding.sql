/*
 * Onboarding: a new customer, in one step or not at all.
 */

create type tenancy.registration as (
    tenant_id uuid,
    name text,
    slug text,
    user_id uuid,
    email text
);
comment on type tenancy.registration is 'What register_tenant() made.';

create function tenancy_private.slug_of(name text)
    returns text
    language sql immutable strict
return trim(both '-' from left(
    regexp_replace(lower(name collate "C"), '[^a-z0-9]+', '-', 'g'), 63
));
comment on function tenancy_private.slug_of(text) is
    'A name as a slug; empty for a name without a letter or digit of ASCII.';

-- A definer: it writes before there is a tenant to be in.
create function tenancy.register_tenant(
    name text,
    slug text default null,
    email text default null,
    password_hash text default null
)
    returns tenancy.registration
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    made tenancy.registration;
    broken text;
begin
    made.name := btrim(register_tenant.name);
    made.email := btrim(register_tenant.email);
    made.slug := coalesce(register_tenant.slug, tenancy_private.slug_of(trim(both '-' from made.name)));
    if made.name is null or made.name = '' then
        raise exception 'a tenant needs a name'
            using errcode = 'TN104', column = 'tenantName', hint = 'Give 1 to 255 characters.';
    end if;
    if made.email is null or made.email = '' then
        raise exception 'a tenant needs the email of its first user'
            using errcode = 'TN105', column = 'email', hint = 'Give an address like name@example.com.';
    end if;
    -- A name in another script has no slug of its own.
    if made.slug = '' then
        made.slug := 'tenant-' || right(tenancy.uuid_v7()::text, 12);
    end if;

    -- Always in this order, so that two at once wait for each other and never in a circle.
    insert into tenancy.tenants as t (name, slug)
    values (made.name, made.slug)
    returning t.id into made.tenant_id;

    insert into tenancy.users as u (email, password_hash)
    values (made.email, register_tenant.password_hash)
    returning u.id into made.user_id;

    insert into tenancy.memberships (tenant_id, user_id, role)
    values (made.tenant_id, made.user_id, 'owner');

    insert into tenancy.projects (tenant_id, title, owner_id)
    values (made.tenant_id, 'Getting Started', made.user_id);

    return made;
exception
    when unique_violation or check_violation then
        get stacked diagnostics broken = constraint_name;
        perform tenancy_private.refuse_registration(broken, made);
        raise;
end
$$;
comment on function tenancy.register_tenant(text, text, text, text) is
    'Makes a tenant, its first user as owner, and a project "Getting Started": all or nothing. The slug is made from the name unless given; without a password_hash (argon2id, PHC) the user can''t log in. TN101 name taken, TN102 slug taken, TN103 email taken, TN104 bad name or slug, TN105 bad email, TN106 bad hash.';

create function tenancy_private.refuse_registration(broken text, wanted tenancy.registration)
    returns void
    language plpgsql
as $$
begin
    case broken
        when 'tenants_name_key' then
            raise exception 'the name "%" is taken', wanted.name
                using errcode = 'TN101', column = 'tenantName', hint = 'Choose another name.';
        when 'tenants_slug_key' then
            raise exception 'the slug "%" is taken', wanted.slug
                using errcode = 'TN102', column = 'slug', hint = 'Choose another slug, or a name that differs in more than signs.';
        when 'users_email_key' then
            raise exception 'the email is registered already'
                using errcode = 'TN103', column = 'email', hint = 'Log in with it, or register with another one.';
        when 'tenants_name_shape' then
            raise exception 'the name must be 1 to 255 characters long, without control characters'
                using errcode = 'TN104', column = 'tenantName', hint = 'Choose another name.';
        when 'tenants_slug_shape' then
            raise exception 'the slug must be 1 to 63 of a to z, 0 to 9 and inner hyphens'
                using errcode = 'TN104', column = 'slug', hint = 'Choose another slug, or leave it out.';
        when 'users_email_shape' then
            raise exception 'the email is not an address'
                using errcode = 'TN105', column = 'email', hint = 'Give an address like name@example.com.';
        when 'users_password_hash_argon2id' then
            raise exception 'the password hash is not argon2id in PHC form'
                using errcode = 'TN106', column = 'password', hint = 'Hash the password before you call; never store it as it is.';
        else
            -- A rule that a DBA added: the caller raises it as it is.
            null;
    end case;
end
$$;
comment on function tenancy_private.refuse_registration(text, tenancy.registration) is
    'Raises the TN1xx that stands for a broken constraint.';
