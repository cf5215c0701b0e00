//! How the service learns what the DBA exposes.

use std::time::Duration;

use clap::{ArgAction, Args};

use super::duration;

#[derive(Args, Clone, Debug)]
pub struct CatalogSettings {
    /// How often the database is asked whether something was exposed or hidden that wasn't heard of.
    #[arg(long, env = "CATALOG_REFRESH", default_value = "5s", value_parser = duration)]
    pub catalog_refresh: Duration,

    /// Hear of it at once, on a connection that listens. Not through a pooler in transaction mode.
    #[arg(long, env = "CATALOG_LISTEN", default_value_t = true, action = ArgAction::Set)]
    pub catalog_listen: bool,
}
