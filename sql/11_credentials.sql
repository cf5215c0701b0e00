/*
 * Credentials: what a login needs, one exact address at a time.
 *
 * The authenticator can't read the tables, so it can't list people. It can ask
 * for an address that it already knows. What it wants done for a person it
 * backs with a word: a token of the service, about one person, for one purpose,
 * good for a minute and for one use.
 */

create type tenancy.credentials as (
    user_id uuid,
    email text,
    password_hash text
);
comment on type tenancy.credentials is 'What find_credentials() tells of a person.';

-- A definer: password hashes are readable by nobody. In PL/pgSQL, which keeps its plans:
-- one in SQL would be planned by each login.
create function tenancy.find_credentials(email text)
    returns setof tenancy.credentials
    language plpgsql stable strict rows 1
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select u.id, u.email, u.password_hash
    from tenancy.users as u
    where lower(u.email) = lower(btrim(find_credentials.email));
end
$$;
comment on function tenancy.find_credentials(text) is
    'The person with exactly that email, whatever the case, or no row. Compare the password also when there is none, or the time tells who exists.';

create table tenancy.spent_words (
    digest bytea primary key,
    expires_at timestamptz not null,
    constraint spent_words_digest_length check (octet_length(digest) = 32)
);
select pg_catalog.pg_extension_config_dump('tenancy.spent_words', '');
comment on table tenancy.spent_words is 'Words of the service that were used, until they expire. No policy: RLS shows it to nobody but its owner.';
comment on column tenancy.spent_words.digest is 'SHA-256 of what was signed: the same word under another signature is the same word.';

alter table tenancy.spent_words enable row level security, force row level security;

create function tenancy_private.claims_of(token text)
    returns json
    language plpgsql immutable strict
as $$
declare
    body constant text := translate(split_part(claims_of.token, '.', 2), '-_', '+/');
    claims constant text := convert_from(decode(rpad(body, (length(body) + 3) / 4 * 4, '='), 'base64'), 'UTF8');
begin
    -- PostgreSQL reads no text with that in it, and would say so by an error of its own.
    if strpos(claims, '\u0000') > 0 then
        raise exception 'the token says something that can''t be read'
            using errcode = 'TN010', hint = 'Log in again for a new one.';
    end if;
    return claims::json;
end
$$;
comment on function tenancy_private.claims_of(text) is
    'The claims of a token whose signature has been verified; of any other they are anybody''s. TN010 for one with a NUL in it.';

create function tenancy_private.spend_word(token text, purpose text)
    returns uuid
    language plpgsql volatile
as $$
declare
    person constant uuid := tenancy_private.require_word(spend_word.token, spend_word.purpose);
begin
    if person is null then
        raise exception 'there is no word of the service'
            using errcode = 'TN023', hint = 'The service signs one for each call.';
    end if;

    -- Half a minute of leeway that clocks have, and as much again.
    insert into tenancy.spent_words (digest, expires_at)
    values (
        tenancy_private.digest_of(split_part(spend_word.token, '.', 1) || '.' || split_part(spend_word.token, '.', 2)),
        to_timestamp(least((tenancy_private.claims_of(spend_word.token) ->> 'exp')::numeric, 253402300799)::float8)
            + interval '1 minute')
    on conflict do nothing;
    if not found then
        raise exception 'the service''s word was used before'
            using errcode = 'TN023', hint = 'The service signs one for each call.';
    end if;
    return person;
end
$$;
comment on function tenancy_private.spend_word(text, text) is
    'As require_word(), once: whoever has read a word in a log or a list of running statements comes too late. TN023 used before.';
