//! What is counted, for Prometheus.
//!
//! Labels come from short lists: a method that somebody invented and a route that
//! there isn't are `other`, a status is its class. No label is an id, and a tenant's
//! only where METRICS_TENANTS asks for it.

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::Method;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use uuid::Uuid;

use crate::db::Pool;
use crate::settings::OpsSettings;

/// From an answer without the database to the request's time limit.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

const REQUESTS: &str = "pg_tenancy_http_requests_total";
const DURATION: &str = "pg_tenancy_http_request_duration_seconds";
const TENANT_REQUESTS: &str = "pg_tenancy_tenant_requests_total";
const LOGINS: &str = "pg_tenancy_logins_total";
const DENIALS: &str = "pg_tenancy_denials_total";
const LIMITED: &str = "pg_tenancy_limited_total";
const RELOADS: &str = "pg_tenancy_catalog_reloads_total";
const CONNECTIONS: &str = "pg_tenancy_http_connections";
const READY: &str = "pg_tenancy_ready";
const POOL: [&str; 4] = [
    "pg_tenancy_pool_max",
    "pg_tenancy_pool_size",
    "pg_tenancy_pool_available",
    "pg_tenancy_pool_waiting",
];

/// What has been counted so far. Without one nothing is counted.
#[derive(Clone)]
pub struct Metrics {
    recorder: PrometheusHandle,
    by_tenant: bool,
}

/// An answer, or the lack of one.
pub struct Answered<'a> {
    pub method: &'a Method,
    /// Its template.
    pub route: &'a str,
    pub status: u16,
    pub code: Option<&'a str>,
    pub after: Duration,
    pub tenant: Option<Uuid>,
}

impl Metrics {
    /// `None` where nobody asked for metrics.
    pub fn new(settings: &OpsSettings) -> Option<Self> {
        // The recorder is the process's, as the counters are.
        static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
        if !settings.are_metrics_served() {
            return None;
        }
        let recorder = RECORDER.get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets(&BUCKETS)
                .ok()?
                .build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).ok()?;
            describe();
            Some(handle)
        });
        Some(Self {
            recorder: recorder.clone()?,
            by_tenant: settings.metrics_tenants,
        })
    }

    /// Everything, in Prometheus' text format.
    pub fn text(&self, pool: &Pool) -> String {
        let status = pool.status();
        let values = [status.max, status.size, status.available, status.waiting];
        for (name, value) in POOL.into_iter().zip(values) {
            gauge!(name).set(value as f64);
        }
        gauge!(READY).set(f64::from(u8::from(pool.is_accepted())));
        self.recorder.render()
    }

    /// Sorts what was measured into its buckets. Unsorted it grows until somebody looks.
    pub fn tidy(&self) {
        self.recorder.run_upkeep();
    }

    pub fn answered(&self, answered: &Answered<'_>) {
        let method = known(answered.method);
        let route = match answered.route {
            // Nothing of that name is exposed.
            "-" => "other",
            unknown if unknown.starts_with("/{") => "other",
            route => route,
        };
        let status = class(answered.status);
        let seconds = answered.after.as_secs_f64();
        counter!(REQUESTS, "method" => method, "route" => route.to_owned(), "status" => status)
            .increment(1);
        histogram!(DURATION, "method" => method, "route" => route.to_owned()).record(seconds);
        if let (401 | 403, Some(code)) = (answered.status, answered.code) {
            counter!(DENIALS, "code" => code.to_owned()).increment(1);
        }
        if route == "/auth/login" && method == "POST" {
            counter!(LOGINS, "outcome" => outcome(answered.status)).increment(1);
        }
        if let (true, Some(tenant)) = (self.by_tenant, answered.tenant) {
            let tenant = tenant.to_string();
            counter!(TENANT_REQUESTS, "tenant" => tenant, "status" => status).increment(1);
        }
    }
}

/// A request was refused by a limit: `attempts`, `address` or `tenant`.
pub fn limited(limit: &'static str) {
    counter!(LIMITED, "limit" => limit).increment(1);
}

/// The catalog was read again, or could not be.
pub fn catalog_reloaded(is_ok: bool) {
    let outcome = if is_ok { "ok" } else { "failed" };
    counter!(RELOADS, "outcome" => outcome).increment(1);
}

/// Open connections to the service, as long as it lives.
pub struct OpenConnection(());

impl OpenConnection {
    pub fn new() -> Self {
        gauge!(CONNECTIONS).increment(1.0);
        Self(())
    }
}

impl Default for OpenConnection {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        gauge!(CONNECTIONS).decrement(1.0);
    }
}

fn describe() {
    describe_counter!(REQUESTS, "Requests, by route, method and class of status.");
    describe_histogram!(DURATION, "Time until the answer, by route and method.");
    describe_counter!(
        TENANT_REQUESTS,
        "Requests with a token of this service, by tenant."
    );
    describe_counter!(
        LOGINS,
        "Logins: ok, refused, limited, or failed by themselves."
    );
    describe_counter!(DENIALS, "Answers 401 and 403, by code.");
    describe_counter!(
        LIMITED,
        "Requests refused by a limit: attempts, address, tenant."
    );
    describe_counter!(RELOADS, "Times the catalog of resources was read again.");
    describe_gauge!(CONNECTIONS, "Open connections of clients.");
    describe_gauge!(READY, "Whether the database has accepted this service.");
    for (name, what) in POOL.into_iter().zip([
        "Connections to the database, at most.",
        "Connections to the database.",
        "Of these, those that are free.",
        "Requests that wait for one.",
    ]) {
        describe_gauge!(name, what);
    }
}

fn known(method: &Method) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| method == known)
        .unwrap_or("other")
}

fn class(status: u16) -> &'static str {
    match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

fn outcome(status: u16) -> &'static str {
    match status {
        200..300 => "ok",
        429 => "limited",
        400..500 => "refused",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invented_method_is_one_of_others() {
        let invented = Method::from_bytes(b"BREW").unwrap();
        assert_eq!(known(&invented), "other");
        assert_eq!(known(&Method::PATCH), "PATCH");
    }

    #[test]
    fn a_status_is_its_class() {
        let classes = [204, 304, 404, 499, 503].map(class);
        assert_eq!(classes, ["2xx", "3xx", "4xx", "4xx", "5xx"]);
    }
}
