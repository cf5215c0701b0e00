/*
 * lint(): everything in this database that breaks the wall or could, one row
 * each, with the statement that mends it.
 *
 * The register says for each rule why it matters. A rule that is added here is
 * added to pg_tenancy/README.md, and to a test that plants the fault.
 */

create function tenancy_private.lint_register()
    returns table (rule text, why text)
    language sql immutable rows 50
begin atomic
    values
        ('missing_boundary', 'Every tenant can read and write all its rows.'),
        ('row_security_off', 'Policies do nothing while row-level security is off.'),
        ('row_security_not_forced', 'Its owner reads all rows: so do functions, views and migrations that run as the owner.'),
        ('boundary_changed', 'The boundary is the wall: only as restrictive, for all, to public, on the tenant''s column does no other policy open it.'),
        ('plain_setting', 'set_config() inside any query names another tenant.'),
        ('child_outside', 'A query of a child or of its parent asks the policies of the table that it names, and of no other.'),
        ('nullable_tenant', 'A row without a tenant is nobody''s: no tenant sees it, and no report tells.'),
        ('tenant_without_default', 'Every insert has to name the tenant, and one that forgets it fails.'),
        ('reference_without_tenant', 'References are checked without row-level security: a tenant can refer to another one''s row, and learn that it exists.'),
        ('cascade_crosses', 'Actions of a reference run without row-level security, and change rows of other tenants or take their tenant away.'),
        ('unique_without_tenant', 'A value that is taken tells that another tenant has it, and keeps this one from using it.'),
        ('no_tenant_index', 'Every query of a tenant reads the rows of all.'),
        ('view_without_invoker', 'Policies are asked for the owner of the view, not for who reads it.'),
        ('copy_within_reach', 'Row-level security does not exist for it: who may read it reads every tenant.'),
        ('definer_without_path', 'The caller puts objects of its own where the function looks, and they run as the owner.'),
        ('bypassing_function', 'Whatever it reads or writes, it does for every tenant.'),
        ('rewrite_rule', 'What a rule adds runs with the rights of the table''s owner, whom row-level security may not hold.'),
        ('trigger_of_another', 'Its owner can change what runs in every tenant''s transaction.'),
        ('sequence_within_reach', 'It tells how much all tenants together add, and can be set back.'),
        ('publication_without_filter', 'A subscriber gets every tenant''s rows.'),
        ('granted_to_public', 'Every role of the cluster has it, also those that are made later.'),
        ('dangerous_grant', 'TRUNCATE, REFERENCES and TRIGGER don''t ask row-level security.'),
        ('schema_create', 'Whoever can create objects in a schema can put one in the way of another.'),
        ('default_grant', 'The next table is granted before anybody looks.'),
        ('application_bypasses', 'Row-level security doesn''t hold for it, or it can make it so.'),
        ('application_sees_others', 'It reaches beyond the one tenant that it has entered.'),
        ('application_owns', 'An owner changes policies, drops the table, and reads it through an index of its own.'),
        ('owner_has_members', 'Its members read and change every tenant''s rows.'),
        ('shared_written', 'A shared table is every tenant''s: what one writes, all the others read.'),
        ('not_served', 'Somebody counts on it being there, and the service answers that it isn''t.'),
        ('large_objects', 'Large objects have no tenant.'),
        ('other_sessions', 'Sessions of one role see each other''s queries and locks, whichever tenant they serve.'),
        ('signals', 'A session may end every other of its own role.'),
        ('dblink', 'It opens a connection of its own, as whom it likes, without the tenant.'),
        ('server_functions', 'They reach files, settings or sessions beyond the tenant.'),
        ('server_version', 'The wall is row-level security, and this version has holes in it.'),
        ('compat_setting', 'Any SQL of the application can name its tenant, for as long as this is set.'),
        ('trust_forgotten', 'Searches that used their index read all of the tenant: the setting of a database doesn''t go with a dump.'),
        ('soft_delete_broken', 'What is deleted is seen, or is gone for good.'),
        ('extension_changed', 'The wall relies on it, and pg_dump doesn''t carry it: a restored database differs.'),
        ('extension_grants', 'Each grant of the extension was weighed: more opens a door, fewer breaks a service.'),
        ('role_changed', 'What the extension''s roles may is all they should.');
end;
comment on function tenancy_private.lint_register() is 'The rules of lint(), in the order of its rows, and why each matters.';

-- A definer: it calls the rules, which nobody else may.
create function tenancy.lint()
    returns table (severity text, rule text, object text, problem text, why text, fix text)
    language plpgsql stable
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    walled constant tenancy_private.walled[] := array(select w from tenancy_private.lint_walled() as w);
    known record;
begin
    -- This loads the library, which knows its settings' values: the rule compat_setting looks at one.
    perform tenancy_private.context_user_id();

    -- One after the other: a plan for all of them at once takes longer to make than to run.
    for known in
        select r.rule, r.why from tenancy_private.lint_register() as r
    loop
        return query execute format(
            'select f.severity, %L, f.object, f.problem, %L,
                -- A name may have line ends, and what follows one is no comment any more.
                case when f.fix like ''--%%'' then regexp_replace(f.fix, ''[\n\r]+'', '' '', ''g'') else f.fix end
             from tenancy_private.%I($1) as f
             order by array_position(array[''error'', ''warning'', ''info''], f.severity), f.object, f.fix',
            known.rule, known.why, 'lint_' || known.rule)
            using walled;
    end loop;
end
$$;
comment on function tenancy.lint() is
    'What breaks the wall in this database or could: severity (error, warning, info), rule, object, what is wrong, why it matters, and the statement that mends it, or a comment where none can. A database as the README describes it gives no row.';
