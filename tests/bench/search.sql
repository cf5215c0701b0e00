/*
 * What conditions that aren't leakproof are asked about: a tenant with many rows among
 * small ones, with the index that each condition takes, by hand and under the wall.
 */
create extension pg_trgm;

create table bench.texts (
    tenant_id uuid not null references tenancy.tenants (id),
    id uuid not null default tenancy.uuid_v7(),
    title text not null,
    words tsvector not null,
    data jsonb not null,
    tags text[] not null,
    valid int4range not null,
    amount numeric not null,
    primary key (tenant_id, id)
);
insert into bench.texts (tenant_id, title, words, data, tags, valid, amount)
select w.tenant_id, title, to_tsvector('simple', title),
    jsonb_build_object('number', r, 'colour', (array['red', 'green', 'blue'])[1 + r % 3]),
    array['tag' || r, 'all'], int4range(r, r + 2), r + 0.5
from bench.who as w
cross join lateral generate_series(1, case w.n when 1 then {rows} else 100 end) as r
cross join lateral (select md5(w.n || '/' || r) || ' number' || r as title) as t;

create table bench.texts_hand (like bench.texts including all, foreign key (tenant_id) references tenancy.tenants (id));
insert into bench.texts_hand select * from bench.texts;

do $$
declare
    name text;
begin
    foreach name in array array['texts', 'texts_hand'] loop
        execute format('create index on bench.%I using gin (title gin_trgm_ops)', name);
        execute format('create index on bench.%I using gin (words)', name);
        execute format('create index on bench.%I using gin (data)', name);
        execute format('create index on bench.%I using gin (tags)', name);
        execute format('create index on bench.%I using gist (valid)', name);
        execute format('create index on bench.%I (amount)', name);
    end loop;
end
$$;
grant select on bench.texts_hand to tenancy_app;
select tenancy.isolate_table('bench.texts', tenant_column => 'tenant_id');
select tenancy.trust_operators();
