/*
 * An attempt: statements that are run as somebody, looked at, and taken back.
 *
 * A tenant's context and a role set for the transaction end with the
 * subtransaction that they were set in, so the next attempt starts afresh.
 */

create type tenancy_private.attempt as (
    is_prepared boolean,
    affected bigint,
    answer text,
    before text,
    after text,
    code text,
    message text,
    broken_constraint text
);
comment on type tenancy_private.attempt is
    'What an attempt came to: whether it got as far as the attack, how many rows the last statement touched, the answer to the question, what the DBA saw before and after; or the error, and the constraint it names.';

create function tenancy_private.attempt(
    tenant uuid,
    who name,
    preparation text[],
    deeds text[],
    question text default null,
    inspection text default null
)
    returns tenancy_private.attempt
    language plpgsql
as $$
declare
    made tenancy_private.attempt;
    deed text;
    own_role text := current_setting('role');
    -- In person, for policies and defaults that ask who it is.
    owner uuid := (select m.user_id from tenancy.memberships as m where m.tenant_id = attempt.tenant and m.role = 'owner');
    -- That of a new session: triggers and defaults may count on it.
    session_path text := (select s.reset_val from pg_settings as s where s.name = 'search_path');
begin
    made.is_prepared := false;
    begin
        foreach deed in array preparation loop
            execute deed;
        end loop;
        set constraints all immediate;
        if inspection is not null then
            execute inspection into made.before;
        end if;

        if tenant is not null then
            set local role tenancy_gateway;
            perform tenancy.set_tenant_context(tenant, owner);
        end if;
        perform set_config('search_path', session_path, true);
        execute format('set local role %I', who);
        made.is_prepared := true;

        foreach deed in array deeds loop
            execute deed;
            get diagnostics made.affected = row_count;
        end loop;
        set constraints all immediate;
        if question is not null then
            execute question into made.answer;
        end if;

        execute format('set local role %I', own_role);
        -- Before anything runs as the caller again: the path may have others' functions on it.
        set local search_path = pg_catalog, pg_temp;
        if inspection is not null then
            execute inspection into made.after;
        end if;
        raise exception 'everything is taken back' using errcode = 'UNDO0';
    exception
        when sqlstate 'UNDO0' then null;
        when others then
            get stacked diagnostics
                made.code = returned_sqlstate,
                made.message = message_text,
                made.broken_constraint = constraint_name;
    end;
    return made;
end
$$;
comment on function tenancy_private.attempt(uuid, name, text[], text[], text, text) is
    'Runs the preparation as the caller, then enters the tenant (unless NULL), becomes the role, does the deeds and asks the question; the inspection is asked before and after, as the caller. Then all is taken back.';

create function tenancy_private.finding(attack text, outcome text, detail text)
    returns tenancy_private.attack
    language sql immutable
return row(attack, outcome, detail)::tenancy_private.attack;

create function tenancy_private.judgement(
    attack text,
    made tenancy_private.attempt,
    is_leak boolean,
    leak text,
    otherwise text
)
    returns tenancy_private.attack
    language sql immutable
return case
    when not made.is_prepared
        then tenancy_private.finding(attack, 'skipped', pg_catalog.format('could not be set up: %s (%s)', made.message, made.code))
    when is_leak
        then tenancy_private.finding(attack, 'broken', leak)
    when made.code is null and made.before is distinct from made.after
        then tenancy_private.finding(attack, 'broken', 'it changed the other tenant''s rows')
    when made.code is null
        then tenancy_private.finding(attack, 'held', 'nothing of the other tenant was reached')
    when made.code = '42501' or made.code like 'TN%'
        then tenancy_private.finding(attack, 'held', pg_catalog.format('refused: %s (%s)', made.message, made.code))
    when otherwise = 'held'
        then tenancy_private.finding(attack, 'held', pg_catalog.format('it failed: %s (%s)', made.message, made.code))
    else tenancy_private.finding(attack, 'skipped', pg_catalog.format('it failed for a reason that proves nothing: %s (%s)', made.message, made.code))
end;
comment on function tenancy_private.judgement(text, tenancy_private.attempt, boolean, text, text) is
    'An attempt as a row of the answer. A refusal by grants or policies holds; an error of another kind is what the last argument says.';

-- How the DBA sees whether any of a tenant's rows was written, be it with the same values.
create function tenancy_private.digest_query(relation regclass, tenant_column name, tenant uuid)
    returns text
    language sql immutable
return pg_catalog.format(
    'select concat(count(*), '' '', sum(hashtextextended(concat(t.tableoid, t.ctid, t), 0))) from %s as t where %I = %L',
    relation, tenant_column, tenant
);

-- Without triggers and references: it is the attack that is tried, not the clearing up before it.
create function tenancy_private.removal(relation regclass, place text)
    returns text[]
    language sql immutable
return array[
    'set local session_replication_role = replica',
    pg_catalog.format('delete from %s where %s', relation, place),
    'set local session_replication_role = origin'
];

create function tenancy_private.insertion(relation regclass, stored jsonb)
    returns text
    language sql stable
return (
    select pg_catalog.format('insert into %s (%s) overriding system value values (%s)',
        relation,
        pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum),
        pg_catalog.string_agg(pg_catalog.quote_nullable(stored ->> a.attname), ', ' order by a.attnum))
    from pg_catalog.pg_attribute as a
    where a.attrelid = insertion.relation and a.attnum > 0 and not a.attisdropped
      and a.attgenerated = '' and stored ? a.attname
);

-- Only what the application may write: else the grants would hide the policy.
create function tenancy_private.insertion_by_app(relation regclass, stored jsonb)
    returns text
    language sql stable
return tenancy_private.insertion(relation, coalesce((
    select pg_catalog.jsonb_object_agg(s.key, s.value)
    from pg_catalog.jsonb_each(stored) as s
    where pg_catalog.has_column_privilege('tenancy_app', relation, s.key, 'insert')
), stored));
