//! What operators look at: metrics, and a port of their own.

use std::net::IpAddr;

use clap::Args;

use super::switch;

#[derive(Args, Clone, Debug)]
pub struct OpsSettings {
    /// A second port, with /health, /ready and /metrics, for those who operate the service.
    #[arg(long, env = "OPS_PORT")]
    pub ops_port: Option<u16>,

    /// Address that the second port listens on.
    #[arg(long, env = "OPS_LISTEN", default_value = "127.0.0.1")]
    pub ops_listen: IpAddr,

    /// Serve /metrics on the public port, to everybody; where there is an OPS_PORT, it is there alone.
    #[arg(long, env = "METRICS", default_value = "off", value_parser = switch, action = clap::ArgAction::Set)]
    pub metrics: bool,

    /// Count requests by tenant, too: as many series as there are tenants.
    #[arg(long, env = "METRICS_TENANTS", default_value = "off", value_parser = switch, action = clap::ArgAction::Set)]
    pub metrics_tenants: bool,
}

impl OpsSettings {
    /// Whether anybody can see what is counted.
    pub fn are_metrics_served(&self) -> bool {
        self.metrics || self.ops_port.is_some()
    }

    pub fn are_metrics_public(&self) -> bool {
        self.metrics && self.ops_port.is_none()
    }
}
