/*
 * Attacks by constraints, which PostgreSQL checks without row-level security:
 * a reference that leads to the other tenant's row, a cascade that comes to
 * it, a unique value that tells that the other has it.
 */

create function tenancy_private.attack_references(stage tenancy_private.stage)
    returns setof tenancy_private.attack
    language plpgsql
as $$
declare
    reference record;
    theirs jsonb;
    crossing text;
    made tenancy_private.attempt;
    attack text;
begin
    for reference in
        select * from tenancy_private.references_of(stage.relation) as r where r.is_within_tenants
    loop
        attack := format('reference the other''s row through %I', reference.name);
        theirs := tenancy_private.parent_values(reference.id, stage.theirs, false, 0) - stage.tenant_column::text;
        crossing := format('select count(*) from %s where %I = %L and %s', stage.relation, stage.tenant_column, stage.ours,
            (select string_agg(format('%I = %L', t.key, t.value), ' and ') from jsonb_each_text(theirs) as t));
        made := tenancy_private.attempt(stage.ours, 'tenancy_app',
            tenancy_private.removal(stage.relation, stage.our_place),
            array[tenancy_private.insertion_by_app(stage.relation, stage.our_row || theirs)],
            null, crossing);
        -- Where grants or a trigger keep the reference out of a new row, an old one is changed.
        if made.is_prepared and (made.code = '42501' or made.code is null and made.after = made.before) then
            made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}',
                array[tenancy_private.change(stage.relation, theirs, coalesce(stage.our_key,
                    format('%I = %L', stage.tenant_column, stage.ours)))],
                null, crossing);
        end if;
        return next case
            when made.code = '23503' then tenancy_private.finding(attack, 'held', 'the constraint refuses it')
            else tenancy_private.judgement(attack, made, made.after <> made.before,
                format('a row of our own now refers to the other tenant''s row in %s', reference.parent), 'skipped')
        end;
    end loop;
exception
    when sqlstate 'TN823' then
        return next tenancy_private.finding(attack, 'skipped', sqlerrm);
end
$$;
comment on function tenancy_private.attack_references(tenancy_private.stage) is
    'For each foreign key of the table: our row refers to their parent.';

create function tenancy_private.references_of(relation regclass)
    returns table (id oid, name name, child regclass, parent regclass, is_within_tenants boolean)
    language sql stable
begin atomic
    select k.oid, k.conname, k.conrelid::regclass, k.confrelid::regclass,
        k.confrelid <> 'tenancy.tenants'::regclass
        and tenancy_private.column_of_tenant(k.confrelid) is not null
        and tenancy_private.column_of_tenant(k.conrelid) is not null
    from pg_catalog.pg_constraint as k
    where k.conrelid = references_of.relation and k.contype = 'f' and k.conparentid = 0
    order by k.conname;
end;
comment on function tenancy_private.references_of(regclass) is
    'Its foreign keys, and whether both ends belong to tenants. A person belongs to none.';

create function tenancy_private.app_may_write(relation regclass, columns jsonb, privilege text)
    returns boolean
    language sql stable
return not exists (
    select from pg_catalog.jsonb_object_keys(columns) as c (name)
    where not pg_catalog.has_column_privilege('tenancy_app', relation, c.name, privilege)
);

create function tenancy_private.change(relation regclass, columns jsonb, place text)
    returns text
    language sql stable
return (
    select pg_catalog.format('update %s set %s where %s', relation,
        pg_catalog.string_agg(pg_catalog.format('%I = %L', c.key, c.value), ', '), place)
    from pg_catalog.jsonb_each_text(columns) as c
);

-- For each reference to the table or from it: their child under our parent, which we then delete.
create function tenancy_private.attack_cascades(stage tenancy_private.stage)
    returns setof tenancy_private.attack
    language plpgsql
as $$
declare
    reference record;
begin
    for reference in
        select r.* from tenancy_private.references_of(stage.relation) as r where r.is_within_tenants
        union all
        select r.*
        from pg_constraint as k, tenancy_private.references_of(k.conrelid::regclass) as r
        where k.confrelid = stage.relation and k.conrelid <> stage.relation
          and k.contype = 'f' and k.conparentid = 0 and r.id = k.oid and r.is_within_tenants
    loop
        begin
            return next tenancy_private.attack_cascade(stage, reference.id);
        exception
            when sqlstate 'TN823' then
                return next tenancy_private.finding(format('cascade over %I', reference.name), 'skipped', sqlerrm);
        end;
    end loop;
end
$$;

create function tenancy_private.attack_cascade(stage tenancy_private.stage, reference oid)
    returns tenancy_private.attack
    language plpgsql
as $$
declare
    k pg_constraint := (select c from pg_constraint as c where c.oid = reference);
    attack text := format('cascade over %I to %s', k.conname, k.conrelid::regclass);
    child_tenant name := tenancy_private.column_of_tenant(k.conrelid);
    ours jsonb;
    their_child text;
    our_parent text;
    made tenancy_private.attempt;
begin
    if k.conrelid = stage.relation then
        their_child := stage.their_place;
        ours := tenancy_private.parent_values(reference, stage.ours, false, 0);
    else
        their_child := tenancy_private.make_row(k.conrelid, stage.theirs, null, 1) ->> '';
        select jsonb_object_agg(child.attname, stage.our_row -> p.attname::text) into ours
        from unnest(k.conkey, k.confkey) as pair (child, parent)
        join pg_attribute as child on child.attrelid = k.conrelid and child.attnum = pair.child
        join pg_attribute as p on p.attrelid = k.confrelid and p.attnum = pair.parent;
    end if;
    select string_agg(format('%I = %L', p.attname, ours ->> child.attname::text), ' and ') into our_parent
    from unnest(k.conkey, k.confkey) as pair (child, parent)
    join pg_attribute as child on child.attrelid = k.conrelid and child.attnum = pair.child
    join pg_attribute as p on p.attrelid = k.confrelid and p.attnum = pair.parent;

    -- Not the tenant itself: a child that has moved is not theirs any more.
    if ours - child_tenant::text = '{}' then
        return tenancy_private.finding(attack, 'held', 'the reference is the tenant');
    end if;
    made := tenancy_private.attempt(stage.ours, 'tenancy_app',
        array[
            tenancy_private.change(k.conrelid, ours - child_tenant::text, their_child),
            'set constraints all immediate'
        ],
        array[format('delete from %s where %s', k.confrelid::regclass, our_parent)],
        null,
        tenancy_private.digest_query(k.conrelid, child_tenant, stage.theirs));
    if not made.is_prepared and made.code = '23503' then
        return tenancy_private.finding(attack, 'held', 'no row of the other tenant can refer to ours');
    end if;
    return tenancy_private.judgement(attack, made, made.before <> made.after or made.code = '23503',
        'a row of the other tenant can refer to ours, and our delete comes to it', 'skipped');
end
$$;
comment on function tenancy_private.attack_cascade(tenancy_private.stage, oid) is
    'Lets the other tenant''s child refer to our parent, if the constraint does, and deletes our parent.';

create function tenancy_private.attack_uniqueness(stage tenancy_private.stage)
    returns setof tenancy_private.attack
    language plpgsql
as $$
declare
    key record;
    attack text;
    made tenancy_private.attempt;
begin
    for key in
        select c.relname as name, jsonb_object_agg(a.attname, stage.their_row -> a.attname::text) as values
        from pg_index as i
        join pg_class as c on c.oid = i.indexrelid
        join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = any (tenancy_private.columns_of_index(i.indexrelid))
        where i.indrelid = stage.relation and (i.indisunique or i.indisexclusion)
          and a.attname <> stage.tenant_column
        group by i.indexrelid, c.relname
        order by i.indexrelid
    loop
        attack := format('probe for a value by %I', key.name);
        made := tenancy_private.attempt(stage.ours, 'tenancy_app',
            tenancy_private.removal(stage.relation, stage.our_place),
            array[tenancy_private.insertion_by_app(stage.relation, stage.our_row || key.values)]);
        if not tenancy_private.app_may_write(stage.relation, key.values, 'insert') then
            made := tenancy_private.attempt(stage.ours, 'tenancy_app', '{}',
                array[tenancy_private.change(stage.relation, key.values, coalesce(stage.our_key, stage.our_place))]);
        end if;
        return next case
            when made.code is null
                then tenancy_private.finding(attack, 'held', 'the same value is free for both tenants')
            when made.code in ('23505', '23P01') and made.broken_constraint <> key.name
                then tenancy_private.finding(attack, 'held', format('it is %I that refuses the value', made.broken_constraint))
            when made.code in ('23505', '23P01')
                then tenancy_private.finding(attack, 'broken', format('a value that the other tenant has is refused by %s', made.broken_constraint))
            -- A reference to their parent, as it should be.
            when made.code = '23503'
                then tenancy_private.finding(attack, 'held', 'a reference refuses the value before')
            else tenancy_private.judgement(attack, made, false, '', 'skipped')
        end;
    end loop;
end
$$;
comment on function tenancy_private.attack_uniqueness(tenancy_private.stage) is
    'For each unique or exclusion constraint: our row takes the other''s value, which must not be refused.';
