/*
 * Telling of what ends a proof.
 *
 * A connection that has let a token in remembers it, and lets it in again without
 * looking at key, session, tenant and membership each time. So it must hear of every
 * change of one of these rows that could say otherwise, before the COMMIT of that change
 * returns. These triggers tell, whoever makes the change: ENABLE ALWAYS has them fire in
 * a replication worker and with session_replication_role = 'replica', too. Where one of
 * them isn't as it is here, nothing is remembered, and each request looks (lint says so).
 *
 * What adds a right needs no word: only what was good is remembered. So inserts are
 * told of for issuers alone, where one takes tokens away from our own keys.
 */

create function tenancy_private.tell_of_end()
    returns trigger
    language c volatile
as 'MODULE_PATHNAME', 'tenancy_tell_of_end';
comment on function tenancy_private.tell_of_end() is
    'Trigger, for each row: tells all backends, when the change is committed, to look again at the proofs that rest on the id in the first column; without an argument, at all. With more columns, an update that leaves all of them as they were isn''t told of.';

create trigger tell_of_end after update or delete on tenancy.tenants
    for each row execute function tenancy_private.tell_of_end('id');
create trigger tell_of_end after update or delete on tenancy.memberships
    for each row execute function tenancy_private.tell_of_end('user_id');
create trigger tell_of_end after update or delete on tenancy.signing_keys
    for each row execute function tenancy_private.tell_of_end();
create trigger tell_of_end after insert or update on tenancy.issuers
    for each row execute function tenancy_private.tell_of_end();
-- A login or a refresh changes other columns, often, and ends nothing.
create trigger tell_of_end after update or delete on tenancy.users
    for each row execute function tenancy_private.tell_of_end('id', 'tokens_valid_from');
create trigger tell_of_end after update or delete on tenancy.sessions
    for each row execute function tenancy_private.tell_of_end(
        'id', 'tenant_id', 'user_id', 'ended_at', 'expires_at');

alter table tenancy.tenants enable always trigger tell_of_end;
alter table tenancy.memberships enable always trigger tell_of_end;
alter table tenancy.signing_keys enable always trigger tell_of_end;
alter table tenancy.issuers enable always trigger tell_of_end;
alter table tenancy.users enable always trigger tell_of_end;
alter table tenancy.sessions enable always trigger tell_of_end;
