//! The service itself, and the report of the platform.

use super::Route;
use crate::openapi::operation::Operation;
use crate::openapi::schema::reference;
use crate::openapi::shape;

pub fn routes() -> Vec<Route> {
    vec![
        ("/health", "get", health()),
        ("/ready", "get", ready()),
        ("/admin/reports/tenants", "get", report()),
    ]
}

fn health() -> Operation {
    Operation::new("getHealth", "Service", "Whether the process runs")
        .describe("It doesn't ask the database: restarting the service would not bring that back.")
        .without_token()
        .raw()
        .without_database()
        .answers(200, "It runs.", reference("Health"), &[])
}

fn ready() -> Operation {
    Operation::new("getReady", "Service", "Whether requests can be served")
        .describe("200 when the database has accepted the service and answers now.")
        .without_token()
        .raw()
        .answers(200, "It can serve.", reference("Ready"), &[])
}

fn report() -> Operation {
    let report = shape::page(reference("TenantReport"), &[], &[]);
    Operation::new("reportTenants", "Service", "All tenants, with figures")
        .describe("For a person whom the DBA has made a platform administrator. Each call leaves a line in the audit log.")
        .answers_page("Every tenant, oldest first.", report, &[])
        .fails(&["TN210"])
}
