/*
 * Capsules: a context that a queue can carry.
 */
