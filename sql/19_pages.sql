/*
 * Pages of a list that no row function gives: the same query and answer as
 * list_rows(), without a filter.
 */

create type tenancy_private.page as (
    number integer,
    size integer,
    is_counted boolean
);
comment on type tenancy_private.page is 'Which page of a list is asked for.';

create function tenancy_private.read_page(query json)
    returns tenancy_private.page
    language plpgsql immutable
as $$
declare
    asked tenancy_private.page := row (1, 20, false);
    option record;
    seen text[] := '{}';
begin
    if query is null then
        return asked;
    end if;
    if json_typeof(query) <> 'object' then
        perform tenancy_private.refuse_option('query', 'must be a JSON object');
    end if;
    for option in
        select o.key as name, o.value
        from json_each_text(query) as o
        limit 10
    loop
        if option.name = any (seen) then
            perform tenancy_private.refuse_option(option.name, 'is given twice');
        end if;
        seen := seen || option.name;
        case option.name
            when 'page' then
                asked.number := tenancy_private.read_count(option.name, option.value, 1000000);
            when 'limit' then
                asked.size := tenancy_private.read_count(option.name, option.value, 100);
            when 'count' then
                if option.value is distinct from 'exact' then
                    perform tenancy_private.refuse_option(option.name, 'must be exact');
                end if;
                asked.is_counted := true;
            else
                perform tenancy_private.refuse_option(option.name, 'is not an option of this list');
        end case;
    end loop;
    return asked;
exception
    -- \u0000 and the like.
    when untranslatable_character or invalid_text_representation then
        perform tenancy_private.refuse_option('query', 'holds what is no text');
        return null;
end
$$;
comment on function tenancy_private.read_page(json) is
    'Which page a query asks for: page (1 to 1000000), limit (1 to 100, default 20), count (exact); values may be strings. NULL: the first page. TN406.';

create function tenancy_private.read_count(name text, value text, most integer)
    returns integer
    language plpgsql immutable
as $$
begin
    if value ~ '^[0-9]{1,7}$' and value::integer between 1 and most then
        return value::integer;
    end if;
    perform tenancy_private.refuse_option(name, format('must be a whole number from 1 to %s', most));
    return null;
end
$$;
comment on function tenancy_private.read_count(text, text, integer) is 'A whole number from 1 on. TN406.';

create function tenancy_private.refuse_option(name text, what text)
    returns void
    language plpgsql immutable
as $$
begin
    raise exception '"%" %', left(name, 64), what
        using errcode = 'TN406', column = left(name, 64), hint = 'Options are page, limit and count.';
end
$$;
comment on function tenancy_private.refuse_option(text, text) is 'Raises TN406.';

create function tenancy_private.list_of(page tenancy_private.page, rows json, total bigint)
    returns json
    language sql immutable
return case
    when (page).is_counted then json_build_object(
        'data', coalesce(rows, '[]'), 'page', (page).number, 'limit', (page).size, 'total', total)
    else json_build_object('data', coalesce(rows, '[]'), 'page', (page).number, 'limit', (page).size)
end;
comment on function tenancy_private.list_of(tenancy_private.page, json, bigint) is
    'A page as list_rows() writes it. NULL is no row.';
