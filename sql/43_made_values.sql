/*
 * Values for the columns of a made-up row: guesses by type and by the words
 * and numbers that a CHECK names, of which those stay that fit.
 */

create function tenancy_private.choices(relation regclass, fixed jsonb)
    returns jsonb
    language plpgsql
as $$
declare
    wanted record;
    fitting jsonb;
    choices jsonb := '{}';
begin
    for wanted in
        select a.attname, a.attnum, format_type(a.atttypid, a.atttypmod) as kind,
            a.attnotnull or t.typnotnull as is_required,
            a.atthasdef as has_default,
            -- A default that is the same for every row is no good for a key.
            pg_get_expr(d.adbin, d.adrelid) !~ '\(' as has_constant_default,
            -- One that asks for the context gives NULL here.
            pg_get_expr(d.adbin, d.adrelid) ~ 'tenancy\.current_|current_setting' as has_contextual_default,
            exists (
                select from pg_index as i
                where i.indrelid = a.attrelid and (i.indisunique or i.indisexclusion)
                  and a.attnum = any (tenancy_private.columns_of_index(i.indexrelid))) as is_unique,
            exists (
                select from pg_constraint as k
                where k.conrelid = a.attrelid and k.contype = 'c' and a.attnum = any (k.conkey)) as is_checked
        from pg_attribute as a
        join pg_type as t on t.oid = a.atttypid
        left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
          and a.attgenerated = '' and a.attidentity = ''
          and not fixed ? a.attname
          and not exists (
              select from pg_constraint as k
              where k.conrelid = a.attrelid and k.contype = 'f' and a.attnum = any (k.conkey))
        order by a.attnum
    loop
        wanted.is_required := wanted.is_required and not wanted.has_default
            or wanted.is_required and coalesce(wanted.has_contextual_default, false)
            or wanted.is_unique and (not wanted.has_default or wanted.has_constant_default);
        continue when not wanted.is_required and not wanted.is_checked;

        fitting := to_jsonb(tenancy_private.fitting_values(relation, wanted.attnum));
        if jsonb_array_length(fitting) > 0 then
            choices := choices || jsonb_build_object(wanted.attname,
                jsonb_build_object('values', fitting, 'is_needed', wanted.is_required, 'is_checked', wanted.is_checked));
        elsif wanted.is_required then
            raise exception 'no value can be made up for column "%" of %, of type %', wanted.attname, relation, wanted.kind
                using errcode = 'TN823', column = wanted.attname,
                      hint = format('Give a sample: tenancy.assert_isolated(''…'', ''{"%s": …}''), or an array of two where it must be unique.', wanted.attname);
        end if;
    end loop;
    return choices;
end
$$;
comment on function tenancy_private.choices(regclass, jsonb) is
    'For each column that a row needs a value in, or that a CHECK is about: what it could be. TN823 where nothing fits.';

create function tenancy_private.columns_of_index(index_id oid)
    returns int2[]
    language sql stable
return array(
    select u.attnum from pg_catalog.unnest(tenancy_private.key_of_index(columns_of_index.index_id)) as u (attnum)
    where u.attnum > 0
    union
    select d.refobjsubid::int2 from pg_catalog.pg_depend as d, pg_catalog.pg_index as i
    where i.indexrelid = columns_of_index.index_id
      and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = i.indexrelid
      and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = i.indrelid
      and d.refobjsubid > 0
      and (i.indexprs is not null or i.indpred is not null)
      and d.refobjsubid <> all (coalesce((i.indkey::int2[])[i.indnkeyatts:], '{}'))
);
comment on function tenancy_private.columns_of_index(oid) is
    'The columns that an index is about, those in expressions and conditions included.';

create function tenancy_private.fitting_values(relation regclass, column_number int2)
    returns text[]
    language plpgsql
as $$
declare
    a pg_attribute := (select c from pg_attribute as c where c.attrelid = relation and c.attnum = column_number);
    kind text := format_type(a.atttypid, a.atttypmod);
    rule text;
    words text;
    guess text;
    value text;
    fits boolean;
    fitting text[] := '{}';
begin
    select coalesce(string_agg(pg_get_expr(k.conbin, k.conrelid), ' and ') filter (where array_length(k.conkey, 1) = 1), 'true'),
        string_agg(pg_get_expr(k.conbin, k.conrelid), ' and ')
    into rule, words
    from pg_constraint as k
    where k.conrelid = relation and k.contype = 'c' and column_number = any (k.conkey);
    select concat_ws(' and ', words, string_agg(pg_get_constraintdef(k.oid), ' and ')) into words
    from pg_constraint as k
    where k.contypid in (a.atttypid, (select t.typbasetype from pg_type as t where t.oid = a.atttypid));

    foreach guess in array tenancy_private.guesses(a.atttypid, coalesce(words, '')) loop
        begin
            execute format('select coalesce((%s), true), %I::text from (select cast(%L as %s) as %I) as made',
                rule, a.attname, guess, kind, a.attname)
            into fits, value;
            if fits and value <> all (fitting) then
                fitting := fitting || value;
            end if;
        exception
            -- Not of that type, or against a domain's rule.
            when others then null;
        end;
    end loop;
    return fitting;
end
$$;
comment on function tenancy_private.fitting_values(regclass, int2) is
    'Values of a column''s type that no CHECK on it alone refuses; the one that is least likely to be taken comes first.';

create function tenancy_private.guesses(kind oid, words text)
    returns text[]
    language plpgsql
as $$
declare
    t pg_type := (select p from pg_type as p where p.oid = kind);
    hex text := replace(gen_random_uuid()::text, '-', '');
    digits text := lpad((('x' || left(hex, 8))::bit(32)::bigint % 100000000)::text, 8, '1');
    literals text[] := array(
        select replace(m.found[1], '''''', '''') from regexp_matches(words, '''((?:[^'']|'''')*)''', 'g') as m (found));
    numbers text[] := array(
        select m.found[1] from regexp_matches(words, '(-?\d+(?:\.\d+)?)', 'g') as m (found));
    around text[] := array(
        select distinct trim_scale(n.number::numeric + step)::text
        from unnest(numbers) as n (number), unnest(array[0, 1, -1, 0.5, -0.5]) as step);
    lengths int[] := array(
        select distinct n.number::numeric::int from unnest(numbers) as n (number)
        where n.number::numeric between 1 and 100);
begin
    while t.typtype = 'd' loop
        t := (select p from pg_type as p where p.oid = t.typbasetype);
    end loop;
    if t.typtype = 'e' then
        return array(select e.enumlabel::text from pg_enum as e where e.enumtypid = t.oid order by e.enumsortorder);
    end if;
    if t.typelem <> 0 and t.typcategory = 'A' then
        return array(select format('{%s}', to_json(g.guess)) from unnest(tenancy_private.guesses(t.typelem, words)) as g (guess))
            || '{}'::text || literals;
    end if;
    if t.typtype in ('r', 'm') then
        -- Short and somewhere, so that no two overlap.
        return array(
            select format(pattern, format('[%s,%s)', bound.low, bound.high))
            from (values ('%s'), ('{%s}')) as p (pattern), (
                values (digits, (digits::int + 1)::text),
                    ((current_date + digits::int % 30000)::text, (current_date + digits::int % 30000 + 1)::text)
            ) as bound (low, high)
        ) || array['empty', '{}'];
    end if;
    return case
        when t.oid = 'uuid'::regtype then array[gen_random_uuid()::text]
        when t.oid = 'boolean'::regtype then array['true', 'false']
        when t.oid in ('json'::regtype, 'jsonb'::regtype) then array['{}', '[]', '"x"', '1'] || literals
        when t.oid = 'bytea'::regtype then array['\x' || hex, '\x' || hex || hex] || array(
            select '\x' || rpad('', 2 * l.length, hex || hex) from unnest(lengths) as l (length))
        when t.oid = 'xml'::regtype then array['<x/>']
        when t.oid in ('time'::regtype, 'timetz'::regtype) then array['12:00', '00:00', '23:59'] || literals
        when t.oid = 'interval'::regtype then array['1 day', '1 hour', '0', '1 month'] || literals
        when t.typcategory = 'D' then array(
            select (now() + i.span)::text
            from unnest(array['0', '1 day', '-1 day', '1 year', '-20 years', '1 hour']::interval[]) as i (span)) || literals
        when t.typcategory = 'N' then array[left(ltrim(digits, '0'), 5), left(ltrim(digits, '0'), 2), '1', '0', '10', '100', '-1', '0.5'] || around || literals
        when t.typcategory = 'B' then array['1', '0']
        when t.typcategory = 'V' then array['1', '0', '101', left(hex, 0) || '10101010'] || array(
            select repeat('1', l.length) from unnest(lengths) as l (length))
        when t.typcategory = 'I' then array['192.0.2.' || (digits::bigint % 250)::text, '192.0.2.0/24', '2001:db8::1']
        when t.typcategory = 'G' then array['(0,0)', '(0,0),(1,1)', '((0,0),(1,1))', '<(0,0),1>', '{1,1,0}', '[(0,0),(1,1)]']
        when t.oid in ('macaddr'::regtype, 'macaddr8'::regtype) then array['02:00:00:00:00:01', '02:00:00:00:00:00:00:01']
        when t.oid = 'tsvector'::regtype or t.oid = 'tsquery'::regtype then array['x']
        when t.typcategory = 'S' then array[
                'x' || left(hex, 12), 'X' || upper(left(hex, 12)), left(hex, 12) || '@example.com',
                'https://example.com/' || left(hex, 12), '+1555' || digits, digits, current_date::text,
                gen_random_uuid()::text, 'X ' || left(hex, 6), 'DE', 'de', 'EUR', 'en-US', 'a', '1', '#aabbcc', '192.0.2.1', ''
            ]
            || array(
                select unnest(array[
                    left('x' || translate(hex, '0123456789', 'ghijklmnop'), l.length), upper(left('x' || translate(hex, '0123456789', 'ghijklmnop'), l.length)),
                    left(digits || digits || digits, l.length), rpad('x', l.length, hex)])
                from unnest(lengths) as l (length))
            || literals
        -- Nothing is known of it; a CHECK may name a value.
        else literals
    end;
end
$$;
comment on function tenancy_private.guesses(oid, text) is
    'What a value of that type could look like, with the words and numbers of the rules about it.';

create function tenancy_private.partition_values(relation regclass, tenant_column name)
    returns jsonb
    language plpgsql
as $$
declare
    key pg_partitioned_table := (select p from pg_partitioned_table as p where p.partrelid = relation);
    child record;
begin
    select c.oid::regclass as relation, substring(pg_get_expr(c.relpartbound, c.oid) from '(?:FROM|IN) \((.*?)\)(?: TO|$)') as bound
    into child
    from pg_inherits as i
    join pg_class as c on c.oid = i.inhrelid and c.relispartition
    where i.inhparent = relation and pg_get_expr(c.relpartbound, c.oid) not like all (array['%FROM (MINVALUE%', 'DEFAULT'])
    order by c.oid desc
    limit 1;
    if key.partrelid is null or child.bound is null then
        return '{}';
    end if;
    return coalesce((
        select jsonb_object_agg(a.attname, coalesce(replace(b.found[1], '''''', ''''), b.found[2]))
        from unnest(key.partattrs::int2[]) with ordinality as k (attnum, place)
        join regexp_matches(child.bound, '''((?:[^'']|'''')*)''|([^, '']+)', 'g') with ordinality as b (found, place) using (place)
        join pg_attribute as a on a.attrelid = relation and a.attnum = k.attnum
        where a.attname is distinct from tenant_column and b.found[2] is distinct from 'MINVALUE'
    ), '{}') || tenancy_private.partition_values(child.relation, tenant_column);
end
$$;
comment on function tenancy_private.partition_values(regclass, name) is
    'Values by which a row of a partitioned table finds a partition that is there.';
