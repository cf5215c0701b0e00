//! The tenant that a request names beside its token: by a header, or by the address it
//! was sent to (`acme.example.com`).
//!
//! Naming a tenant opens nothing. Whether the token leads to it, the database says.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use crate::app::App;
use crate::problem::{Problem, Result};
use crate::settings::TenantSettings;

/// Longer than an id and than any slug.
const LONGEST: usize = 255;

/// Where a request may name its tenant.
pub struct Naming {
    header: Option<HeaderName>,
    /// In lower case, with a dot before it.
    domain: Option<String>,
    vary: HeaderValue,
}

/// The id or slug that the request names, where it names one.
pub struct NamedTenant(pub Option<String>);

impl NamedTenant {
    /// The tenant that the request or its body names. 400 where both do, and differ.
    pub fn or(self, in_body: Option<String>) -> Result<Option<String>> {
        match (self.0, in_body) {
            (Some(one), Some(other)) if !one.eq_ignore_ascii_case(&other) => {
                Err(bad("The request and its body name different tenants."))
            }
            (one, other) => Ok(one.or(other)),
        }
    }
}

impl Naming {
    pub fn new(settings: &TenantSettings) -> std::result::Result<Self, String> {
        let header = settings.header()?;
        let both = header.as_ref().map(|name| format!("authorization, {name}"));
        Ok(Self {
            domain: settings.domain()?.map(|domain| format!(".{domain}")),
            vary: both
                .and_then(|both| HeaderValue::try_from(both).ok())
                .unwrap_or(HeaderValue::from_static("authorization")),
            header,
        })
    }

    /// The headers that decide whose rows an answer has.
    pub fn vary(&self) -> HeaderValue {
        self.vary.clone()
    }

    /// 400 for a name that is given twice, empty or malformed, and for two that differ.
    fn named(&self, uri: &Uri, headers: &HeaderMap) -> Result<Option<String>> {
        let by_header = self.by_header(headers)?;
        let by_host = self.by_host(uri, headers)?;
        match (by_header, by_host) {
            (Some(one), Some(other)) if !one.eq_ignore_ascii_case(&other) => {
                Err(bad("The header and the address name different tenants."))
            }
            (one, other) => Ok(one.or(other)),
        }
    }

    fn by_header(&self, headers: &HeaderMap) -> Result<Option<String>> {
        let Some(name) = &self.header else {
            return Ok(None);
        };
        let mut given = headers.get_all(name).iter();
        let (Some(value), more) = (given.next(), given.next()) else {
            return Ok(None);
        };
        let value = value.to_str().unwrap_or_default().trim();
        match more {
            None if (1..=LONGEST).contains(&value.len()) => Ok(Some(value.to_owned())),
            None => Err(bad(
                "The header that names the tenant is empty or malformed.",
            )),
            Some(_) => Err(bad("The header that names the tenant is given twice.")),
        }
    }

    fn by_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<Option<String>> {
        let Some(domain) = &self.domain else {
            return Ok(None);
        };
        let mut given = headers.get_all(header::HOST).iter();
        let (host, more) = (given.next(), given.next());
        if more.is_some() {
            return Err(bad("There is more than one Host header."));
        }
        // An address in the request line wins (RFC 9112, 3.2.2).
        let host = match (uri.authority(), host) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(host)) => host
                .to_str()
                .map_err(|_| bad("The Host header is malformed."))?,
            (None, None) => return Ok(None),
        };
        let host = name_of(host).to_ascii_lowercase();
        match host.strip_suffix(domain.as_str()) {
            Some("") => Err(bad("The address names no tenant before its domain.")),
            Some(name) if name.len() > LONGEST => Err(bad("The Host header is malformed.")),
            Some(name) => Ok(Some(name.to_owned())),
            None => Ok(None),
        }
    }
}

/// The name in `name:port`, without a dot at its end. A literal of IPv6 stays in its brackets.
fn name_of(host: &str) -> &str {
    let host = host.trim();
    let host = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') && port.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => host,
    };
    host.strip_suffix('.').unwrap_or(host)
}

fn bad(detail: &'static str) -> Problem {
    Problem::bad_request("invalid_request", detail)
}

impl<S> FromRequestParts<S> for NamedTenant
where
    App: FromRef<S>,
    S: Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let app = App::from_ref(state);
        app.naming().named(&parts.uri, &parts.headers).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(header: &str, domain: Option<&str>) -> std::result::Result<Naming, String> {
        Naming::new(&TenantSettings {
            tenant_header: header.to_owned(),
            tenant_domain: domain.map(str::to_owned),
        })
    }

    fn named(
        naming: &Naming,
        uri: &str,
        headers: &[(&'static str, &[u8])],
    ) -> Result<Option<String>> {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_bytes(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        naming.named(&uri.parse().unwrap(), &headers.collect())
    }

    #[test]
    fn a_header_names_a_tenant_once() {
        let by_header = naming("X-Tenant-Id", None).unwrap();
        let named = |values: &[&[u8]]| {
            let headers: Vec<_> = values.iter().map(|value| ("x-tenant-id", *value)).collect();
            named(&by_header, "/tasks", &headers)
        };
        assert_eq!(named(&[]).unwrap(), None);
        assert_eq!(named(&[b" acme "]).unwrap().unwrap(), "acme");
        let long = "x".repeat(LONGEST + 1);
        for values in [
            &[&b"acme"[..], b"acme"][..],
            &[b"acme", b"globex"],
            &[b""],
            &[b"  "],
            &[b"\xff"],
            &[long.as_bytes()],
        ] {
            assert_eq!(named(values).unwrap_err().status, 400, "{values:?}");
        }
    }

    #[test]
    fn an_address_below_the_domain_names_a_tenant() {
        let by_host = naming("", Some(".Example.com")).unwrap();
        for (host, expected) in [
            ("acme.example.com", Some("acme")),
            ("ACME.Example.COM:8443", Some("acme")),
            ("acme.example.com.", Some("acme")),
            ("acme.example.com.:80", Some("acme")),
            ("a.b.example.com", Some("a.b")),
            ("example.com", None),
            ("example.com:80", None),
            ("acme.example.org", None),
            ("notexample.com", None),
            ("acme.example.com.evil.org", None),
            ("127.0.0.1:3000", None),
            ("[::1]", None),
            ("[::1]:3000", None),
        ] {
            let found = named(&by_host, "/", &[("host", host.as_bytes())]).unwrap();
            assert_eq!(found.as_deref(), expected, "{host}");
        }
        let header = ("x-tenant-id", &b"globex"[..]);
        let switched_off = named(&by_host, "/", &[header]).unwrap();
        assert_eq!(switched_off, None);
    }

    #[test]
    fn the_request_line_wins_over_the_host_header() {
        let by_host = naming("", Some("example.com")).unwrap();
        let found = named(
            &by_host,
            "http://acme.example.com:80/tasks",
            &[("host", b"globex.example.com")],
        );
        assert_eq!(found.unwrap().unwrap(), "acme");
    }

    #[test]
    fn an_address_that_says_two_things_or_nothing_is_refused() {
        let by_both = naming("X-Tenant-Id", Some("example.com")).unwrap();
        for headers in [
            &[("host", &b".example.com"[..])][..],
            &[("host", b"acme.example.com"), ("host", b"acme.example.com")],
            &[("host", b"acm\xe9.example.com")],
            &[("host", b"acme.example.com"), ("x-tenant-id", b"globex")],
        ] {
            let refused = named(&by_both, "/", headers);
            assert_eq!(refused.unwrap_err().status, 400, "{headers:?}");
        }
        let same = [("host", &b"acme.example.com"[..]), ("x-tenant-id", b"Acme")];
        assert_eq!(named(&by_both, "/", &same).unwrap().unwrap(), "Acme");
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_refused() {
        for header in ["two words", "Authorization", "host"] {
            assert!(naming(header, None).is_err(), "{header}");
        }
        for domain in ["a..b", "https://example.com", "example.com:80", "."] {
            assert!(naming("", Some(domain)).is_err(), "{domain}");
        }
        assert!(naming("", Some("")).unwrap().domain.is_none());
    }
}
