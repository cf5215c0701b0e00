/*
 * API keys: how a machine enters.
 */
