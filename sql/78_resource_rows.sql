/*
 * Row functions by the name of a resource: what the service calls, one statement
 * a request.
 *
 *     select tenancy.list_resource('students', '{"limit":"20"}') from tenancy.enter($1)
 *
 * As those of 16_rows.sql they run as the caller and must stay VOLATILE. What is
 * exposed narrows what the caller is granted. In Rust: pg_tenancy/src/rows/.
 */

create function tenancy.list_resource(resource text, query json default '{}')
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_list_resource';
comment on function tenancy.list_resource(text, json) is
    'A page of rows, newest first, by the query of list_rows(). Sorts and filters are for the columns that are listed as such, or else for those that an index holds. TN401 no such resource, TN402 no such field or not for that, TN405 bad value, TN406 bad option, TN415 and TN416 cursors.';

create function tenancy.get_resource(resource text, id text[], query json default '{}')
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_get_resource';
comment on function tenancy.get_resource(text, text[], json) is
    'The row with that id, the columns of its key as texts, or NULL where this tenant has none. The query: fields "a,b", include "a,b". TN401 no such resource, TN402 no such field, TN405 not an id, TN406 bad option.';

create function tenancy.insert_resource(resource text, body json)
    returns json
    language c strict volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_insert_resource';
comment on function tenancy.insert_resource(text, json) is
    'Adds the row of a JSON object and returns it as it was stored; or the rows of an array, 1 to 100, all or none, and returns an array. Errors as insert_row(), and of an array''s row with its place, from 0: field "2.title". TN420 no row or too many, 42501 can only be read.';

create function tenancy.update_resource(resource text, id text[], fields json, if_match text[] default null)
    returns json
    language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_update_resource';
comment on function tenancy.update_resource(text, text[], json, text[]) is
    'Changes the fields that are given and returns the row, or NULL where this tenant has none. if_match: entity tags without quotes, one of which the row must still have, or *. Errors as update_row(), TN414 the row is another by now, 42501 can only be read.';

create function tenancy.delete_resource(resource text, id text[], if_match text[] default null)
    returns json
    language c volatile parallel unsafe
as 'MODULE_PATHNAME', 'tenancy_delete_resource';
comment on function tenancy.delete_resource(text, text[], text[]) is
    'Deletes the row and returns it, or NULL where this tenant has none. if_match as in update_resource(). TN401 no such resource, TN405 not an id, TN413 still referenced, TN414 the row is another by now, 42501 can only be read.';
