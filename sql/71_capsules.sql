/*
 * Capsules: a context that a queue can carry.
 *
 * A request that leaves work to a job seals its context and gives the job the
 * capsule; the job enters with it, in each of its transactions, until it expires.
 * A capsule is sealed, not only signed: who carries it reads no id in it. It gives
 * what the person, or the API key, may do when it is opened, and nothing once all
 * their tokens were revoked. In Rust: pg_tenancy/src/capsule.rs, entry/capsule.rs.
 */

create table tenancy.seal_keys (
    number integer primary key,
    secret bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    valid_until timestamptz,
    constraint seal_keys_number check (number > 0),
    constraint seal_keys_secret_length check (octet_length(secret) in (0, 32))
);
select pg_catalog.pg_extension_config_dump('tenancy.seal_keys', '');
comment on table tenancy.seal_keys is 'Keys that capsules are sealed with. No policy: RLS shows it to nobody but its owner.';
comment on column tenancy.seal_keys.number is 'It stands in each capsule; ascending.';
comment on column tenancy.seal_keys.secret is '256 random bits; empty for one that opens nothing any more.';
comment on column tenancy.seal_keys.valid_until is 'Until then it still opens; NULL for the one that seals.';

create unique index seal_keys_one_seals on tenancy.seal_keys ((true)) where valid_until is null;

alter table tenancy.seal_keys enable row level security, force row level security;

-- CREATE EXTENSION makes key 1 also where a dump is about to bring one.
create function tenancy_private.replace_seal_key()
    returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    delete from tenancy.seal_keys as k
    where k.number = new.number;
    return new;
end
$$;
comment on function tenancy_private.replace_seal_key() is
    'Trigger: the key of a dump takes the place of the one that the installation has just made.';

create trigger replace_seal_key before insert on tenancy.seal_keys
    for each row execute function tenancy_private.replace_seal_key();

-- Backends keep the keys; they have to be told.
create function tenancy_private.forget_seal_keys()
    returns trigger
    language c volatile
as 'MODULE_PATHNAME', 'tenancy_forget_seal_keys';
comment on function tenancy_private.forget_seal_keys() is
    'Trigger: tells all backends that the keys have changed, when the change is committed.';

create trigger forget_seal_keys after insert or update or delete or truncate on tenancy.seal_keys
    for each statement execute function tenancy_private.forget_seal_keys();

-- A definer: the keys are readable by nobody. It answers nothing.
create function tenancy_private.read_seal_keys()
    returns void
    language c volatile parallel unsafe
    security definer set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tenancy_read_seal_keys';
comment on function tenancy_private.read_seal_keys() is
    'Has this backend read the keys that cursors of lists are sealed with. For the row functions.';

insert into tenancy.seal_keys (number, secret)
values (1, tenancy_private.digest_of(tenancy_private.random_token()));

-- A definer: the keys are readable by nobody.
create function tenancy_private.seal_context(microseconds bigint, purpose text)
    returns text
    language c volatile parallel unsafe
    security definer set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tenancy_seal';
comment on function tenancy_private.seal_context(bigint, text) is
    'The context of this transaction as a capsule. TN001 without one, TN015 revoked meanwhile, TN207 for support.';

-- A definer: the keys are readable by nobody.
create function tenancy.seal(ttl interval default '1 hour', purpose text default null)
    returns text
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    -- As added, and not as compared: PostgreSQL compares intervals by months of 30 days.
    microseconds numeric;
begin
    if isfinite(ttl) and ttl between '-1 month' and '1 month' then
        microseconds := extract(epoch from timestamp '2000-01-01' + ttl - timestamp '2000-01-01') * 1000000;
    end if;
    if microseconds is null or microseconds not between 1000000 and 86400000000 then
        raise exception 'a capsule lives for 1 second to 24 hours'
            using errcode = 'TN851', hint = 'A job that waits longer takes a gateway''s word: set_tenant_context().';
    end if;
    if purpose !~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$' then
        raise exception 'a purpose is 1 to 64 letters, digits, dots, underscores, colons and hyphens'
            using errcode = 'TN851', hint = 'Name the kind of job: invoices.send';
    end if;
    return tenancy_private.seal_context(microseconds::bigint, seal.purpose);
end
$$;
comment on function tenancy.seal(interval, text) is
    'The context of this transaction as a capsule, pgc_…, that enter() takes until it expires. In a context that came out of a capsule it expires with that one at the latest. TN001 no context, TN015 the tokens of the person or tenant were revoked meanwhile, TN207 for support, TN851 bad ttl (1 second to 24 hours) or purpose.';

-- A definer: it reads keys, tenants and memberships, which no caller may.
create function tenancy.enter_sealed(capsule text, purpose text)
    returns uuid
    language c strict volatile parallel unsafe
    security definer set search_path = pg_catalog, pg_temp
as 'MODULE_PATHNAME', 'tenancy_enter_sealed';
comment on function tenancy.enter_sealed(text, text) is
    'enter() with a capsule that was sealed for exactly that purpose, and with nothing else. TN002 no member any more, TN003 another context is set, TN004 suspended, TN015 revoked since, TN018 the API key is no longer good, TN019 malformed, expired or for another purpose.';

create function tenancy.current_purpose()
    returns text
    language c stable parallel safe
as 'MODULE_PATHNAME', 'tenancy_current_purpose';
comment on function tenancy.current_purpose() is
    'What the capsule was sealed for that this transaction entered with; NULL for any other context. Without a context as current_tenant_id().';

-- A definer: the keys are writable by nobody.
create function tenancy.rotate_seal_key(overlap interval default '25 hours')
    returns integer
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    start timestamptz;
    closing timestamptz;
    made integer;
begin
    -- First, so that the time for which others make this wait is none of the overlap.
    lock table tenancy.seal_keys in share row exclusive mode;
    start := clock_timestamp();
    closing := tenancy_private.moment_after(start, overlap);
    if closing is null or closing not between start and start + interval '25 hours' then
        raise exception 'the old key opens for another 0 to 25 hours'
            using errcode = 'TN851', hint = 'Leave it out for the longest: every capsule is opened until it expires.';
    end if;
    update tenancy.seal_keys as k
    set valid_until = least(k.valid_until, closing);
    -- What opens nothing any more need not be kept, but its number must.
    update tenancy.seal_keys as k
    set secret = ''
    where k.valid_until <= clock_timestamp();
    insert into tenancy.seal_keys (number, secret)
    select max(k.number) + 1, tenancy_private.digest_of(tenancy_private.random_token())
    from tenancy.seal_keys as k
    returning number into made;
    perform tenancy_private.audit('rotate_seal_key', jsonb_build_object('number', made, 'overlap', overlap));
    return made;
end
$$;
comment on function tenancy.rotate_seal_key(interval) is
    'Seals with a new key from here on, and returns its number. The old ones open what they have sealed for that long: 25 hours is longer than any capsule lives, 0 ends them all at once. TN851 bad overlap.';
