/*
 * assert_isolated() attacks a table as one tenant would attack another, and
 * rolls everything back. It is what users put into their own test suite.
 *
 * Two tenants are made for it, we and they, with a row each. Every attack then
 * runs in a subtransaction of its own, as tenancy_app in our context, and ends
 * by an exception; so does the whole, and what was found is carried out in a
 * variable. What stays are gaps in sequences, and whatever a trigger does
 * outside the database.
 *
 * The parts: 41 tries something and takes it back, 42 and 43 make rows, 44 to
 * 47 are the attacks.
 */

create type tenancy_private.attack as (
    attack text,
    outcome text,
    detail text
);
comment on type tenancy_private.attack is 'What came of an attack: held, broken or skipped.';

create type tenancy_private.stage as (
    relation regclass,
    tenant_column name,
    ours uuid,
    theirs uuid,
    our_row jsonb,
    their_row jsonb,
    our_place text,
    their_place text,
    our_key text,
    their_key text,
    writable name,
    counter text
);
comment on type tenancy_private.stage is
    'Two tenants with a row each: the stored values as text by column, the condition under which the DBA finds the row (place) and the application does (key; NULL without one), a column that may be written without harm, and a sequence that counts.';

create function tenancy.assert_isolated(relation regclass, sample json default null)
    returns table (attack text, outcome text, detail text)
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    stage tenancy_private.stage;
    found tenancy_private.attack[];
begin
    perform tenancy_private.require_attackable(assert_isolated.relation);
    perform tenancy_private.require_sample(assert_isolated.sample);

    begin
        -- What the caller left for the end of the transaction is not ours to trip over.
        set constraints all immediate;
        stage := tenancy_private.set_stage(assert_isolated.relation, assert_isolated.sample);
        found := array(
            select a from tenancy_private.attack_rows(stage) as a
            union all select a from tenancy_private.attack_rows_blindly(stage) as a
            union all select a from tenancy_private.attack_upserts(stage) as a
            union all select a from tenancy_private.attack_views(stage) as a
            union all select a from tenancy_private.attack_children(stage) as a
            union all select a from tenancy_private.attack_references(stage) as a
            union all select a from tenancy_private.attack_cascades(stage) as a
            union all select a from tenancy_private.attack_uniqueness(stage) as a
            union all select a from tenancy_private.attack_context(stage) as a
            union all select a from tenancy_private.attack_privileges(stage) as a
            -- No attack, and what the others can't find: a boundary with a way around.
            union all select case
                when tenancy_private.tenant_column(stage.relation) is not null
                    then tenancy_private.finding('boundary is the wall', 'held', 'the policy tenant_boundary is the comparison with current_tenant_id(), enabled and forced')
                else tenancy_private.finding('boundary is the wall', 'broken', 'there is no policy tenant_boundary that is the comparison with current_tenant_id(), enabled and forced: tenancy.lint() says what is wrong')
            end
        );
        raise exception 'everything is taken back' using errcode = 'UNDO0';
    exception
        when sqlstate 'UNDO0' then null;
    end;

    return query select f.attack, f.outcome, f.detail from unnest(found) as f;
end
$$;
comment on function tenancy.assert_isolated(regclass, json) is
    'Attacks a table as one tenant would attack another, and rolls everything back: a row per attack, held, broken or skipped. Makes its rows itself, or takes a sample: an object, or an array of two, one for each tenant. For a superuser, outside a context. TN820 no table of tenants, TN821 a context is set, TN822 read-only, TN823 a row can''t be made, TN824 a bad sample, TN825 not a superuser.';

create function tenancy_private.require_attackable(relation regclass)
    returns void
    language plpgsql
as $$
declare
    kind "char" := (select c.relkind from pg_class as c where c.oid = require_attackable.relation);
begin
    -- The session, because SET ROLE asks who that is.
    if not (select r.rolsuper from pg_roles as r where r.rolname = session_user)
        or not (select r.rolsuper from pg_roles as r where r.rolname = current_user)
    then
        raise exception 'only a superuser can attack a table as somebody else'
            using errcode = 'TN825', hint = 'Connect as the DBA.';
    end if;
    -- This also loads the library, which knows the setting.
    perform tenancy_private.context_user_id();
    if current_setting('pg_tenancy.context', true) <> '' then
        raise exception 'this transaction has entered a tenant already'
            using errcode = 'TN821', hint = 'Call it in a transaction of its own.';
    end if;
    if current_setting('transaction_read_only')::boolean then
        raise exception 'a read-only transaction can''t make rows to attack'
            using errcode = 'TN822', hint = 'Call it in a transaction that may write, on the primary. It leaves nothing behind.';
    end if;
    if kind is null then
        raise exception 'there is no such table'
            using errcode = 'TN820', hint = 'Give the name of a table, with its schema.';
    end if;
    if kind not in ('r', 'p') then
        raise exception '% is not a table', require_attackable.relation
            using errcode = 'TN820', hint = 'Give the table; the views on it are attacked with it.';
    end if;
    if require_attackable.relation in ('tenancy.tenants'::regclass, 'tenancy.users'::regclass)
        or tenancy_private.column_of_tenant(require_attackable.relation) is null
    then
        raise exception '% has no column that names a tenant', require_attackable.relation
            using errcode = 'TN820',
                  hint = 'That is the column of its policy tenant_boundary, one that refers to tenancy.tenants, or a uuid named tenant_id.';
    end if;
end
$$;
comment on function tenancy_private.require_attackable(regclass) is
    'Raises the TN82x that says why the table can''t be attacked, here and now.';

create function tenancy_private.require_sample(sample json)
    returns void
    language plpgsql
as $$
begin
    if sample is null
        or json_typeof(sample) = 'object'
        or json_typeof(sample) = 'array' and json_array_length(sample) = 2
            and json_typeof(sample -> 0) = 'object' and json_typeof(sample -> 1) = 'object'
    then
        return;
    end if;
    raise exception 'the sample is neither an object nor an array of two'
        using errcode = 'TN824',
              hint = 'Give {"column": value, …}, or one such object for each of two tenants.';
end
$$;

-- Wider than what counts as isolated: a table whose wall is broken still has the column.
create function tenancy_private.column_of_tenant(relation regclass)
    returns name
    language sql stable
return (
    select a.attname
    from pg_catalog.pg_attribute as a
    left join pg_catalog.pg_depend as d
        on d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass
       and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
       and d.refobjid = a.attrelid and d.refobjsubid = a.attnum
       and d.objid = (
           select p.oid from pg_catalog.pg_policy as p
           where p.polrelid = a.attrelid and p.polname = 'tenant_boundary')
    left join pg_catalog.pg_constraint as k
        on k.conrelid = a.attrelid and k.contype = 'f' and k.conkey = array[a.attnum]
       and k.confrelid = 'tenancy.tenants'::pg_catalog.regclass
    where a.attrelid = column_of_tenant.relation
      and a.atttypid = 'pg_catalog.uuid'::pg_catalog.regtype
      and a.attnum > 0 and not a.attisdropped
      and (d.objid is not null or k.oid is not null or a.attname = 'tenant_id')
    order by d.objid is null, k.oid is null, a.attnum
    limit 1
);
comment on function tenancy_private.column_of_tenant(regclass) is
    'The column that names the tenant: that of the boundary, else one that refers to tenants, else tenant_id. NULL without one.';

create function tenancy_private.set_stage(relation regclass, sample json)
    returns tenancy_private.stage
    language plpgsql
as $$
declare
    stage tenancy_private.stage;
    samples json[] := case json_typeof(set_stage.sample)
        when 'array' then array[set_stage.sample -> 0, set_stage.sample -> 1]
        else array[set_stage.sample, set_stage.sample]
    end;
    name_of_both text := 'assert-' || gen_random_uuid();
begin
    stage.relation := set_stage.relation;
    stage.tenant_column := tenancy_private.column_of_tenant(set_stage.relation);
    stage.ours := (tenancy.register_tenant(name_of_both || '-a', null, 'a@' || name_of_both || '.invalid')).tenant_id;
    stage.theirs := (tenancy.register_tenant(name_of_both || '-b', null, 'b@' || name_of_both || '.invalid')).tenant_id;

    stage.our_row := tenancy_private.make_row(stage.relation, stage.ours, samples[1]);
    stage.their_row := tenancy_private.make_row(stage.relation, stage.theirs, samples[2]);
    stage.our_place := stage.our_row ->> '';
    stage.their_place := stage.their_row ->> '';
    stage.our_row := stage.our_row - '';
    stage.their_row := stage.their_row - '';
    stage.our_key := tenancy_private.key_condition(stage.relation, stage.our_row);
    stage.their_key := tenancy_private.key_condition(stage.relation, stage.their_row);
    stage.writable := tenancy_private.writable_column(stage.relation, stage.tenant_column);

    -- Counts the rows that a statement without a condition comes to.
    stage.counter := format('tenancy.%I', name_of_both);
    execute format('create sequence %s', stage.counter);
    execute format('grant usage on sequence %s to tenancy_app', stage.counter);
    perform tenancy_private.require_entrance(stage.ours);
    return stage;
end
$$;
comment on function tenancy_private.set_stage(regclass, json) is
    'Makes two tenants with a row each.';

-- Something on the connection may be in the way of every context, a temporary table for one.
create function tenancy_private.require_entrance(tenant uuid)
    returns void
    language plpgsql
as $$
declare
    made tenancy_private.attempt := tenancy_private.attempt(tenant, 'tenancy_app', '{}', '{}');
begin
    if not made.is_prepared then
        raise exception '%', made.message
            using errcode = made.code, hint = 'No tenant can be entered here. Call it on a new connection.';
    end if;
end
$$;

-- Without the columns that it merely INCLUDEs.
create function tenancy_private.key_of_index(index_id oid)
    returns int2[]
    language sql stable
return (
    select (i.indkey::int2[])[0:i.indnkeyatts - 1] from pg_catalog.pg_index as i
    where i.indexrelid = key_of_index.index_id
);

create function tenancy_private.key_condition(relation regclass, stored jsonb)
    returns text
    language sql stable
return (
    select pg_catalog.string_agg(pg_catalog.format('%I = %L', a.attname, stored ->> a.attname), ' and ' order by a.attnum)
    from pg_catalog.pg_attribute as a
    where a.attrelid = key_condition.relation
      and a.attnum = any ((
          select tenancy_private.key_of_index(i.indexrelid) from pg_catalog.pg_index as i
          where i.indrelid = key_condition.relation and i.indisunique
            and i.indpred is null and i.indexprs is null
            and not exists (
                select from pg_catalog.pg_attribute as n
                where n.attrelid = i.indrelid and n.attnum = any (tenancy_private.key_of_index(i.indexrelid))
                  and stored ->> n.attname is null)
          order by i.indisprimary desc, i.indexrelid
          limit 1)::int2[])
);
comment on function tenancy_private.key_condition(regclass, jsonb) is
    'The condition that finds a row by its primary key, or else by another one; NULL where the table has none.';

-- Not one of a key or a reference: then a refusal would be about that.
create function tenancy_private.writable_column(relation regclass, tenant_column name)
    returns name
    language sql stable
return (
    select a.attname
    from pg_catalog.pg_attribute as a
    where a.attrelid = writable_column.relation
      and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = ''
      and a.attname <> writable_column.tenant_column
    order by
        not pg_catalog.has_column_privilege('tenancy_app', writable_column.relation, a.attnum, 'update'),
        exists (
            select from pg_catalog.pg_index as i
            where i.indrelid = a.attrelid and i.indisunique and a.attnum = any (tenancy_private.key_of_index(i.indexrelid))),
        exists (
            select from pg_catalog.pg_constraint as k
            where k.conrelid = a.attrelid and k.contype = 'f' and a.attnum = any (k.conkey)),
        a.attnum
    limit 1
);
comment on function tenancy_private.writable_column(regclass, name) is
    'A column to write to; one that tenancy_app may write, if there is any.';
