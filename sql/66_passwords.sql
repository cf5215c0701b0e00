/*
 * Passwords: changed by who knows the old one, reset by who reads the mail.
 *
 * The service hashes and compares; here are the hash, and who may change it.
 * A new password ends all sessions of the person.
 */

create table tenancy.password_resets (
    user_id uuid primary key references tenancy.users (id),
    digest bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    constraint password_resets_digest_length check (octet_length(digest) = 32)
);
select pg_catalog.pg_extension_config_dump('tenancy.password_resets', '');
comment on table tenancy.password_resets is 'Who may set a new password by a mail that was sent to them: one mail for each person. No policy: RLS shows it to nobody but its owner.';
comment on column tenancy.password_resets.digest is 'SHA-256 of the token in the mail, which is stored nowhere.';

create unique index password_resets_digest_key on tenancy.password_resets (digest);

alter table tenancy.password_resets enable row level security, force row level security;

create function tenancy_private.set_password(person uuid, password_hash text, reason text)
    returns void
    language plpgsql volatile
as $$
declare
    broken text;
begin
    if set_password.password_hash is null then
        raise exception check_violation using constraint = 'users_password_hash_argon2id';
    end if;
    update tenancy.users as u
    set password_hash = set_password.password_hash
    where u.id = set_password.person;
    -- Who asked for a reset in the person's name should not have one left.
    delete from tenancy.password_resets as r
    where r.user_id = set_password.person;
    perform tenancy_private.end_person(set_password.person, set_password.reason);
exception
    when check_violation then
        get stacked diagnostics broken = constraint_name;
        if broken <> 'users_password_hash_argon2id' then
            -- Not as it is: it would show the whole row, hash and all.
            raise exception 'a rule of the database forbids this password hash'
                using errcode = 'check_violation', constraint = broken;
        end if;
        raise exception 'the password hash is not argon2id in PHC form'
            using errcode = 'TN106', column = 'password', hint = 'Hash the password before you call; never store it as it is.';
end
$$;
comment on function tenancy_private.set_password(uuid, text, text) is
    'A new password: all sessions of the person end, and a reset that is on its way is void. TN106.';

-- A definer: password hashes are readable by nobody.
create function tenancy.find_password_hash(token text)
    returns text
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    found_hash text;
begin
    select u.password_hash into found_hash
    from tenancy_private.require_session(find_password_hash.token) as c
    join tenancy.users as u on u.id = c.user_id;
    return found_hash;
end
$$;
comment on function tenancy.find_password_hash(text) is
    'The password hash of the person whose access token this is, to compare the old password with before change_password(); NULL where the person has none. TN010 to TN015.';

-- A definer: persons are written by nobody.
create function tenancy.change_password(token text, password_hash text)
    returns void
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    person constant uuid := tenancy_private.spend_word(change_password.token, 'password');
begin
    perform tenancy_private.set_password(person, change_password.password_hash, 'the password was changed');
end
$$;
comment on function tenancy.change_password(text, text) is
    'For a person whose old password was right, for which the service vouches with a word of the purpose password: a new password, as an argon2id hash. Ends all sessions of the person. TN010 to TN014, TN023 a bad word, TN106 a bad hash.';

-- A definer: it writes for a person before there is a token of theirs.
create function tenancy.start_password_reset(token text, address text, lifetime interval default '1 hour')
    returns table (user_id uuid, email text, reset_token text, expires_at timestamptz)
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    secret constant text := 'pgw_' || tenancy_private.random_token();
begin
    perform tenancy_private.spend_word(start_password_reset.token, 'reset');
    expires_at := tenancy_private.expiry_of(coalesce(start_password_reset.lifetime, '1 hour'), '7 days');
    select u.id, u.email into user_id, email
    from tenancy.users as u
    where lower(u.email) = lower(btrim(start_password_reset.address));
    if not found then
        return;
    end if;

    insert into tenancy.password_resets as r (user_id, digest, expires_at)
    values (user_id, tenancy_private.digest_of(secret), expires_at)
    on conflict on constraint password_resets_pkey do update
    set digest = excluded.digest, created_at = excluded.created_at, expires_at = excluded.expires_at;
    reset_token := secret;
    return next;
end
$$;
comment on function tenancy.start_password_reset(text, text, interval) is
    'A token for the mail that lets a person with exactly that email set a new password; no row where there is nobody. A new one makes the last one void. The service asks with a word of the purpose reset, about nobody. TN010 to TN014, TN023 a bad word, TN025 bad lifetime (1 second to 7 days).';

-- A definer: it finds a person by a secret.
create function tenancy.finish_password_reset(reset_token text, password_hash text)
    returns void
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    presented constant bytea := tenancy_private.digest_of(finish_password_reset.reset_token);
    person uuid;
begin
    -- The person first, as in change_password(); then the token, if it is still there.
    select u.id into person
    from tenancy.password_resets as r
    join tenancy.users as u on u.id = r.user_id
    where r.digest = presented
    for no key update of u;
    delete from tenancy.password_resets as r
    where r.user_id = person and r.digest = presented and r.expires_at > clock_timestamp();
    if not found then
        raise exception 'the reset token is unknown, used or expired'
            using errcode = 'TN022', hint = 'Ask for a new mail.';
    end if;

    perform tenancy_private.set_password(person, finish_password_reset.password_hash, 'the password was reset');
    -- Who read the mail has the address.
    update tenancy.users as u
    set email_verified_at = coalesce(u.email_verified_at, clock_timestamp())
    where u.id = person;
end
$$;
comment on function tenancy.finish_password_reset(text, text) is
    'Sets the new password, once, as an argon2id hash. Ends all sessions of the person; the email counts as verified. TN022 the token is unknown, used or expired, TN106 a bad hash, after which the token is still good.';
