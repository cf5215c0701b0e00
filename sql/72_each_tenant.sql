/*
 * Every tenant in turn, for a gateway's jobs.
 *
 * Each in a transaction of its own, in its context, as the caller. What one of
 * them breaks is undone, noted, and the next one's turn. A cancellation, a
 * statement_timeout included, stops them all; what was done before stays done.
 */

-- A definer: a gateway reads no tenant that it has not entered.
create function tenancy.active_tenants(after uuid default null, "limit" integer default 1000)
    returns setof uuid
    language plpgsql stable rows 1000
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if "limit" is null or "limit" not between 1 and 10000 then
        raise exception 'the limit must be 1 to 10000'
            using errcode = 'TN852', hint = 'Leave it out for 1000, and go on after the last id.';
    end if;
    return query
    select t.id
    from tenancy.tenants as t
    where t.status = 'active' and t.id > coalesce(active_tenants.after, '00000000-0000-0000-0000-000000000000')
    order by t.id
    limit active_tenants."limit";
end
$$;
comment on function tenancy.active_tenants(uuid, integer) is
    'The ids of active tenants, ascending, which is the order in which they were registered: the first after that one. TN852 bad limit.';

-- A definer: nobody writes the audit log.
create function tenancy.note_run(statement text)
    returns uuid
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    run constant uuid := tenancy.uuid_v7();
begin
    if coalesce(btrim(statement), '') = '' then
        raise exception 'there is nothing to do'
            using errcode = 'TN852', hint = 'call tenancy.for_each_tenant(''delete from …'')';
    end if;
    perform tenancy_private.audit('for_each_tenant',
        jsonb_build_object('run', run, 'statement', left(note_run.statement, 1000)));
    return run;
end
$$;
comment on function tenancy.note_run(text) is
    'For for_each_tenant(): notes in the audit log that a run begins, and returns its id. TN852 nothing to do.';

-- A definer: nobody writes the audit log.
create function tenancy.note_failure(run uuid, tenant uuid, problem text)
    returns void
    language sql volatile
    security definer set search_path = pg_catalog, pg_temp
begin atomic
    select tenancy_private.audit('for_each_tenant',
        jsonb_build_object('run', note_failure.run, 'tenant', note_failure.tenant, 'failed', left(note_failure.problem, 5)));
end;
comment on function tenancy.note_failure(uuid, uuid, text) is
    'For for_each_tenant(): notes in the audit log that a tenant''s turn failed, with which SQLSTATE, and nothing of what the error says.';

-- A definer: nobody writes the audit log.
create function tenancy.note_end(run uuid, done bigint, failed bigint)
    returns void
    language sql volatile
    security definer set search_path = pg_catalog, pg_temp
begin atomic
    select tenancy_private.audit('for_each_tenant',
        jsonb_build_object('run', note_end.run, 'done', note_end.done, 'failures', note_end.failed));
end;
comment on function tenancy.note_end(uuid, bigint, bigint) is
    'For for_each_tenant(): notes in the audit log that a run has come to its end.';

create function tenancy.refuse_residue()
    returns void
    language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_refuse_residue';
comment on function tenancy.refuse_residue() is
    'Raises now what the commit would: TN841 where a function has changed a setting or taken a lock for the session within the context.';

-- A procedure that commits can't pin its path, so nothing here depends on one:
-- every name has its schema, operators too. The statement has the caller's.
create procedure tenancy.for_each_tenant(statement text, inout done bigint default 0, inout failed bigint default 0)
    language plpgsql
as $$
declare
    run pg_catalog.uuid;
    tenants pg_catalog.uuid[];
    tenant pg_catalog.uuid;
    has_entered pg_catalog.bool;
    problem pg_catalog.text;
    said pg_catalog.text;
begin
    done := 0;
    failed := 0;
    -- It would do to every tenant's rows what it should do to one's, once for each.
    if not pg_catalog.row_security_active('tenancy.tenants'::pg_catalog.regclass) then
        raise exception 'your role bypasses row-level security'
            using errcode = 'TN852', hint = 'Set role tenancy_gateway first.';
    end if;
    run := tenancy.note_run(statement);
    commit;
    loop
        -- An array: a cursor over commits would be held, and nobody enters with one.
        tenants := array(select a from tenancy.active_tenants(tenant) as a);
        commit;
        exit when pg_catalog.array_length(tenants, 1) is null;
        foreach tenant in array tenants loop
            problem := null;
            has_entered := false;
            begin
                perform tenancy.set_tenant_context(tenant);
                has_entered := true;
                execute statement;
                -- What would fail at the commit has to fail here, where it can be undone.
                set constraints all immediate;
                perform tenancy.refuse_residue();
            exception
                when others or assert_failure then
                    get stacked diagnostics problem = returned_sqlstate, said = message_text;
            end;
            if problem is null then
                done := done operator(pg_catalog.+) 1;
            elsif has_entered or problem operator(pg_catalog.<>) 'TN004' then
                failed := failed operator(pg_catalog.+) 1;
                perform tenancy.note_failure(run, tenant, problem);
                raise warning 'tenant %: % %', tenant, problem, said;
            end if;
            commit;
        end loop;
    end loop;
    perform tenancy.note_end(run, done, failed);
end
$$;
comment on procedure tenancy.for_each_tenant(text, bigint, bigint) is
    'Runs the statement in the context of each active tenant, as the caller, each in a transaction of its own; how many it was done for, and for how many it failed. A failure is undone, a warning, and a row in audit_log, and the next tenant follows. A tenant that was suspended meanwhile is left out, one that was registered meanwhile comes last. Not inside a transaction (2D000), and the statement can''t commit. TN852 nothing to do, or a role that bypasses row-level security.';
