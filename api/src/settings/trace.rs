//! Where traces go. The variables are OpenTelemetry's own.

use clap::Args;

#[derive(Args, Clone, Debug)]
pub struct TraceSettings {
    /// Base URL of an OpenTelemetry collector, for traces by OTLP over HTTP; without it there are none.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otel_exporter_otlp_endpoint: Option<String>,

    /// Name that the service has in traces.
    #[arg(long, env = "OTEL_SERVICE_NAME", default_value = "pg_tenancy_api")]
    pub otel_service_name: String,
}
