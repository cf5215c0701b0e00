/*
 * Attacks on the other tenant's row, from our own context: read it, write it,
 * move a row across, and the same without a condition, where PostgreSQL asks
 * other policies than those for reading.
 */

create function tenancy_private.attack_rows(stage tenancy_private.stage)
    returns setof tenancy_private.attack
    language plpgsql
as $$
declare
    made tenancy_private.attempt;
    ours text := format('%I = %L', stage.tenant_column, stage.ours);
    theirs text := format('%I = %L', stage.tenant_column, stage.theirs);
    strangers text := format('%I is distinct from %L', stage.tenant_column, stage.ours);
    reading text := format('select count(*) from (select from %s where %%s limit 1) as seen', stage.relation);
    own_rows text;
    digest text := tenancy_private.digest_query(stage.relation, stage.tenant_column, stage.theirs);
    new_value text := stage.our_row ->> stage.writable;
    assignment text := format('%I = %L', stage.writable, new_value);
begin
    execute format('select count(*) from %s where %I = %L', stage.relation, stage.tenant_column, stage.ours) into own_rows;

    -- Not an attack: where we don't see our own row, what follows proves little.
    made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}', '{}',
        format('select count(*) from %s', stage.relation));
    return next case
        when made.answer::bigint >= own_rows::bigint then tenancy_private.finding('read own row', 'held', 'tenancy_app sees the row of its own tenant')
        else tenancy_private.finding('read own row', 'skipped', format('tenancy_app does not even see the row of its own tenant (%s), so what is held below may be held by grants or a missing policy', coalesce(made.message, 'no row')))
    end;
    return next tenancy_private.judgement('count', made, made.answer::bigint > own_rows::bigint,
        format('count(*) gives %s where this tenant has %s', made.answer, own_rows), 'held');

    made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}', '{}', format(reading, strangers));
    return next tenancy_private.judgement('read by full scan', made, made.answer::bigint > 0,
        'a full scan gives rows of other tenants', 'held');

    if stage.their_key is null then
        return next tenancy_private.finding('read by key', 'skipped', 'the table has no key');
    else
        made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}', '{}', format(reading, stage.their_key || ' and ' || strangers));
        return next tenancy_private.judgement('read by key', made, made.answer::bigint > 0,
            'the other tenant''s row is found by its key', 'held');
    end if;

    made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}', '{}',
        format(reading, format('%I = %L for update', stage.tenant_column, stage.theirs)));
    return next tenancy_private.judgement('lock', made, made.answer::bigint > 0,
        'the other tenant''s row can be locked', 'held');

    -- Division is no leakproof function: it must not see a row before the policy has.
    made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}', '{}',
        format(reading, format('1 / (%I = %L)::int > 5', stage.tenant_column, stage.ours)));
    return next tenancy_private.judgement('leaking condition', made, made.code = '22012' or made.answer::bigint > 0,
        'a function in WHERE is called with rows of other tenants', 'held');

    made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}', array['set local row_security = off'], format(reading, strangers));
    return next tenancy_private.judgement('row_security = off', made, made.answer::bigint > 0,
        'without row_security the rows of other tenants are there', 'held');

    made := tenancy_private.attempt(stage.ours, 'tenancy_app',
        tenancy_private.removal(stage.relation, stage.their_place),
        array[tenancy_private.insertion_by_app(stage.relation, stage.their_row)], null, digest);
    return next tenancy_private.judgement('insert for the other tenant', made,
        made.before <> made.after or tenancy_private.is_stopped_late(made),
        coalesce('no policy refuses it, only the constraint ' || made.broken_constraint, 'a row of the other tenant was made'), 'skipped');

    made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}',
        array[format('update %s set %s where %s', stage.relation, assignment, coalesce(stage.their_key, theirs))], null, digest);
    return next tenancy_private.judgement('update', made, made.affected > 0,
        'the other tenant''s row was updated', 'skipped');

    made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}',
        array[format('update %s set %I = %L where %s', stage.relation, stage.tenant_column, stage.theirs, coalesce(stage.our_key, ours))],
        null, digest);
    return next tenancy_private.judgement('move to the other tenant', made,
        made.affected > 0 or tenancy_private.is_stopped_late(made),
        coalesce('no policy refuses it, only the constraint ' || made.broken_constraint, 'a row of our own now belongs to the other tenant'), 'skipped');

    made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}',
        array[format('delete from %s where %s', stage.relation, coalesce(stage.their_key, theirs))], null, digest);
    return next tenancy_private.judgement('delete', made, made.affected > 0 or tenancy_private.is_stopped_late(made),
        'the other tenant''s row was deleted', 'skipped');

    made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}',
        array[format('merge into %s as t using (select 1) as s on %s when matched then update set %s',
            stage.relation, coalesce(stage.their_key, theirs), assignment)], null, digest);
    return next tenancy_private.judgement('merge', made, made.affected > 0,
        'MERGE updated the other tenant''s row', 'skipped');

    return next tenancy_private.finding('copy', 'skipped', 'a function can''t run COPY; it asks the policies for SELECT, and COPY FROM is refused under row-level security');
end
$$;
comment on function tenancy_private.attack_rows(tenancy_private.stage) is
    'Reads and writes the other tenant''s row.';

-- The policy comes before constraints and references: what only they stop, it let pass.
create function tenancy_private.is_stopped_late(made tenancy_private.attempt)
    returns boolean
    language sql immutable
return coalesce(made.is_prepared and made.code like '23%' and made.broken_constraint <> '', false);

create function tenancy_private.attack_rows_blindly(stage tenancy_private.stage)
    returns setof tenancy_private.attack
    language plpgsql
as $$
begin
    return query select * from tenancy_private.attack_blindly(stage, stage.relation, 'update without a condition',
        format('update %s set %I = %L', stage.relation, stage.writable, stage.our_row ->> stage.writable));
    return query select * from tenancy_private.attack_blindly(stage, stage.relation, 'delete without a condition',
        format('delete from %s', stage.relation));
    return query select * from tenancy_private.attack_blindly(stage, stage.relation, 'move to the other tenant without a condition',
        format('update %s set %I = %L', stage.relation, stage.tenant_column, stage.theirs));
end
$$;

/*
 * A statement that reads no column is under the policies for its own command
 * alone. Its condition divides by zero at the first row beyond our own, so that
 * a broken wall doesn't rewrite the whole table.
 */
create function tenancy_private.attack_blindly(stage tenancy_private.stage, target regclass, attack text, statement text)
    returns setof tenancy_private.attack
    language plpgsql
as $$
declare
    made tenancy_private.attempt;
    own_rows bigint;
begin
    execute format('select count(*) from %s where %I = %L', target, stage.tenant_column, stage.ours) into own_rows;
    -- A sequence isn't taken back with the attempt.
    perform setval(stage.counter, 1, false);
    made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}',
        array[format('%s where 1 / (%s - nextval(%L)) is not null', statement, own_rows + 1, stage.counter)],
        null, tenancy_private.digest_query(stage.relation, stage.tenant_column, stage.theirs));
    return next tenancy_private.judgement(attack, made,
        made.code = '22012' or (tenancy_private.is_stopped_late(made) and not exists (
            -- The company's own table of tenants doesn't know the one made up here.
            select from pg_constraint as k
            join pg_attribute as a on a.attrelid = k.conrelid and k.conkey = array[a.attnum]
            where k.conrelid = target and k.contype = 'f'
              and k.conname = made.broken_constraint and a.attname = stage.tenant_column)),
        'it comes to rows of other tenants', 'skipped');
end
$$;

-- Onto the other's key, as ourselves and as them.
create function tenancy_private.attack_upserts(stage tenancy_private.stage)
    returns setof tenancy_private.attack
    language plpgsql
as $$
declare
    made tenancy_private.attempt;
    key record;
    owner uuid;
    any_key boolean := false;
begin
    for key in
        select i.indexrelid::regclass::text as name,
            string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns,
            jsonb_object_agg(a.attname, stage.their_row -> a.attname::text) as values
        from pg_index as i
        join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (tenancy_private.key_of_index(i.indexrelid))
        where i.indrelid = stage.relation and i.indisunique and i.indpred is null and i.indexprs is null
        group by i.indexrelid
        order by i.indexrelid
    loop
        any_key := true;
        foreach owner in array array[stage.ours, stage.theirs] loop
            made := tenancy_private.attempt(stage.ours, 'tenancy_app',
                tenancy_private.removal(stage.relation, stage.our_place),
                array[format('%s on conflict (%s) do update set %I = %L',
                    tenancy_private.insertion_by_app(stage.relation,
                        stage.our_row || key.values || jsonb_build_object(stage.tenant_column, owner)),
                    key.columns, stage.writable, stage.our_row ->> stage.writable)],
                null,
                tenancy_private.digest_query(stage.relation, stage.tenant_column, stage.theirs));
            return next tenancy_private.judgement(
                format('upsert on %s %s', key.name, case when owner = stage.ours then 'as ourselves' else 'as the other tenant' end),
                made, made.before <> made.after, 'ON CONFLICT changed the other tenant''s row',
                case when made.code like '23%' then 'held' else 'skipped' end);
        end loop;
    end loop;
    if not any_key then
        return next tenancy_private.finding('upsert', 'skipped', 'the table has no key');
    end if;
end
$$;
