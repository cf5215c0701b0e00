/*
 * Row functions: a table as JSON, one statement a request.
 *
 *     select tenancy.list_rows('tenancy.tasks', '{"limit":"20"}') from tenancy.enter($1)
 *
 * They work for any isolated table with a key of one column beside the tenant.
 * They run as the caller, so that grants and row-level security are the rule:
 * a field is there when the caller may select its column, and can be written
 * when the caller may insert or update it. They must stay VOLATILE: that is
 * what makes them run after enter(). In Rust: pg_tenancy/src/rows/.
 */

create function tenancy.list_rows(relation regclass, query json default '{}')
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_list_rows';
comment on function tenancy.list_rows(regclass, json) is
    'A page of rows, newest first: {"data":[…],"page":1,"limit":20}, and "total" where the query says "count":"exact". The query: page (from 1) or cursor (the "nextCursor" of the page before), limit (1 to 100, default 20), count (exact, estimated), include "a,b", sort "-a,b", fields "a,b", filter {field: value or {operator: value}} with the operators eq, ne, gt, gte, lt, lte, in, like, ilike, is. Sorts and filters are for columns that an index holds. TN401 not served, TN402 no such field or not for that, TN405 bad value, TN406 bad page, limit, count, sort, operator or option, TN415 the cursor is not good here, TN416 too long for a cursor.';

create function tenancy.get_row(relation regclass, id text)
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_get_row';
comment on function tenancy.get_row(regclass, text) is
    'The row with that id, or NULL where this tenant has none. TN401 not served, TN405 not an id.';

create function tenancy.insert_row(relation regclass, fields json)
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_insert_row';
comment on function tenancy.insert_row(regclass, json) is
    'Adds a row from a JSON object and returns it as it was stored. TN401 not served, TN402 unknown field, TN403 field not writable, TN404 no field given, TN405 bad value, TN410 a rule is broken, TN411 a reference leads nowhere, TN412 taken.';

create function tenancy.update_row(relation regclass, id text, fields json)
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_update_row';
comment on function tenancy.update_row(regclass, text, json) is
    'Changes the fields that are given, null included, and returns the row, or NULL where this tenant has none. Errors as insert_row, and TN413 still referenced.';

create function tenancy.delete_row(relation regclass, id text)
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_delete_row';
comment on function tenancy.delete_row(regclass, text) is
    'Deletes the row and returns it, or NULL where this tenant has none. TN401 not served, TN405 not an id, TN413 still referenced.';
