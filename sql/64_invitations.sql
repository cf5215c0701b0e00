/*
 * Invitations: how a person comes into a tenant.
 */
