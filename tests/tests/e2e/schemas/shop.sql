/*
 * A web shop for several merchants, as the usual tutorials make it: the
 * merchant's uuid in some tables, plain keys, a policy on a plain setting.
 */
create schema shop;
create schema "Shop Archive";

create domain shop.money_amount as numeric(12, 2) check (value >= 0);
create type shop.order_status as enum ('open', 'paid', 'sent', 'returned');

create table shop.customers (
    id bigint generated always as identity primary key,
    merchant uuid not null,
    email text not null constraint customers_email unique,
    name text not null,
    "group" text not null default 'private' check ("group" in ('private', 'business')),
    vat_id text check ("group" = 'business' or vat_id is null)
);
alter table shop.customers enable row level security;
create policy by_setting on shop.customers
    using (merchant = nullif(current_setting('app.merchant', true), '')::uuid);

create table shop.products (
    sku text primary key check (sku ~ '^[A-Z0-9-]{3,20}$'),
    merchant uuid not null,
    title jsonb not null check (jsonb_typeof(title) = 'object'),
    price shop.money_amount not null,
    tags text[] not null default '{}',
    image bytea
);

create table shop.orders (
    id uuid primary key default gen_random_uuid(),
    customer_id bigint not null references shop.customers (id) on delete restrict,
    number integer not null,
    status shop.order_status not null default 'open',
    placed_at timestamptz not null default now(),
    paid_at timestamptz,
    constraint orders_number unique (number),
    constraint orders_paid check (status = 'open' or paid_at is not null)
);

create table shop.order_lines (
    order_id uuid not null references shop.orders (id) on delete cascade,
    line integer not null check (line > 0),
    sku text not null references shop.products (sku) on update cascade,
    quantity integer not null check (quantity between 1 and 999),
    price shop.money_amount not null,
    primary key (order_id, line)
);

create table shop."Event Log" (
    id uuid not null default gen_random_uuid(),
    "at" timestamptz not null default now(),
    customer_id bigint references shop.customers (id) on delete cascade,
    merchant uuid not null,
    kind text not null,
    payload jsonb not null default '{}',
    primary key (id, "at")
) partition by range ("at");
create table "Shop Archive".events_2025 partition of shop."Event Log"
    for values from ('2025-01-01') to ('2026-01-01');
create table shop.events_2026 partition of shop."Event Log"
    for values from ('2026-01-01') to ('2027-01-01') partition by hash (id);
create table shop.events_2026_0 partition of shop.events_2026 for values with (modulus 2, remainder 0);
create table shop.events_2026_1 partition of shop.events_2026 for values with (modulus 2, remainder 1);
create table shop.events_other partition of shop."Event Log" default;

-- An order gets the next number of all orders; a paid one can't go back.
create function shop.keep_status() returns trigger language plpgsql as $$
begin
    if old.status = 'sent' and new.status = 'open' then
        raise exception 'the order was sent already';
    end if;
    return new;
end
$$;
create trigger keep_status before update of status on shop.orders
    for each row execute function shop.keep_status();

create view shop.turnover with (security_invoker) as
    select o.placed_at::date as day, sum(l.quantity * l.price) as amount
    from shop.orders as o
    join shop.order_lines as l on l.order_id = o.id
    group by 1;

insert into shop.customers (merchant, email, name)
select m.id, format('buyer%s@%s.example', n, m.slug), 'Buyer ' || n
from tenancy.tenants as m, generate_series(1, 10) as n;
insert into shop.products (sku, merchant, title, price)
select format('%s-%s', upper(m.slug), n), m.id, jsonb_build_object('en', 'Thing ' || n), n * 1.5
from tenancy.tenants as m, generate_series(1, 5) as n;
insert into shop.orders (customer_id, number, status, paid_at)
select c.id, row_number() over (order by c.id), 'paid', now()
from shop.customers as c;
insert into shop.order_lines
select o.id, n, p.sku, n, p.price
from shop.orders as o
join shop.customers as c on c.id = o.customer_id
join lateral (
    select row_number() over (order by p.sku) as n, p.sku, p.price from shop.products as p where p.merchant = c.merchant
) as p on p.n <= 3;
insert into shop."Event Log" ("at", customer_id, merchant, kind)
select y.at, c.id, c.merchant, 'seen'
from shop.customers as c, (values (timestamptz '2025-06-01'), ('2026-06-01'), ('2030-06-01')) as y (at);
