/*
 * Trusted operators: indexes under row-level security.
 *
 * PostgreSQL doesn't run a condition before a policy unless its function is marked
 * leakproof, and most aren't: `title ilike '%x%'` leaves its trigram index alone,
 * and so do numbers, enums, ranges, arrays, jsonb and full-text search.
 *
 * The setting pg_tenancy.trusted_operators, empty by default, names groups of
 * built-in functions that were vetted: nothing but their result tells of the rows
 * that they saw. Queries whose conditions are all leakproof or of these groups have
 * the boundary planned beside them. The catalog is not changed. In Rust:
 * pg_tenancy/src/trust/.
 */

create function tenancy_private.operator_trust()
    returns text
    language c stable parallel safe
as 'MODULE_PATHNAME', 'tenancy_operator_trust';

-- Immutable, so that a known pattern is looked at once, when the query is planned.
create function tenancy_private.like_pattern(pattern text)
    returns text
    language c immutable strict parallel safe
as 'MODULE_PATHNAME', 'tenancy_like_pattern';
comment on function tenancy_private.like_pattern(text) is
    'A pattern of LIKE, as it is. 22025 for one that ends in an escape, which LIKE itself finds only when a text matches so far. Put around parameters by the planner.';

-- What the DBA chose. It goes with a dump, which the setting of a database does not.
create table tenancy.operator_trust_chosen (
    groups text not null,
    chosen_at timestamptz not null default now(),
    chosen_by text not null default session_user
);
select pg_catalog.pg_extension_config_dump('tenancy.operator_trust_chosen', '');
comment on table tenancy.operator_trust_chosen is 'The groups of operators that the DBA trusts, at most one row: lint() compares it with the setting, which a dump doesn''t carry.';
create unique index operator_trust_chosen_one on tenancy.operator_trust_chosen ((true));

alter table tenancy.operator_trust_chosen enable row level security, force row level security;

create function tenancy.operator_trust()
    returns table ("group" text, function regprocedure, operators text, trusted boolean, reason text)
    language sql stable rows 50
begin atomic
    select k."group", k.function::regprocedure,
        (select string_agg(distinct o.oprname::text, ' ')
         from pg_catalog.pg_operator as o where o.oprcode = k.function),
        k.trusted, k.reason
    from pg_catalog.json_to_recordset(tenancy_private.operator_trust()::json)
        as k ("group" text, function oid, trusted boolean, reason text)
    order by k."group" nulls last, k.function;
end;
comment on function tenancy.operator_trust() is
    'The built-in functions that were vetted, by group, whether this session trusts them, and why they can''t tell what they saw; without a group those that can, and how.';

create function tenancy.trust_operators(groups text[] default '{all}')
    returns text
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
declare
    chosen constant text := coalesce(array_to_string(trust_operators.groups, ', '), '');
    known constant text[] := array(
        select distinct k."group" from tenancy.operator_trust() as k where k."group" is not null);
    refused text;
begin
    if not (select r.rolsuper from pg_roles as r where r.rolname = current_user) then
        raise exception 'only a superuser can trust operators'
            using errcode = '42501', hint = 'Connect as the DBA.';
    end if;
    select g into refused
    from unnest(trust_operators.groups) as g
    where g is null or g <> 'all' and g <> all (known)
    limit 1;
    if found then
        raise exception '"%" is no group of vetted operators', coalesce(refused, 'null')
            using errcode = 'TN803',
                  hint = format('Groups are all, %s. tenancy.operator_trust() says why other functions are refused.',
                      array_to_string(array(select g from unnest(known) as g order by g), ', '));
    end if;

    if chosen = '' then
        execute format('alter database %I reset pg_tenancy.trusted_operators', current_database());
    else
        execute format('alter database %I set pg_tenancy.trusted_operators = %L', current_database(), chosen);
    end if;
    delete from tenancy.operator_trust_chosen;
    insert into tenancy.operator_trust_chosen (groups)
    select chosen where chosen <> '';
    perform set_config('pg_tenancy.trusted_operators', chosen, false);
    return chosen;
end
$$;
comment on function tenancy.trust_operators(text[]) is
    'For a superuser: trusts these groups of vetted operators (operator_trust() lists them) in this database, from each connection''s next start, and at once in this one; {} takes it back. Returns the setting. TN803 no such group, 42501 no superuser.';

create function tenancy_private.lint_trust_forgotten(walled tenancy_private.walled[])
    returns setof tenancy_private.finding
    language sql stable
begin atomic
    select 'warning', 'setting pg_tenancy.trusted_operators',
        format('is %s, and the DBA chose %s', coalesce(nullif(s.setting, ''), 'empty'), c.groups),
        format('select tenancy.trust_operators(%L)', string_to_array(c.groups, ', '))
    from tenancy.operator_trust_chosen as c
    cross join (select current_setting('pg_tenancy.trusted_operators', true) as setting) as s
    where s.setting is distinct from c.groups;
end;
