/*
 * Passwords: changed by who knows the old one, reset by who reads the mail.
 */
