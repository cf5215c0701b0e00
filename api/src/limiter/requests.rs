//! Limits on requests: per address, and per tenant.
//!
//! The tenant is asked of the token before the database is: of one that this service
//! signed, and whose signature is good, it is the tenant that the token names. What
//! another token says nobody has verified yet: believed, it would let its sender use
//! up somebody else's requests. So each of these is counted by itself.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::counter::{Counter, Left};
use super::{ClientAddress, digest};
use crate::metrics;
use crate::notes::Notes;
use crate::problem::{Problem, Result};
use crate::settings::{FrontSettings, Rate};
use crate::token::Named;

pub struct Requests {
    address: Option<Limit>,
    tenant: Option<Limit>,
}

struct Limit {
    counter: Counter,
    name: &'static str,
    quota: u32,
    window: u64,
}

/// What a request was told about a limit.
#[derive(Clone, Debug)]
pub struct Standing {
    name: &'static str,
    quota: u32,
    window: u64,
    left: Left,
}

impl Requests {
    pub fn new(settings: &FrontSettings, memory: usize) -> Self {
        Self {
            address: Limit::new("address", settings.limit_per_address, memory),
            tenant: Limit::new("tenant", settings.limit_per_tenant, memory),
        }
    }

    pub fn has_address_limit(&self) -> bool {
        self.address.is_some()
    }

    /// Counts a request from an address. 429 when there is none left.
    pub fn address(&self, address: &ClientAddress, notes: &Notes) -> Result<()> {
        let Some(limit) = &self.address else {
            return Ok(());
        };
        let (standing, counted) = limit.count(digest(&address.to_bytes()));
        notes.note_address(standing);
        counted
    }

    /// Counts a request with a token. 429 when its tenant, or it, has none left.
    pub fn token(&self, token: &str, named: Option<Named>, notes: Option<&Notes>) -> Result<()> {
        let Some(limit) = &self.tenant else {
            return Ok(());
        };
        let key = match named.and_then(|named| named.tenant) {
            Some(tenant) => tenant.into_bytes(),
            None => digest(token.as_bytes()),
        };
        let (standing, counted) = limit.count(key);
        if let Some(notes) = notes {
            notes.note_tenant_standing(standing);
        }
        counted
    }

    pub(super) fn forget_the_quiet(&self) {
        for limit in [&self.address, &self.tenant].into_iter().flatten() {
            limit.counter.forget_the_quiet();
        }
    }
}

impl Limit {
    fn new(name: &'static str, rate: Rate, memory: usize) -> Option<Self> {
        let quota = rate.0?;
        let burst = quota.burst_size();
        let window = quota.replenish_interval() * burst.get();
        Some(Self {
            counter: Counter::new(rate, memory),
            name,
            quota: burst.get(),
            window: ceiling(window),
        })
    }

    fn count(&self, key: [u8; 16]) -> (Standing, Result<()>) {
        let (left, counted) = match self.counter.count(key) {
            Ok(left) => (left, Ok(())),
            Err(wait) => {
                metrics::limited(self.name);
                let problem = too_many(self.name, wait.0);
                (
                    Left {
                        count: 0,
                        full_after: wait.0,
                    },
                    Err(problem),
                )
            }
        };
        let standing = Standing {
            name: self.name,
            quota: self.quota,
            window: self.window,
            left,
        };
        (standing, counted)
    }
}

fn too_many(name: &str, wait: Duration) -> Problem {
    let detail = match name {
        "tenant" => "Too many requests of this tenant. Try again later.",
        _ => "Too many requests from this address. Try again later.",
    };
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
        .with(header::RETRY_AFTER, HeaderValue::from(ceiling(wait).max(1)))
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers, from 08 on).
pub fn describe(notes: &Notes, headers: &mut HeaderMap) {
    for standing in [notes.address(), notes.tenant_standing()]
        .into_iter()
        .flatten()
    {
        let Standing {
            name,
            quota,
            window,
            left,
        } = standing;
        let after = ceiling(left.full_after);
        for (header, text) in [
            (
                "ratelimit-policy",
                format!("\"{name}\";q={quota};w={window}"),
            ),
            (
                "ratelimit",
                format!("\"{name}\";r={};t={after}", left.count),
            ),
        ] {
            // Two values of one list may stand in two lines.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.append(HeaderName::from_static(header), value);
            }
        }
    }
}

/// In seconds, and never too few.
fn ceiling(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use clap::Parser;
    use std::net::IpAddr;
    use uuid::Uuid;

    fn requests(arguments: &[&str]) -> Requests {
        let arguments = [&["pg_tenancy_api"], arguments].concat();
        let settings = Settings::try_parse_from(arguments).unwrap();
        Requests::new(&settings.front, settings.attempts.limit_memory)
    }

    fn of(tenant: u128) -> Option<Named> {
        Some(Named {
            person: None,
            tenant: Some(Uuid::from_u128(tenant)),
        })
    }

    #[test]
    fn a_tenant_is_limited_whatever_its_tokens_are() {
        let requests = requests(&["--limit-per-tenant=2/h"]);
        assert!(requests.token("one", of(1), None).is_ok());
        assert!(requests.token("two", of(1), None).is_ok());
        assert_eq!(
            requests.token("three", of(1), None).unwrap_err().status,
            429
        );
        assert!(requests.token("one", of(2), None).is_ok());
    }

    #[test]
    fn a_token_that_only_the_database_can_judge_is_counted_by_itself() {
        let requests = requests(&["--limit-per-tenant=1/h"]);
        assert!(requests.token("foreign", None, None).is_ok());
        assert!(requests.token("foreign", None, None).is_err());
        assert!(requests.token("other", None, None).is_ok());
        assert!(requests.token("own", of(1), None).is_ok());
    }

    #[test]
    fn each_answer_says_what_is_left_and_a_refusal_when_to_come_back() {
        let requests = requests(&["--limit-per-address=2/min", "--limit-per-tenant=100/s"]);
        let address = ClientAddress::from("192.0.2.7".parse::<IpAddr>().unwrap());
        let told = || {
            let notes = Notes::default();
            let counted = requests.address(&address, &notes);
            let mut headers = HeaderMap::new();
            describe(&notes, &mut headers);
            (counted, headers)
        };
        let (_, first) = told();
        assert_eq!(first["ratelimit-policy"], "\"address\";q=2;w=60");
        assert_eq!(first["ratelimit"], "\"address\";r=1;t=30");
        let _ = told();
        let (refused, headers) = told();
        assert!(
            headers["ratelimit"]
                .to_str()
                .unwrap()
                .starts_with("\"address\";r=0;t=")
        );
        let refused = refused.unwrap_err();
        let wait: u64 = refused.headers[0].1.to_str().unwrap().parse().unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
    }

    #[test]
    fn without_a_limit_nothing_is_counted_or_told() {
        let requests = requests(&[]);
        let notes = Notes::default();
        for _ in 0..1000 {
            requests.token("one", of(1), Some(&notes)).unwrap();
        }
        let mut headers = HeaderMap::new();
        describe(&notes, &mut headers);
        assert!(headers.is_empty());
    }
}
