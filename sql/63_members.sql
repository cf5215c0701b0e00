/*
 * Members: who is in a tenant, who may change that.
 */
