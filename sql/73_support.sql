/*
 * Support access: an operator looks into a tenant, for a time, in everybody's sight.
 *
 * impersonate() gives a secret that enter() takes instead of a token. It is a
 * role in the tenant and no person: viewer, or admin where it may write. That it
 * was given, and every transaction that enters with it, is in the audit log at
 * once, whatever becomes of the transaction; the tenant's owners see both, and
 * can end it.
 */

create table tenancy.support_access (
    tenant_id uuid not null references tenancy.tenants (id),
    id uuid not null default tenancy.uuid_v7(),
    digest bytea not null,
    reason text not null,
    ticket text,
    read_only boolean not null,
    login text not null default session_user,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    ended_at timestamptz,
    ended_by uuid references tenancy.users (id),
    primary key (tenant_id, id),
    constraint support_access_reason check (char_length(reason) between 1 and 500 and reason !~ '[[:cntrl:]]'),
    constraint support_access_ticket check (char_length(ticket) between 1 and 100 and ticket !~ '[[:cntrl:]]'),
    constraint support_access_digest_length check (octet_length(digest) = 32)
);
select pg_catalog.pg_extension_config_dump('tenancy.support_access', '');
comment on table tenancy.support_access is 'When an operator could look into which tenant, and why. Its owners read it.';
comment on column tenancy.support_access.digest is 'SHA-256 of what enter() takes, which is stored nowhere.';
comment on column tenancy.support_access.read_only is 'It enters as a viewer; else as an admin.';
comment on column tenancy.support_access.login is 'The login of the operator who asked for it.';
comment on column tenancy.support_access.ended_at is 'From here on it is refused; NULL: until it expires.';
comment on column tenancy.support_access.ended_by is 'The owner who ended it; NULL: an operator did.';

-- Who brings one names no tenant.
create unique index support_access_digest_key on tenancy.support_access (digest);
-- How often each was used.
create index audit_log_enter_support on tenancy.audit_log ((arguments ->> 'access')) where action = 'enter_support';

alter table tenancy.support_access enable row level security, force row level security;

create policy tenant_boundary on tenancy.support_access as restrictive for all to public
    using (tenant_id = tenancy.current_tenant_id())
    with check (tenant_id = tenancy.current_tenant_id());
create policy select_owner on tenancy.support_access for select to tenancy_app
    using (tenancy.current_member_role() = 'owner');

-- A definer: nobody may write the table.
create function tenancy.impersonate(
    tenant uuid,
    reason text,
    ticket text default null,
    minutes integer default 30,
    read_only boolean default true
)
    returns table (id uuid, token text, expires_at timestamptz)
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if coalesce(char_length(btrim(reason)), 0) not between 1 and 500 or reason ~ '[[:cntrl:]]' then
        raise exception 'support access needs a reason of 1 to 500 characters'
            using errcode = 'TN604', hint = 'Say it for the owners of the tenant: they read it.';
    elsif char_length(ticket) not between 1 and 100 or ticket ~ '[[:cntrl:]]' then
        raise exception 'a ticket has 1 to 100 characters'
            using errcode = 'TN604', hint = 'Leave it out if there is none.';
    elsif minutes is null or minutes not between 1 and 480 then
        raise exception 'support access lasts for 1 to 480 minutes'
            using errcode = 'TN604', hint = 'Leave it out for 30.';
    elsif read_only is null then
        raise exception 'support access is read-only or not'
            using errcode = 'TN604', hint = 'Leave it out for read-only.';
    elsif not exists (select from tenancy.tenants as t where t.id = impersonate.tenant) then
        raise exception 'there is no tenant %', impersonate.tenant
            using errcode = 'TN601', hint = 'tenancy.report_tenants() lists them.';
    end if;

    impersonate.id := tenancy.uuid_v7();
    impersonate.token := 'pgs_' || tenancy_private.random_token();
    impersonate.expires_at := clock_timestamp() + make_interval(mins => minutes);
    -- At once: what was asked for was asked for. The access itself is there from
    -- the commit on, and none after a rollback.
    perform tenancy_private.audit_now('impersonate', jsonb_build_object(
        'access', impersonate.id, 'tenant', tenant, 'reason', btrim(reason), 'ticket', ticket,
        'minutes', minutes, 'read_only', read_only));
    insert into tenancy.support_access as a (tenant_id, id, digest, reason, ticket, read_only, expires_at)
    values (tenant, impersonate.id, tenancy_private.digest_of(impersonate.token),
        btrim(impersonate.reason), impersonate.ticket, impersonate.read_only, impersonate.expires_at);
    return next;
end
$$;
comment on function tenancy.impersonate(uuid, text, text, integer, boolean) is
    'Support access to a tenant for some minutes (1 to 480): what enter() takes from the commit on, and shown this once. It enters as a viewer, or as an admin where read_only is false; its transactions are in audit_log, and the tenant''s owners see it. TN601 no such tenant, TN604 bad arguments.';

-- A definer: nobody writes the audit log.
create function tenancy_private.audit_support(access uuid, tenant uuid)
    returns void
    language sql volatile
    security definer set search_path = pg_catalog, pg_temp
begin atomic
    select tenancy_private.audit_now('enter_support', jsonb_build_object(
        'access', audit_support.access, 'tenant', audit_support.tenant,
        'client', inet_client_addr(), 'pid', pg_backend_pid(), 'began_at', now(),
        -- What log_line_prefix writes for %v.
        'transaction', (
            select l.virtualtransaction from pg_locks as l
            where l.locktype = 'virtualxid' and l.pid = pg_backend_pid()
            limit 1)));
end;
comment on function tenancy_private.audit_support(uuid, uuid) is
    'Writes that this transaction enters for support, at once, and nothing of what it does there: its statements would hold rows of the tenant.';

create function tenancy_private.support_as_json(a tenancy.support_access)
    returns json
    language sql stable
begin atomic
    select json_build_object(
        'id', a.id,
        'reason', a.reason,
        'ticket', a.ticket,
        'readOnly', a.read_only,
        'login', a.login,
        'createdAt', tenancy_private.iso(a.created_at),
        'expiresAt', tenancy_private.iso(a.expires_at),
        'endedAt', tenancy_private.iso(a.ended_at),
        'endedBy', a.ended_by,
        'active', a.ended_at is null and a.expires_at > clock_timestamp(),
        'transactions', u.number,
        'lastUsedAt', tenancy_private.iso(u.last_at))
    from (
        select count(*) as number, max(l.at) as last_at
        from tenancy.audit_log as l
        where l.action = 'enter_support' and l.arguments ->> 'access' = a.id::text
    ) as u;
end;
comment on function tenancy_private.support_as_json(tenancy.support_access) is
    'A support access as its tenant''s owners read it, with how many transactions have entered with it.';

create function tenancy_private.require_owner()
    returns uuid
    language plpgsql stable
as $$
declare
    tenant constant uuid := tenancy.current_tenant_id();
begin
    if tenancy.current_member_role() is distinct from 'owner' then
        raise exception 'only an owner may do this'
            using errcode = 'TN201', hint = 'Ask an owner of the tenant.';
    end if;
    return tenant;
end
$$;
comment on function tenancy_private.require_owner() is
    'The tenant of this context, whose owner has entered. TN001, TN201.';

-- A definer: it counts what stands in the audit log.
create function tenancy.list_support_access(query json default '{}')
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant uuid := tenancy_private.require_owner();
    page constant tenancy_private.page := tenancy_private.read_page(query);
begin
    return tenancy_private.list_of(page,
        (select json_agg(tenancy_private.support_as_json(a) order by a.id desc)
         from (
             select s.id
             from tenancy.support_access as s
             where s.tenant_id = tenant
             order by s.id desc
             limit page.size offset page.size * (page.number - 1)
         ) as p
         join tenancy.support_access as a on a.tenant_id = tenant and a.id = p.id),
        case when page.is_counted then
            (select count(*) from tenancy.support_access as s where s.tenant_id = tenant)
        end);
end
$$;
comment on function tenancy.list_support_access(json) is
    'When operators could look into this tenant, newest first, for its owners: {"data":[{id, reason, ticket, readOnly, login, createdAt, expiresAt, endedAt, endedBy, active, transactions, lastUsedAt}],"page","limit"}, and "total" where the query says "count":"exact". The query as list_rows, without filter. TN201 for others, TN406.';

-- A definer: nobody may write the table.
create function tenancy.end_support_access(id uuid)
    returns json
    language plpgsql volatile
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    is_operator constant boolean := tenancy_private.is_operator();
    tenant uuid;
    access tenancy.support_access;
begin
    if not is_operator then
        tenant := tenancy_private.require_owner();
    end if;
    update tenancy.support_access as a
    set ended_at = clock_timestamp(), ended_by = tenancy_private.context_user_id()
    where a.id = end_support_access.id
      and (is_operator or a.tenant_id = tenant)
      and a.ended_at is null and a.expires_at > clock_timestamp();
    if found then
        perform tenancy_private.audit('end_support_access', jsonb_build_object('access', end_support_access.id));
    end if;

    select a.* into access
    from tenancy.support_access as a
    where a.id = end_support_access.id and (is_operator or a.tenant_id = tenant);
    if not found then
        raise exception 'there is no such support access'
            using errcode = 'TN605', hint = 'The list of support access has those that there are.';
    end if;
    return tenancy_private.support_as_json(access);
end
$$;
comment on function tenancy.end_support_access(uuid) is
    'Ends it from the next transaction on: for an operator (tenancy_admin) outside of any tenant, and for an owner within theirs. Again: no effect. TN201 no owner, TN605 there is none.';

create function tenancy_private.is_operator()
    returns boolean
    language sql stable
begin atomic
    select nullif(current_setting('pg_tenancy.context', true), '') is null
        and pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user), 'tenancy_admin', 'member');
end;
comment on function tenancy_private.is_operator() is
    'Whether the caller is a tenancy_admin and has entered no tenant.';

-- A definer: nobody but a tenant's owner reads the table.
create function tenancy.report_support_access(tenant uuid default null)
    returns table (
        tenant_id uuid,
        id uuid,
        reason text,
        ticket text,
        read_only boolean,
        login text,
        created_at timestamptz,
        expires_at timestamptz,
        ended_at timestamptz,
        ended_by uuid,
        transactions bigint,
        last_used_at timestamptz
    )
    language sql stable
    security definer set search_path = pg_catalog, pg_temp
begin atomic
    select a.tenant_id, a.id, a.reason, a.ticket, a.read_only, a.login, a.created_at, a.expires_at, a.ended_at, a.ended_by,
        u.number, u.last_at
    from tenancy.support_access as a
    cross join lateral (
        select count(*) as number, max(l.at) as last_at
        from tenancy.audit_log as l
        where l.action = 'enter_support' and l.arguments ->> 'access' = a.id::text
    ) as u
    where report_support_access.tenant is null or a.tenant_id = report_support_access.tenant
    order by a.created_at desc, a.id desc;
end;
comment on function tenancy.report_support_access(uuid) is
    'Support access past and present, newest first, to one tenant or all: for operators.';
