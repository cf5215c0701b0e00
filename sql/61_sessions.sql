/*
 * Sessions: a login, the refresh tokens that carry it on, and its end.
 */
