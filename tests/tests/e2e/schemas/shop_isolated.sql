/*
 * The merchants are tenants with the ids that the rows have already.
 */
grant usage on schema shop, "Shop Archive" to tenancy_app;
grant usage on type shop.money_amount, shop.order_status to tenancy_app;
grant select on shop.turnover to tenancy_app;

select tenancy.isolate_table('shop.customers', tenant_column => 'merchant', unique_per_tenant => '{*}', replace_policies => true);
select tenancy.isolate_table('shop.products', tenant_column => 'merchant');
select tenancy.isolate_table('shop.orders', parent => 'customer_id', unique_per_tenant => '{orders_number}');
select tenancy.isolate_table('shop.order_lines', parent => 'order_lines_order_id_fkey');
select tenancy.isolate_table('shop."Event Log"', tenant_column => 'merchant');
