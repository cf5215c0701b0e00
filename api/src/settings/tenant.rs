//! How a request may name its tenant beside the token.

use axum::http::HeaderName;
use clap::Args;

use super::given;

#[derive(Args, Clone, Debug)]
pub struct TenantSettings {
    /// Header that names the request's tenant, by id or slug; empty for none.
    #[arg(long, env = "TENANT_HEADER", default_value = "X-Tenant-Id")]
    pub tenant_header: String,

    /// Domain whose subdomains are tenants: example.com makes acme.example.com name acme.
    #[arg(long, env = "TENANT_DOMAIN")]
    pub tenant_domain: Option<String>,
}

impl TenantSettings {
    /// Fails for what can't be a header of one's own.
    pub fn header(&self) -> Result<Option<HeaderName>, String> {
        const TAKEN: [&str; 4] = ["authorization", "host", "cookie", "content-length"];
        if self.tenant_header.is_empty() {
            return Ok(None);
        }
        let header = self.tenant_header.parse::<HeaderName>().ok();
        let header = header.filter(|header| !TAKEN.contains(&header.as_str()));
        header.map(Some).ok_or_else(|| {
            format!(
                "TENANT_HEADER must be the name of a header that means nothing else, not {:?}",
                self.tenant_header
            )
        })
    }

    /// In lower case, without dots at its ends.
    pub fn domain(&self) -> Result<Option<String>, String> {
        let Some(domain) = given(&self.tenant_domain) else {
            return Ok(None);
        };
        let plain = domain.trim_matches('.').to_ascii_lowercase();
        let is_label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        match plain.split('.').all(is_label) {
            true => Ok(Some(plain)),
            false => Err(format!(
                "TENANT_DOMAIN must be a domain like example.com, not {domain:?}"
            )),
        }
    }
}
