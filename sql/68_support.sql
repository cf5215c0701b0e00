/*
 * Support access: an operator looks into a tenant, for a time, in everybody's sight.
 */
