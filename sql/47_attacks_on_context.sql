/*
 * Attacks on the context: none, a second one, and forged settings, those that
 * applications commonly use and those that the table's own policies read.
 */

create function tenancy_private.attack_context(stage tenancy_private.stage)
    returns setof tenancy_private.attack
    language plpgsql
as $$
declare
    made tenancy_private.attempt;
    digest text := tenancy_private.digest_query(stage.relation, stage.tenant_column, stage.theirs);
    everything text := format('select count(*) from (select from %s limit 1) as seen', stage.relation);
    strangers text := format('select count(*) from (select from %s where %I is distinct from %L limit 1) as seen',
        stage.relation, stage.tenant_column, stage.ours);
    tenant uuid;
begin
    made := tenancy_private.attempt(null, 'tenancy_app', '{}', '{}', everything);
    return next tenancy_private.judgement('read without a context', made, made.answer::bigint > 0,
        'there are rows without a tenant', 'held');

    made := tenancy_private.attempt(null, 'tenancy_app',
        tenancy_private.removal(stage.relation, stage.their_place),
        array[tenancy_private.insertion_by_app(stage.relation, stage.their_row)], null, digest);
    return next tenancy_private.judgement('insert without a context', made,
        made.code is null or tenancy_private.is_stopped_late(made), 'a row can be made without a tenant', 'skipped');

    made := tenancy_private.attempt(stage.ours, 'tenancy_gateway', '{}',
        array[format('select tenancy.set_tenant_context(%L)', stage.theirs)], 'select tenancy.current_tenant_id()');
    return next tenancy_private.judgement('a second context', made, made.answer::uuid = stage.theirs,
        'a transaction can go on to another tenant', 'skipped');

    foreach tenant in array array[stage.ours, null] loop
        made := tenancy_private.attempt(tenant, 'tenancy_app', '{}',
            tenancy_private.forgeries(array['pg_tenancy.context'], stage.theirs), strangers);
        return next tenancy_private.judgement(
            'forge pg_tenancy.context' || case when tenant is null then ' without a context' else '' end,
            made, made.answer::bigint > 0, 'the setting lets in who wrote it', 'held');

        made := tenancy_private.attempt(tenant, 'tenancy_app', '{}',
            tenancy_private.forgeries(tenancy_private.suspicious_settings(stage.relation), stage.theirs), strangers);
        return next tenancy_private.judgement(
            'forge other settings' || case when tenant is null then ' without a context' else '' end,
            made, made.answer::bigint > 0,
            format('writing the other tenant''s id into settings shows its rows (tried: %s)',
                array_to_string(tenancy_private.suspicious_settings(stage.relation), ', ')), 'held');
    end loop;
end
$$;
comment on function tenancy_private.attack_context(tenancy_private.stage) is
    'Reads without a context, with a second one, and with forged settings.';

-- Each part of its own is quoted.
create function tenancy_private.setting_name(name text)
    returns text
    language sql immutable
return (
    select pg_catalog.string_agg(pg_catalog.quote_ident(p.part), '.' order by p.place)
    from pg_catalog.string_to_table(name, '.') with ordinality as p (part, place)
);

-- As many statements as there are ways; each may be refused, and the next is tried.
create function tenancy_private.forgeries(names text[], tenant uuid)
    returns text[]
    language sql immutable
return array(
    select pg_catalog.format('do %L', pg_catalog.format('begin %s; exception when others then null; end', w.way))
    from pg_catalog.unnest(names) as n (name),
        lateral (values
            (pg_catalog.format('reset %s', tenancy_private.setting_name(n.name))),
            (pg_catalog.format('set local %s = %L', tenancy_private.setting_name(n.name), tenant)),
            (pg_catalog.format('perform pg_catalog.set_config(%L, %L, true)', n.name, tenant)),
            (pg_catalog.format('perform pg_catalog.set_config(%L, %L, false)', n.name, tenant))
        ) as w (way)
);

create function tenancy_private.suspicious_settings(relation regclass)
    returns text[]
    language sql stable
return array(
    select w.name
    from pg_catalog.unnest(array[
        'app.current_tenant_id', 'app.current_tenant', 'app.tenant_id', 'app.tenant', 'app.current_org',
        'app.org_id', 'app.account_id', 'tenant.id', 'rls.tenant_id', 'my.tenant_id', 'request.tenant_id'
    ]) as w (name)
    union
    select m.found[1]
    from pg_catalog.pg_policy as p,
        pg_catalog.regexp_matches(
            concat(pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)),
            'current_setting\(''([^'']+\.[^'']+)''', 'g') as m (found)
    where p.polrelid = suspicious_settings.relation
    order by 1
);
comment on function tenancy_private.suspicious_settings(regclass) is
    'Settings that applications commonly keep the tenant in, and those that the table''s policies read.';
