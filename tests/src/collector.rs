//! A stand-in for an OpenTelemetry collector: takes traces by OTLP over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
pub use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

pub struct Collector {
    /// What an exporter is told.
    pub endpoint: String,
    received: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    pub async fn new() -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new()
            .route("/v1/traces", post(receive))
            .with_state(Arc::clone(&received));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("no port is free");
        let address = listener.local_addr().expect("a listener has an address");
        tokio::spawn(async { axum::serve(listener, router).await });
        Self {
            endpoint: format!("http://{address}"),
            received,
        }
    }

    /// All that came, as it came.
    pub fn bytes(&self) -> Vec<u8> {
        self.received
            .lock()
            .expect("nobody panics in here")
            .concat()
    }

    pub fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().expect("nobody panics in here");
        let exports = received.iter().map(|bytes| {
            ExportTraceServiceRequest::decode(bytes.clone()).expect("it is OTLP in protobuf")
        });
        exports
            .flat_map(|export| export.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    /// Waits for a span that fits.
    pub async fn span(&self, fits: impl Fn(&Span) -> bool) -> Span {
        for _ in 0..600 {
            if let Some(span) = self.spans().into_iter().find(&fits) {
                return span;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no such span came; these did: {:#?}", self.spans());
    }
}

async fn receive(
    State(received): State<Arc<Mutex<Vec<Bytes>>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if headers
        .get("content-type")
        .is_none_or(|kind| kind != "application/x-protobuf")
    {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    received.lock().expect("nobody panics in here").push(body);
    StatusCode::OK
}
