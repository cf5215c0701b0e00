//! Limits on attempts: to log in, to refresh, to accept an invitation, to reset a password.
//!
//! Each is counted per address and per account (or per token, where that is what is
//! tried). An account is counted by the address that was typed, whether somebody has
//! it or not, so that a 429 tells nothing. A session that is good is never counted.

use axum::http::{HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

pub use self::address::{ClientAddress, Peer, TrustedProxies};
use self::counter::{Counter, Wait};
pub use self::requests::{Requests, Standing, describe};
use crate::metrics;
use crate::problem::{Problem, Result};
use crate::settings::{AttemptSettings, FrontSettings};

mod address;
mod counter;
mod requests;

pub struct Limiter {
    pub login: Limit,
    pub refresh: Limit,
    pub invitation: Limit,
    pub reset: Limit,
    pub requests: Requests,
}

/// One kind of attempt, counted per address and per what is tried.
pub struct Limit {
    address: Counter,
    tried: Counter,
}

impl Limiter {
    pub fn new(settings: &AttemptSettings, front: &FrontSettings) -> Self {
        let limit = |address, tried| Limit {
            address: Counter::new(address, settings.limit_memory),
            tried: Counter::new(tried, settings.limit_memory),
        };
        Self {
            login: limit(settings.login_limit_address, settings.login_limit_account),
            refresh: limit(settings.refresh_limit_address, settings.refresh_limit_token),
            invitation: limit(
                settings.invitation_limit_address,
                settings.invitation_limit_token,
            ),
            reset: limit(settings.reset_limit_address, settings.reset_limit_account),
            requests: Requests::new(front, settings.limit_memory),
        }
    }

    /// Forgets whoever has been quiet for long enough to begin anew.
    pub fn forget_the_quiet(&self) {
        for limit in [&self.login, &self.refresh, &self.invitation, &self.reset] {
            limit.address.forget_the_quiet();
            limit.tried.forget_the_quiet();
        }
        self.requests.forget_the_quiet();
    }
}

impl Limit {
    /// Counts an attempt at an account, which is an e-mail address in any case.
    pub fn account(&self, from: &ClientAddress, email: &str) -> Result<()> {
        self.attempt(from, &folded(email))
    }

    /// Counts an attempt with a token.
    pub fn token(&self, from: &ClientAddress, token: &str) -> Result<()> {
        self.attempt(from, token)
    }

    // The address first: who has none left should not use up somebody's account.
    fn attempt(&self, from: &ClientAddress, tried: &str) -> Result<()> {
        let address = digest(&from.to_bytes());
        let tried = digest(tried.as_bytes());
        self.address
            .count(address)
            .and_then(|_| self.tried.count(tried))
            .map(|_| ())
            .map_err(too_many_requests)
    }
}

/// As the database compares them: character by character, so that no spelling is a second account.
fn folded(email: &str) -> String {
    let folded = email.trim().chars();
    folded
        .map(|c| c.to_lowercase().next().unwrap_or(c))
        .collect()
}

/// What is remembered: no address, e-mail or token itself.
fn digest(bytes: &[u8]) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(bytes)[..16]);
    digest
}

fn too_many_requests(Wait(wait): Wait) -> Problem {
    metrics::limited("attempts");
    let seconds = wait.as_secs() + 1;
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_requests",
        "Too many attempts. Try again later.",
    )
    .with(header::RETRY_AFTER, HeaderValue::from(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use clap::Parser;
    use std::net::IpAddr;

    fn limiter(arguments: &[&str]) -> Limiter {
        let arguments = [&["pg_tenancy_api"], arguments].concat();
        let settings = Settings::try_parse_from(arguments).unwrap();
        Limiter::new(&settings.attempts, &settings.front)
    }

    fn from(address: &str) -> ClientAddress {
        ClientAddress::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_account_is_limited_from_wherever_and_however_it_is_written() {
        let limiter = limiter(&["--login-limit-account=3/h"]);
        for (address, email) in [
            ("10.0.0.1", "ann@acme.example"),
            ("10.0.0.2", " Ann@ACME.example"),
            ("10.0.0.3", "ANN@acme.example "),
        ] {
            limiter.login.account(&from(address), email).unwrap();
        }
        let refused = limiter.login.account(&from("10.0.0.4"), "ann@acme.example");
        assert_eq!(refused.unwrap_err().status, 429);
        let other = limiter.login.account(&from("10.0.0.4"), "bob@acme.example");
        assert!(other.is_ok());
    }

    #[test]
    fn an_address_is_limited_whomever_it_tries() {
        let limiter = limiter(&["--login-limit-address=2/h"]);
        let attempt = |address, email| limiter.login.account(&from(address), email).is_ok();
        assert!(attempt("10.0.0.1", "ann"));
        assert!(attempt("10.0.0.1", "bob"));
        assert!(!attempt("10.0.0.1", "carol"));
        assert!(attempt("10.0.0.2", "carol"));
    }

    #[test]
    fn who_has_no_attempt_left_uses_up_nobody_elses() {
        let limiter = limiter(&["--login-limit-address=1/h", "--login-limit-account=2/h"]);
        for _ in 0..100 {
            let _ = limiter.login.account(&from("10.0.0.1"), "ann");
        }
        assert!(limiter.login.account(&from("10.0.0.2"), "ann").is_ok());
    }

    #[test]
    fn a_letter_with_two_small_forms_is_no_second_account() {
        // Kelvin sign, dotted capital I, final sigma: what PostgreSQL folds, too.
        for (one, other) in [("\u{212a}", "k"), ("\u{130}", "i"), ("ΑΣ", "ασ")] {
            assert_eq!(folded(one), folded(other));
        }
    }

    #[test]
    fn the_answer_says_when_to_come_back_and_nothing_else() {
        let limiter = limiter(&["--reset-limit-account=1/min"]);
        limiter.reset.account(&from("10.0.0.1"), "ann").unwrap();
        let refused = limiter.reset.account(&from("10.0.0.1"), "ann").unwrap_err();
        assert_eq!(&*refused.code, "too_many_requests");
        let seconds: u64 = refused.headers[0].1.to_str().unwrap().parse().unwrap();
        assert!((1..=61).contains(&seconds), "{seconds}");
        assert!(!refused.detail.contains("ann"));
    }

    #[test]
    fn a_limit_that_is_off_counts_nothing() {
        let limiter = limiter(&["--login-limit-address=off", "--login-limit-account=off"]);
        for _ in 0..1000 {
            limiter.login.account(&from("10.0.0.1"), "ann").unwrap();
        }
    }
}
