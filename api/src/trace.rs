//! Traces by OpenTelemetry: a span for each request, and one in it for each call of the database.
//!
//! A span says which route, which statement, how it ended and how long it took. It has
//! no path, query, token, body, parameter or id of a tenant. Spans are exported by a
//! thread of their own from a queue with an end: a collector that is away costs
//! spans, and no request anything.

use std::borrow::Cow;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{HeaderMap, Method};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    FutureExt, Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::db::Failure;
use crate::settings::{TraceSettings, given};

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Export as it goes on, until `finish`.
pub struct Export(Option<SdkTracerProvider>);

/// Begins to trace, if there is a collector. Fails when its address is none.
pub fn start(settings: &TraceSettings) -> Result<Export, String> {
    let Some(endpoint) = given(&settings.otel_exporter_otlp_endpoint) else {
        return Ok(Export(None));
    };
    let wrong = "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL like http://127.0.0.1:4318";
    let url: reqwest::Url = endpoint.parse().map_err(|_| wrong)?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(wrong.to_owned());
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error| format!("can't export traces: {error}"))?;
    let resource = Resource::builder()
        .with_service_name(settings.otel_service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build();
    // A second start in one process would go on with the first.
    let _ = TRACER.set(provider.tracer("pg_tenancy_api"));
    Ok(Export(Some(provider)))
}

impl Export {
    /// Sends what is left, for at most so long.
    pub fn finish(self, limit: Duration) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(limit)
        {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// A request's span; nothing where there are no traces.
pub struct RequestSpan(Option<Context>);

impl RequestSpan {
    /// Goes on with the client's trace, where it sent a sound `traceparent`.
    pub fn start(method: &Method, route: &str, headers: &HeaderMap) -> Self {
        let Some(tracer) = TRACER.get() else {
            return Self(None);
        };
        let propagator = TraceContextPropagator::new();
        let parent = propagator.extract_with_context(&Context::new(), &Once(headers));
        let method = match method.as_str() {
            // A client may invent one.
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
            _ => "_OTHER",
        };
        let route = Some(route).filter(|route| *route != "-");
        let name = match route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        };
        let mut attributes = vec![KeyValue::new("http.request.method", method.to_owned())];
        if let Some(route) = route {
            attributes.push(KeyValue::new("http.route", route.to_owned()));
        }
        let span = tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes)
            .start_with_context(tracer, &parent);
        Self(Some(parent.with_span(span)))
    }

    /// What happens in `future` happens in this span.
    pub async fn around<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Some(context) => future.with_context(context.clone()).await,
            None => future.await,
        }
    }

    /// For the request's line in the log.
    pub fn trace_id(&self) -> Option<String> {
        let context = self.0.as_ref()?;
        Some(context.span().span_context().trace_id().to_string())
    }

    pub fn end(&self, status: u16, code: Option<&str>) {
        let Some(context) = &self.0 else {
            return;
        };
        let span = context.span();
        span.set_attribute(KeyValue::new(
            "http.response.status_code",
            i64::from(status),
        ));
        if let Some(code) = code {
            span.set_attribute(KeyValue::new("error.type", code.to_owned()));
        }
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// A call of the database, in the span of the request that makes it.
pub struct DatabaseSpan(Option<Box<opentelemetry_sdk::trace::Span>>);

impl DatabaseSpan {
    pub fn start(statement: &str) -> Self {
        let Some(tracer) = TRACER.get() else {
            return Self(None);
        };
        let request = Context::current();
        // What the service does by itself belongs to no trace.
        if !request.has_active_span() {
            return Self(None);
        }
        let span = tracer
            .span_builder(function(statement).to_owned())
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("db.system.name", "postgresql"),
                // The statement has its values as parameters.
                KeyValue::new("db.query.text", statement.to_owned()),
            ])
            .start_with_context(tracer, &request);
        Self(Some(Box::new(span)))
    }

    pub fn end(self, failure: Option<&Failure>) {
        let Some(mut span) = self.0 else {
            return;
        };
        if let Some(failure) = failure {
            span.set_attribute(KeyValue::new("error.type", kind(failure)));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// The SQLSTATE, or who failed before there was one.
fn kind(failure: &Failure) -> Cow<'static, str> {
    match failure {
        Failure::NotReady => "not_ready".into(),
        Failure::AnotherTenant => "another_tenant".into(),
        Failure::NoConnection(_) => "no_connection".into(),
        Failure::NoRow => "no_row".into(),
        Failure::Query(error) => match error.code() {
            Some(code) => code.code().to_owned().into(),
            None => "connection".into(),
        },
    }
}

/// The function that a statement calls, within a tenant or not.
fn function(statement: &str) -> &str {
    let names = statement.match_indices("tenancy.").map(|(start, _)| {
        let name = &statement[start..];
        name.split_once('(').map_or(name, |(name, _)| name)
    });
    let does_more = |name: &&str| *name != "tenancy.enter";
    let entering = names.clone().next().unwrap_or("query");
    names.into_iter().find(does_more).unwrap_or(entering)
}

/// Headers that were sent once: of two, nobody knows which is meant.
struct Once<'a>(&'a HeaderMap);

impl Extractor for Once<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let mut values = self.0.get_all(key).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value
                .to_str()
                .ok()
                .filter(|value| key != "traceparent" || is_sound(value)),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// Stricter than the library, which takes `0` for the version `00`.
fn is_sound(traceparent: &str) -> bool {
    let parts: Vec<_> = traceparent.split('-').collect();
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    let is_hex = |part: &&str| {
        let mut digits = part.bytes();
        digits.all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    };
    // What a later version adds comes behind.
    let is_long_enough = match parts.first() {
        Some(&"00") => lengths == [2, 32, 16, 2],
        _ => lengths.starts_with(&[2, 32, 16, 2]),
    };
    is_long_enough && parts.iter().take(4).all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_by_its_function() {
        let list = "… tenancy.list_rows('tenancy.tasks', $2) from tenancy.enter($1)";
        assert_eq!(function(list), "tenancy.list_rows");
        let in_list = "… tenancy.enter($1), tenancy.list_resource($2, $3)";
        assert_eq!(function(in_list), "tenancy.list_resource");
        let invite = "… i.* from tenancy.enter($1) as e (tenant_id), tenancy.invite($2) as i";
        assert_eq!(function(invite), "tenancy.invite");
        assert_eq!(function("… tenancy.enter($1)"), "tenancy.enter");
        let from = "… * from tenancy.start_session($1, $2)";
        assert_eq!(function(from), "tenancy.start_session");
        assert_eq!(function("… 1"), "query");
    }

    #[test]
    fn a_header_that_comes_twice_is_none() {
        let mut headers = HeaderMap::new();
        headers.append("tracestate", "a=1".parse().unwrap());
        assert_eq!(Once(&headers).get("tracestate"), Some("a=1"));
        headers.append("tracestate", "a=2".parse().unwrap());
        assert_eq!(Once(&headers).get("tracestate"), None);
    }

    #[test]
    fn a_traceparent_is_sound_in_its_one_form() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_sound(good));
        assert!(is_sound(&good.replacen("00", "01", 1)));
        assert!(is_sound(&(good.replacen("00", "01", 1) + "-more")));
        for unsound in [
            &good[1..],
            &good.to_uppercase(),
            &format!("{good}-more"),
            &good.replace('-', "_"),
            "",
        ] {
            assert!(!is_sound(unsound), "{unsound}");
        }
    }
}
