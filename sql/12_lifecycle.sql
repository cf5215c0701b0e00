/*
 * Lifecycle: an operator suspends a tenant and lets it go on.
 *
 * Suspension holds from the next transaction on, because enter() looks at the
 * tenant each time; one that is under way ends as it began.
 */

create function tenancy_private.set_tenant_status(tenant uuid, status text)
    returns void
    language plpgsql
as $$
begin
    update tenancy.tenants as t
    set status = set_tenant_status.status
    where t.id = set_tenant_status.tenant;
    if not found then
        raise exception 'there is no tenant %', set_tenant_status.tenant
            using errcode = 'TN601', hint = 'tenancy.report_tenants() lists them.';
    end if;
end
$$;

-- A definer: no role may update tenants.
create function tenancy.suspend_tenant(tenant uuid, reason text)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit('suspend_tenant',
        jsonb_build_object('tenant', suspend_tenant.tenant, 'reason', suspend_tenant.reason));
    perform tenancy_private.set_tenant_status(suspend_tenant.tenant, 'suspended');
end
$$;
comment on function tenancy.suspend_tenant(uuid, text) is
    'From the next transaction on nobody can enter the tenant (TN004). Again: no effect. TN601 no such tenant.';

-- A definer: no role may update tenants.
create function tenancy.resume_tenant(tenant uuid)
    returns void
    language plpgsql
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tenancy_private.audit('resume_tenant',
        jsonb_build_object('tenant', resume_tenant.tenant));
    perform tenancy_private.set_tenant_status(resume_tenant.tenant, 'active');
end
$$;
comment on function tenancy.resume_tenant(uuid) is
    'Lets a suspended tenant be entered again. Again: no effect. TN601 no such tenant.';
