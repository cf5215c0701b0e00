/*
 * Refusals on record: who named another tenant than their own.
 *
 * A service that was told TN026 by enter() calls record_denial() afterwards, in a
 * transaction of its own, because the refusal has rolled the first one back. What
 * is recorded was verified here once more: the proof is good, and is refused that
 * tenant. So nobody fills the log with what never happened; and of one person in
 * one tenant there is one line per minute, however often they try.
 */

create index audit_log_denials_at on tenancy.audit_log (at) where action = 'record_denial';

-- A definer: nobody writes the audit log or reads it, but by such functions.
create function tenancy.record_denial(token text, tenant text)
    returns void
    language plpgsql volatile strict
    security definer set search_path = pg_catalog, pg_temp
as $$
declare
    entered uuid;
begin
    begin
        perform tenancy.enter(record_denial.token, record_denial.tenant);
        -- It isn't refused.
        return;
    exception when sqlstate 'TN026' then
        null;
    end;
    entered := tenancy.enter(record_denial.token);

    -- Of several at the same moment each may leave its line: a lock would be one that
    -- anybody can hold, so that nobody is recorded.
    if exists (
        select from tenancy.audit_log as a
        where a.action = 'record_denial'
          and a.at > clock_timestamp() - interval '1 minute'
          and a.user_id is not distinct from tenancy_private.context_user_id()
          and a.arguments ->> 'tenantId' = entered::text)
    then
        return;
    end if;

    -- By a worker: who is refused may be somebody who can only read.
    perform tenancy_private.audit_now('record_denial', jsonb_build_object(
        'tenantId', entered, 'named', left(record_denial.tenant, 64)));
end
$$;
comment on function tenancy.record_denial(text, text) is
    'Writes into the audit log that this proof was refused that tenant (TN026 of enter()); once a minute for one person in one tenant. Nothing where it isn''t refused. Enters the proof''s own tenant. TN027 and what enter(token) has.';
