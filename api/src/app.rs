//! What every request shares: the pool, the keys, the hasher, the mailer, the limits.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{Catalog, CatalogHolder};
use crate::db::Pool;
use crate::limiter::{Limiter, TrustedProxies};
use crate::mail::Mailer;
use crate::metrics::Metrics;
use crate::openapi::Documents;
use crate::outbound::Outbound;
use crate::password::Passwords;
use crate::queue::Queue;
use crate::settings::{Docs, FrontSettings, Limits, Settings, ShapeSettings};
use crate::tenant::Naming;
use crate::token::Tokens;

/// Password resets that may wait or be under way; few at once, so that no flood of them
/// takes the database from others.
const RESETS: u32 = 256;
const RESETS_AT_ONCE: usize = 2;

#[derive(Clone)]
pub struct App(Arc<Parts>);

struct Parts {
    pool: Pool,
    tokens: Tokens,
    passwords: Passwords,
    limits: Limits,
    limiter: Limiter,
    proxies: TrustedProxies,
    outbound: Outbound,
    mailer: Mailer,
    lifetimes: Lifetimes,
    keys_refresh: Duration,
    jwks_refresh: Duration,
    resets: Queue,
    metrics: Option<Metrics>,
    has_public_metrics: bool,
    front: FrontSettings,
    catalog: CatalogHolder,
    documents: Documents,
    has_docs: bool,
    catalog_refresh: Duration,
    naming: Naming,
    shape: ShapeSettings,
}

/// How long what is made for a person lasts.
#[derive(Clone, Copy)]
pub struct Lifetimes {
    pub session: Duration,
    pub invitation: Duration,
    pub reset: Duration,
}

impl App {
    /// Fails, with what to do about it, when a setting is no good. Connects to nothing.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let outbound = Outbound::new(settings.limits.outbound_timeout)?;
        Ok(Self(Arc::new(Parts {
            tokens: Tokens::new(&settings.token)?,
            mailer: Mailer::new(&settings.mail, &outbound, settings.listen)?,
            pool: Pool::new(&settings.database)?,
            passwords: Passwords::new(&settings.password)?,
            limits: settings.limits.clone(),
            limiter: Limiter::new(&settings.attempts, &settings.front),
            proxies: TrustedProxies::new(&settings.attempts.trusted_proxies),
            outbound,
            lifetimes: Lifetimes {
                session: settings.token.session_lifetime,
                invitation: settings.mail.invitation_lifetime,
                reset: settings.mail.reset_lifetime,
            },
            keys_refresh: settings.token.keys_refresh,
            jwks_refresh: settings.token.jwks_refresh,
            resets: Queue::new(RESETS, RESETS_AT_ONCE),
            metrics: Metrics::new(&settings.ops),
            has_public_metrics: settings.ops.are_metrics_public(),
            front: settings.front.clone(),
            catalog: CatalogHolder::default(),
            documents: Documents::new(&settings.shape, &settings.tenant.tenant_header),
            has_docs: settings.docs == Docs::On,
            catalog_refresh: settings.limits.catalog_refresh,
            naming: Naming::new(&settings.tenant)?,
            shape: settings.shape.clone(),
        })))
    }

    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    pub fn proxies(&self) -> &TrustedProxies {
        &self.0.proxies
    }

    pub fn outbound(&self) -> &Outbound {
        &self.0.outbound
    }

    pub fn mailer(&self) -> &Mailer {
        &self.0.mailer
    }

    pub fn lifetimes(&self) -> Lifetimes {
        self.0.lifetimes
    }

    pub fn keys_refresh(&self) -> Duration {
        self.0.keys_refresh
    }

    pub fn jwks_refresh(&self) -> Duration {
        self.0.jwks_refresh
    }

    /// `None` where nothing is counted.
    pub fn metrics(&self) -> Option<&Metrics> {
        self.0.metrics.as_ref()
    }

    pub fn front(&self) -> &FrontSettings {
        &self.0.front
    }

    /// Whether everybody may see what is counted.
    pub fn has_public_metrics(&self) -> bool {
        self.0.has_public_metrics
    }

    pub fn resets(&self) -> &Queue {
        &self.0.resets
    }

    /// What is exposed, as far as the service knows.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.0.catalog.get()
    }

    /// Whether the service describes itself.
    pub fn has_docs(&self) -> bool {
        self.0.has_docs
    }

    /// What describes the service.
    pub fn documents(&self) -> &Documents {
        &self.0.documents
    }

    pub fn catalog_refresh(&self) -> Duration {
        self.0.catalog_refresh
    }

    pub fn naming(&self) -> &Naming {
        &self.0.naming
    }

    /// What answers look like.
    pub fn shape(&self) -> &ShapeSettings {
        &self.0.shape
    }

    pub fn set_catalog(&self, catalog: Catalog) {
        self.0.catalog.set(catalog);
    }
}
