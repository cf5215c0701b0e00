/*
 * The same table five times: without RLS and a hand-written WHERE; with the policy of
 * the tutorials; under our wall; the same with the function in a subquery; and one for
 * as many tenants as the row engine is asked about.
 */
create schema bench;
grant usage on schema bench to public;

create table bench.hand (
    tenant_id uuid not null references tenancy.tenants (id),
    id uuid not null default tenancy.uuid_v7(),
    title text not null,
    status text not null default 'todo',
    amount numeric(10, 2) not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id)
);
create table bench.tutorial (like bench.hand including all, foreign key (tenant_id) references tenancy.tenants (id));
create table bench.chosen (like bench.hand including all, foreign key (tenant_id) references tenancy.tenants (id));
create table bench.ours (like bench.hand including all);

grant select, insert, update, delete on bench.hand, bench.tutorial, bench.chosen to tenancy_app;

alter table bench.tutorial enable row level security, force row level security;
create policy tenant on bench.tutorial
    using (tenant_id = current_setting('app.current_tenant_id', true)::uuid);

alter table bench.chosen enable row level security, force row level security;
create policy tenant on bench.chosen as restrictive
    using (tenant_id = (select tenancy.current_tenant_id()));
create policy everybody on bench.chosen using (true);

alter table bench.chosen alter column tenant_id set default tenancy.current_tenant_id();

select tenancy.isolate_table('bench.ours', tenant_column => 'tenant_id');

create table bench.who (n bigint primary key, tenant_id uuid, user_id uuid, session_id uuid);

-- So many tenants, each with a person, a session and so many rows.
create procedure bench.fill(tenants integer, rows_each integer)
    language plpgsql
as $$
declare
    target text;
begin
    insert into tenancy.tenants (slug, name)
    select 't' || n, 'Tenant ' || n from generate_series(1, fill.tenants) as n;
    insert into tenancy.users (email)
    select 'person' || n || '@example.com' from generate_series(1, fill.tenants) as n;
    insert into bench.who (n, tenant_id, user_id)
    select n, t.id, u.id
    from (select id, row_number() over (order by id) as n from tenancy.tenants) as t
    join (select id, row_number() over (order by id) as n from tenancy.users) as u using (n);
    insert into tenancy.memberships (tenant_id, user_id, role)
    select w.tenant_id, w.user_id, 'owner' from bench.who as w;
    with started as (
        insert into tenancy.sessions (tenant_id, user_id, expires_at)
        select w.tenant_id, w.user_id, now() + interval '1 day' from bench.who as w
        returning tenant_id, id)
    update bench.who as w set session_id = s.id from started as s where s.tenant_id = w.tenant_id;
    -- As they come in an application: all tenants' rows among each other.
    insert into bench.hand (tenant_id, title, amount)
    select w.tenant_id, 'Task ' || r || ' of ' || w.n, r
    from generate_series(1, fill.rows_each) as r, bench.who as w;
    foreach target in array array['tutorial', 'chosen', 'ours'] loop
        execute format('insert into bench.%I select * from bench.hand', target);
    end loop;
end
$$;

-- Gives the first tenant so many rows more.
create procedure bench.grow(rows integer)
    language plpgsql
as $$
declare
    target text;
begin
    create temporary table more on commit drop as
    select w.tenant_id, tenancy.uuid_v7() as id, 'Task ' || r || ' more' as title, 'todo' as status,
        r % 1000 as amount, now() as created_at, now() as updated_at
    from bench.who as w, generate_series(1, grow.rows) as r
    where w.n = 1;
    foreach target in array array['hand', 'tutorial', 'chosen', 'ours'] loop
        execute format('insert into bench.%I select * from more', target);
    end loop;
end
$$;
