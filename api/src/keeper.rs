//! What the service does by itself, beside answering: it keeps its keys and the issuers'
//! key sets fresh, and its limits small.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::app::App;
use crate::db::{Db, Issuer};
use crate::outbound::Target;

/// A request leaves some bytes until then.
const TIDY: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_secs(60);
/// After the first failure to fetch a key set; doubled with each, up to JWKS_REFRESH.
const FIRST_PAUSE: Duration = Duration::from_secs(15);

/// Does all of it, until it is dropped.
pub async fn keep(app: &App) {
    tokio::join!(
        keep_keys(app),
        keep_issuers(app),
        keep_limits(app),
        keep_metrics(app)
    );
}

/// Reads JWT_KEYS_FILE when it has changed, and signs with the key that the database
/// activated last.
async fn keep_keys(app: &App) {
    loop {
        sleep(app.keys_refresh()).await;
        match app.tokens().read_again().await {
            Ok(true) => tracing::info!(kids = ?app.tokens().kids(), "the keys were read again"),
            Ok(false) => {}
            Err(reason) => tracing::error!(reason, "the keys stay as they were"),
        }
        let Ok(db) = Db::of(app) else {
            continue;
        };
        if let Err(problem) = db.choose_key().await {
            let reason = problem.reason.as_deref();
            tracing::warn!(reason, "can't ask the database which key signs");
        }
    }
}

async fn keep_limits(app: &App) {
    loop {
        sleep(SWEEP).await;
        app.limiter().forget_the_quiet();
    }
}

async fn keep_metrics(app: &App) {
    while let Some(metrics) = app.metrics() {
        sleep(TIDY).await;
        metrics.tidy();
    }
}

/// Fetches issuers' key sets: the new at once, the others when they are old.
async fn keep_issuers(app: &App) {
    let mut failures = Failures::default();
    loop {
        if let Ok(db) = Db::of(app) {
            match db.issuers_to_fetch().await {
                Ok(issuers) => fetch_all(app, &db, issuers, &mut failures).await,
                Err(problem) => {
                    let reason = problem.reason.as_deref();
                    tracing::warn!(reason, "can't ask the database for issuers");
                }
            }
        }
        sleep(app.keys_refresh()).await;
    }
}

async fn fetch_all(app: &App, db: &Db, issuers: Vec<Issuer>, failures: &mut Failures) {
    failures.keep(&issuers);
    // Each by itself: one that is slow holds up nobody else.
    let mut fetches = JoinSet::new();
    for issuer in issuers {
        if is_old(issuer.fetched_at, app.jwks_refresh()) && failures.may_try(&issuer.issuer) {
            let (app, db) = (app.clone(), db.clone());
            fetches.spawn(async move {
                let fetched = fetch(&app, &db, &issuer).await;
                (issuer.issuer, fetched)
            });
        }
    }
    while let Some(ended) = fetches.join_next().await {
        match ended {
            Ok((issuer, Ok(()))) => {
                tracing::info!(issuer, "fetched its key set");
                failures.forget(&issuer);
            }
            Ok((issuer, Err(reason))) => {
                tracing::warn!(issuer, reason, "can't fetch its key set");
                failures.note(&issuer, app.jwks_refresh());
            }
            Err(error) => tracing::error!(%error, "fetching a key set ended early"),
        }
    }
}

fn is_old(fetched_at: Option<SystemTime>, refresh: Duration) -> bool {
    // A date of the future is one of another clock.
    fetched_at.is_none_or(|at| at.elapsed().is_ok_and(|age| age >= refresh))
}

async fn fetch(app: &App, db: &Db, issuer: &Issuer) -> Result<(), String> {
    let jwks = fetch_jwks(app, &issuer.jwks_url).await?;
    let stored = db.store_issuer_jwks(issuer.issuer.clone(), jwks).await;
    stored.map_err(|problem| {
        let reason = problem.reason.as_deref().unwrap_or(&problem.detail);
        format!("the database didn't take it: {} {reason}", problem.code)
    })
}

/// A key set from its URL: a JSON object with `keys`. What the keys are, the database says.
pub async fn fetch_jwks(app: &App, url: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Set {
        #[serde(rename = "keys")]
        _keys: Vec<IgnoredAny>,
    }

    let target = Target::new(url).map_err(|wrong| format!("its URL {wrong}"))?;
    let bytes = app.outbound().get(&target).await?;
    let text = String::from_utf8(bytes).map_err(|_| "the answer is not UTF-8")?;
    match serde_json::from_str::<Set>(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err("the answer is not a JWK Set".to_owned()),
    }
}

/// When to try again those that failed, so that an issuer that is away isn't asked without pause.
#[derive(Default)]
struct Failures(HashMap<String, (Duration, Instant)>);

impl Failures {
    fn may_try(&self, issuer: &str) -> bool {
        let until = self.0.get(issuer).map(|(_, until)| *until);
        until.is_none_or(|until| Instant::now() >= until)
    }

    fn note(&mut self, issuer: &str, longest: Duration) {
        let before = self.0.get(issuer).map(|(pause, _)| *pause);
        let pause = before.map_or(FIRST_PAUSE, |pause| pause * 2).min(longest);
        let until = Instant::now() + pause;
        self.0.insert(issuer.to_owned(), (pause, until));
    }

    fn forget(&mut self, issuer: &str) {
        self.0.remove(issuer);
    }

    fn keep(&mut self, issuers: &[Issuer]) {
        self.0
            .retain(|name, _| issuers.iter().any(|issuer| issuer.issuer == *name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_set_is_old_when_it_was_never_fetched_or_long_ago() {
        let minute = Duration::from_secs(60);
        assert!(is_old(None, minute));
        assert!(is_old(Some(SystemTime::now() - 2 * minute), minute));
        assert!(!is_old(Some(SystemTime::now()), minute));
        assert!(!is_old(Some(SystemTime::now() + minute), minute));
    }

    #[test]
    fn an_issuer_that_is_away_is_asked_more_and_more_seldom() {
        let mut failures = Failures::default();
        let longest = Duration::from_secs(40);
        let mut pauses = Vec::new();
        for _ in 0..3 {
            assert!(pauses.is_empty() || !failures.may_try("acme"));
            failures.note("acme", longest);
            pauses.push(failures.0["acme"].0.as_secs());
        }
        assert_eq!(pauses, [15, 30, 40]);
        assert!(failures.may_try("globex"));
        failures.forget("acme");
        assert!(failures.may_try("acme"));
    }
}
