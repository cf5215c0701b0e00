//! What one connection and one transaction can show; `tests/` at the top level
//! has what needs more of them.
//!
//! A `#[pg_test]` runs as a superuser, who bypasses row-level security, and is
//! rolled back: so each test first makes its tenants, then becomes somebody.
//! pgrx wants test functions in a schema `tests`, hence the module in each file.

mod api_keys;
mod assert_isolated;
mod boundary_first;
mod by_index;
mod capsules;
mod context;
mod counts;
mod cursor_walks;
mod cursors;
mod deleted_rows;
mod denials;
mod direct_reads;
mod dropping;
mod each_tenant;
mod exposed;
mod exposed_lists;
mod forgery;
mod functions;
mod harden;
mod idempotency;
mod includes;
mod invariants;
mod invitations;
mod isolate;
mod isolate_keys;
mod isolate_kinds;
mod isolation;
mod issuers;
mod keys;
mod lean;
mod lint;
mod lint_extension;
mod lint_keys;
mod lint_reach;
mod lint_roles;
mod lists;
mod members;
mod named_tenant;
mod new_tables;
mod onboarding;
mod passwords;
mod plans;
mod plans_by_size;
mod providers;
mod purge;
mod read_only;
mod release;
mod reports;
mod residue;
mod resources;
mod resources_narrowed;
mod resources_told;
mod resources_views;
mod resources_written;
mod row_keys;
mod rows;
mod rows_changed;
mod selected_tenant;
mod session_ends;
mod sessions;
mod shared;
pub mod signer;
mod soft_delete;
mod support;
mod support_access;
mod tokens;
mod trust;
mod trust_values;
mod types;
mod viewers;
mod written;
