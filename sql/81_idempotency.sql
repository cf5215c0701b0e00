/*
 * Idempotency: what is asked for twice under one key is done once.
 *
 * A client that got no answer doesn't know whether its row was made. With a key
 * it asks again, and gets the first answer as it was, for 24 hours. The answer is
 * kept in the transaction of the work, so there is none without the other. A key
 * is one person's (or one API key's) in one tenant. What the answer shows must still
 * be the caller's to see.
 *
 * The work runs as the caller. Only looking up and keeping the answer are definers'
 * deeds; nobody may call these two, the Rust around them does
 * (pg_tenancy/src/once.rs). Thus nobody plants an answer but by the work itself.
 */

create table tenancy.idempotency_keys (
    tenant_id uuid not null references tenancy.tenants (id) on delete cascade,
    actor uuid not null,
    key text collate "C" not null,
    route text not null,
    body_digest bytea not null,
    answer json not null,
    shown text[] collate "C" not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null default clock_timestamp() + interval '24 hours',
    primary key (tenant_id, actor, key),
    constraint idempotency_keys_digest_length check (octet_length(body_digest) = 32)
);
-- With the rows goes what keeps a client from making them again.
select pg_catalog.pg_extension_config_dump('tenancy.idempotency_keys', '');
comment on table tenancy.idempotency_keys is 'First answers, for who asks again. No policy but the boundary: nobody reads or writes them.';
comment on column tenancy.idempotency_keys.actor is 'The person, or else the API key or support access; the nil UUID where a gateway entered for nobody.';
comment on column tenancy.idempotency_keys.route is 'The function and its first argument.';
comment on column tenancy.idempotency_keys.body_digest is 'SHA-256 of the JSON, byte for byte.';
comment on column tenancy.idempotency_keys.shown is 'What the answer shows, by name: a relation and its columns, or a function. Who may not see all of it any more gets no answer.';
comment on column tenancy.idempotency_keys.expires_at is 'From here on the key is as if it had never been used.';

create index idempotency_keys_of_tenant_expires_at on tenancy.idempotency_keys (tenant_id, expires_at);
create index idempotency_keys_expires_at on tenancy.idempotency_keys (expires_at);

alter table tenancy.idempotency_keys enable row level security, force row level security;

create policy tenant_boundary on tenancy.idempotency_keys as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());

create function tenancy_private.idempotent_actor()
    returns uuid
    language sql volatile
return coalesce(
    tenancy_private.context_user_id(),
    tenancy_private.context_proof_id(),
    '00000000-0000-0000-0000-000000000000');
comment on function tenancy_private.idempotent_actor() is 'Whose keys they are in this context.';

-- A definer: nobody may read the table. Volatile, so that it sees what was committed
-- after the statement began.
create function tenancy_private.kept_answer(route text, body json, key text, shown text[])
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    kept record;
begin
    select k.route, k.body_digest, k.answer, k.shown into kept
    from tenancy.idempotency_keys as k
    where k.tenant_id = tenancy.current_tenant_id()
      and k.actor = tenancy_private.idempotent_actor()
      and k.key = kept_answer.key
      and k.expires_at > clock_timestamp();
    if not found then
        return null;
    end if;
    if kept.route <> kept_answer.route
        or kept.body_digest <> sha256(convert_to(kept_answer.body::text, 'UTF8'))
    then
        raise exception 'the idempotency key was used for another request'
            using errcode = 'TN417', hint = 'Send the same request again byte for byte, or a new one with a key of its own.';
    end if;
    if not kept.shown <@ kept_answer.shown then
        raise exception 'this was done, and what the answer shows was taken back since'
            using errcode = 'TN417', hint = 'Read what there is now. A new request takes a key of its own.';
    end if;
    return kept.answer;
end
$$;
comment on function tenancy_private.kept_answer(text, json, text, text[]) is
    'The answer that is kept under that key of who has entered, or NULL. TN417 where it is another request''s, or shows more than what is shown now.';

-- A definer: nobody may write the table.
create function tenancy_private.keep_answer(route text, body json, key text, answer json, shown text[])
    returns void
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    -- What is over goes little by little, so that nobody has to remember it. In another
    -- isolation a row that somebody else has just deleted would be an error.
    if current_setting('transaction_isolation') = 'read committed' then
        delete from tenancy.idempotency_keys as k
        where (k.tenant_id, k.actor, k.key) in (
            select o.tenant_id, o.actor, o.key
            from tenancy.idempotency_keys as o
            where o.tenant_id = tenancy.current_tenant_id() and o.expires_at <= clock_timestamp()
            order by o.expires_at
            limit 20
            for update skip locked);
    end if;

    -- Who is here holds the key's lock, and has found no answer: what is there has expired.
    insert into tenancy.idempotency_keys as k (tenant_id, actor, key, route, body_digest, answer, shown)
    values (
        tenancy.current_tenant_id(), tenancy_private.idempotent_actor(), keep_answer.key,
        keep_answer.route, sha256(convert_to(keep_answer.body::text, 'UTF8')), keep_answer.answer, keep_answer.shown)
    on conflict on constraint idempotency_keys_pkey do update
    set (route, body_digest, answer, shown, created_at, expires_at) =
        (excluded.route, excluded.body_digest, excluded.answer, excluded.shown, excluded.created_at, excluded.expires_at);
end
$$;
comment on function tenancy_private.keep_answer(text, json, text, json, text[]) is
    'Keeps an answer, and what it shows, under that key of who has entered, for 24 hours.';

create function tenancy.insert_resource_once(resource text, body json, key text)
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_insert_resource_once';
comment on function tenancy.insert_resource_once(text, json, text) is
    'As insert_resource(), once for this key: for 24 hours the same call gives the first answer, whatever became of the rows. Errors as insert_resource(), TN417 the key was used for another request, or what its answer shows was taken back since, TN418 the first is under way, TN419 a bad key (1 to 255 visible ASCII characters).';

create function tenancy.call_function_once(name text, arguments json, key text)
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_call_function_once';
comment on function tenancy.call_function_once(text, json, text) is
    'As call_function(), once for this key: for 24 hours the same call gives the first answer. Where who entered can only read, nothing is kept: it is called again. Errors as call_function(), TN417 the key was used for another request, or what its answer shows was taken back since, TN418 the first is under way, TN419 a bad key (1 to 255 visible ASCII characters).';

-- A definer: it deletes keys of all tenants.
create function tenancy.purge_idempotency_keys(most integer default 10000)
    returns bigint
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    purged bigint;
begin
    if most is null or most < 1 then
        raise exception 'a purge deletes at least one key'
            using errcode = 'TN025', hint = 'Leave the number out for 10000.';
    end if;
    -- What another purge or a client holds is left to them.
    delete from tenancy.idempotency_keys as k
    where (k.tenant_id, k.actor, k.key) in (
        select o.tenant_id, o.actor, o.key
        from tenancy.idempotency_keys as o
        where o.expires_at <= clock_timestamp()
        order by o.expires_at
        limit most
        for update skip locked);
    get diagnostics purged = row_count;
    return purged;
end
$$;
comment on function tenancy.purge_idempotency_keys(integer) is
    'Deletes expired idempotency keys of all tenants, the oldest first and at most that many; returns how many. Two at once share the work. TN025 a bad number.';
