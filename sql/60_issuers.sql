/*
 * Issuers: identity providers of others, whose tokens enter too.
 */
