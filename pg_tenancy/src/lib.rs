//! pg_tenancy: row-level multi-tenancy that PostgreSQL enforces by itself.
//!
//! What can be said in SQL is said in SQL, in the top-level folder `sql/`, one
//! file per subject. This crate holds the rest: the tenant context, tokens,
//! the row functions, and the guard of DROP EXTENSION. A function is declared
//! in `sql/` and implemented here under the name `tenancy_…`.
//!
//! `unsafe` stands in the modules that talk to PostgreSQL; `capsule`, `token`,
//! `rows::input`, `rows::query`, `rows::after` and `rows::cursor` have none.

#[macro_use]
mod single;
#[macro_use]
mod function;

mod audit;
mod backend;
mod boundary_first;
mod capsule;
mod committed;
mod context;
mod drop_guard;
mod entry;
mod fault;
mod hooks;
mod ids;
mod invoke;
mod keys;
mod late;
mod lean;
mod met;
mod objects;
mod once;
mod planner;
mod purge;
mod read_only;
mod readers;
mod residue;
mod rows;
mod settings;
mod soft_delete;
mod token;
mod trust;
mod watched;
mod writing;

#[cfg(any(test, feature = "pg_test"))]
mod tests;

pgrx::pg_module_magic!();

// Each file requires the one before it: pgrx's own order isn't stable.
pgrx::extension_sql_file!("../../sql/01_schemas.sql", bootstrap);
pgrx::extension_sql_file!("../../sql/02_context.sql", requires = ["01_schemas"]);
pgrx::extension_sql_file!("../../sql/03_ids.sql", requires = ["02_context"]);
pgrx::extension_sql_file!("../../sql/04_tenants.sql", requires = ["03_ids"]);
pgrx::extension_sql_file!("../../sql/05_people.sql", requires = ["04_tenants"]);
pgrx::extension_sql_file!("../../sql/06_signing_keys.sql", requires = ["05_people"]);
pgrx::extension_sql_file!("../../sql/07_audit.sql", requires = ["06_signing_keys"]);
pgrx::extension_sql_file!("../../sql/08_projects.sql", requires = ["07_audit"]);
pgrx::extension_sql_file!("../../sql/09_tasks.sql", requires = ["08_projects"]);
pgrx::extension_sql_file!("../../sql/10_onboarding.sql", requires = ["09_tasks"]);
pgrx::extension_sql_file!("../../sql/11_credentials.sql", requires = ["10_onboarding"]);
pgrx::extension_sql_file!("../../sql/12_lifecycle.sql", requires = ["11_credentials"]);
pgrx::extension_sql_file!("../../sql/13_keys.sql", requires = ["12_lifecycle"]);
pgrx::extension_sql_file!("../../sql/14_reports.sql", requires = ["13_keys"]);
pgrx::extension_sql_file!("../../sql/15_platform.sql", requires = ["14_reports"]);
pgrx::extension_sql_file!("../../sql/16_rows.sql", requires = ["15_platform"]);
pgrx::extension_sql_file!("../../sql/17_service.sql", requires = ["16_rows"]);
pgrx::extension_sql_file!("../../sql/18_drop_guard.sql", requires = ["17_service"]);
pgrx::extension_sql_file!("../../sql/19_pages.sql", requires = ["18_drop_guard"]);
pgrx::extension_sql_file!("../../sql/20_catalog.sql", requires = ["19_pages"]);
pgrx::extension_sql_file!(
    "../../sql/21_isolation_checks.sql",
    requires = ["20_catalog"]
);
pgrx::extension_sql_file!(
    "../../sql/22_isolation_columns.sql",
    requires = ["21_isolation_checks"]
);
pgrx::extension_sql_file!(
    "../../sql/23_isolation_references.sql",
    requires = ["22_isolation_columns"]
);
pgrx::extension_sql_file!(
    "../../sql/24_isolation_keys.sql",
    requires = ["23_isolation_references"]
);
pgrx::extension_sql_file!("../../sql/25_isolate.sql", requires = ["24_isolation_keys"]);
pgrx::extension_sql_file!("../../sql/26_backfill.sql", requires = ["25_isolate"]);
pgrx::extension_sql_file!("../../sql/27_release.sql", requires = ["26_backfill"]);
pgrx::extension_sql_file!("../../sql/30_lint_catalog.sql", requires = ["27_release"]);
pgrx::extension_sql_file!(
    "../../sql/31_lint_tables.sql",
    requires = ["30_lint_catalog"]
);
pgrx::extension_sql_file!("../../sql/32_lint_keys.sql", requires = ["31_lint_tables"]);
pgrx::extension_sql_file!("../../sql/33_lint_reach.sql", requires = ["32_lint_keys"]);
pgrx::extension_sql_file!("../../sql/34_harden.sql", requires = ["33_lint_reach"]);
pgrx::extension_sql_file!("../../sql/35_lint_roles.sql", requires = ["34_harden"]);
pgrx::extension_sql_file!(
    "../../sql/36_lint_extension.sql",
    requires = ["35_lint_roles"]
);
pgrx::extension_sql_file!("../../sql/37_lint.sql", requires = ["36_lint_extension"]);
pgrx::extension_sql_file!("../../sql/40_assert.sql", requires = ["37_lint"]);
pgrx::extension_sql_file!("../../sql/41_attempts.sql", requires = ["40_assert"]);
pgrx::extension_sql_file!("../../sql/42_made_rows.sql", requires = ["41_attempts"]);
pgrx::extension_sql_file!("../../sql/43_made_values.sql", requires = ["42_made_rows"]);
pgrx::extension_sql_file!(
    "../../sql/44_attacks_on_rows.sql",
    requires = ["43_made_values"]
);
pgrx::extension_sql_file!(
    "../../sql/45_attacks_around.sql",
    requires = ["44_attacks_on_rows"]
);
pgrx::extension_sql_file!(
    "../../sql/46_attacks_by_constraint.sql",
    requires = ["45_attacks_around"]
);
pgrx::extension_sql_file!(
    "../../sql/47_attacks_on_context.sql",
    requires = ["46_attacks_by_constraint"]
);
pgrx::extension_sql_file!(
    "../../sql/50_new_tables.sql",
    requires = ["47_attacks_on_context"]
);
pgrx::extension_sql_file!("../../sql/51_trust.sql", requires = ["50_new_tables"]);
pgrx::extension_sql_file!("../../sql/60_roles.sql", requires = ["51_trust"]);
pgrx::extension_sql_file!("../../sql/61_issuers.sql", requires = ["60_roles"]);
pgrx::extension_sql_file!("../../sql/62_issuer_keepers.sql", requires = ["61_issuers"]);
pgrx::extension_sql_file!(
    "../../sql/63_sessions.sql",
    requires = ["62_issuer_keepers"]
);
pgrx::extension_sql_file!(
    "../../sql/64_sessions_start.sql",
    requires = ["63_sessions"]
);
pgrx::extension_sql_file!(
    "../../sql/65_sessions_end.sql",
    requires = ["64_sessions_start"]
);
pgrx::extension_sql_file!("../../sql/66_passwords.sql", requires = ["65_sessions_end"]);
pgrx::extension_sql_file!("../../sql/67_members.sql", requires = ["66_passwords"]);
pgrx::extension_sql_file!("../../sql/68_invitations.sql", requires = ["67_members"]);
pgrx::extension_sql_file!("../../sql/69_api_keys.sql", requires = ["68_invitations"]);
pgrx::extension_sql_file!("../../sql/70_accepting.sql", requires = ["69_api_keys"]);
pgrx::extension_sql_file!("../../sql/71_capsules.sql", requires = ["70_accepting"]);
pgrx::extension_sql_file!("../../sql/72_each_tenant.sql", requires = ["71_capsules"]);
pgrx::extension_sql_file!("../../sql/73_support.sql", requires = ["72_each_tenant"]);
pgrx::extension_sql_file!("../../sql/74_exposed.sql", requires = ["73_support"]);
pgrx::extension_sql_file!("../../sql/75_serving.sql", requires = ["74_exposed"]);
pgrx::extension_sql_file!("../../sql/76_shared.sql", requires = ["75_serving"]);
pgrx::extension_sql_file!("../../sql/77_exposing.sql", requires = ["76_shared"]);
pgrx::extension_sql_file!("../../sql/78_resource_rows.sql", requires = ["77_exposing"]);
pgrx::extension_sql_file!(
    "../../sql/79_references.sql",
    requires = ["78_resource_rows"]
);
pgrx::extension_sql_file!("../../sql/80_functions.sql", requires = ["79_references"]);
pgrx::extension_sql_file!("../../sql/81_idempotency.sql", requires = ["80_functions"]);
pgrx::extension_sql_file!(
    "../../sql/82_soft_delete.sql",
    requires = ["81_idempotency"]
);
pgrx::extension_sql_file!("../../sql/83_calls.sql", requires = ["82_soft_delete"]);
pgrx::extension_sql_file!("../../sql/84_purge_deleted.sql", requires = ["83_calls"]);
pgrx::extension_sql_file!(
    "../../sql/85_resources.sql",
    requires = ["84_purge_deleted"]
);
pgrx::extension_sql_file!("../../sql/86_named_tenant.sql", requires = ["85_resources"]);
pgrx::extension_sql_file!("../../sql/87_denials.sql", requires = ["86_named_tenant"]);
pgrx::extension_sql_file!("../../sql/88_ends.sql", requires = ["87_denials"]);
pgrx::extension_sql_file!("../../sql/90_grants.sql", requires = ["88_ends"], finalize);

/// Called by PostgreSQL when a backend loads the library: at the first call of
/// a function, or at start where it stands in `shared_preload_libraries`.
#[allow(non_snake_case)]
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    hooks::install();
    objects::install();
    planner::install();
    watched::install(|| {
        writing::install();
        lean::install();
    });
    rows::watch_catalog();
    rows::watch_seal_keys();
    committed::place::watch_catalog();
    committed::told::watch();
    late::forget_plans();
}

/// What `cargo pgrx test` asks of the crate.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
