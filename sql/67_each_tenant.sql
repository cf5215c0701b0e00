/*
 * Every tenant in turn, for a gateway's jobs.
 */
