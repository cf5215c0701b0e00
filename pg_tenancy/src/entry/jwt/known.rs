//! Tokens that this connection has let in, and may again without looking.
//!
//! One is kept with what it led to and with how much had been heard, before it was
//! looked at, of its tenant, person and session, and of keys and tables. As long as no
//! more has been heard (see `committed::told`), looking again would find the same. The
//! dates of token and session are compared each time.
//!
//! A transaction that has written neither keeps nor finds any: what it sees of its own
//! may be rolled back. The token itself isn't kept, but its digest. No other token has
//! the same, so whoever sends it has the one that was verified.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use aws_lc_rs::digest::{SHA256, digest as sha256};
use uuid::Uuid;

use crate::backend;
use crate::committed::told::{self, Heard};
use crate::context::Context;
use crate::entry::named::Named;
use crate::readers::{self, Told};

/// Of some hundred bytes each. With as many more the older half of them is forgotten.
const HALF: usize = 4096;

pub const SECONDS_TO_2000: i64 = 946_684_800;

pub type Digest = [u8; 32];

struct Known {
    context: Context,
    tenant: Told,
    slug: Option<Box<str>>,
    /// Seconds since 1970, by the token.
    good: Range<u64>,
    /// Microseconds since 2000, by the session.
    expires_at: Option<i64>,
    heard: Heard,
}

type Half = HashMap<Digest, Known, BuildHasherDefault<OfDigest>>;

single! {
    static NEWER: RefCell<Half> = RefCell::new(Half::with_hasher(BuildHasherDefault::new()));
    static OLDER: RefCell<Half> = RefCell::new(Half::with_hasher(BuildHasherDefault::new()));
}

pub fn digest(token: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(sha256(&SHA256, token.as_bytes()).as_ref());
    bytes
}

/// What has been heard by now of whom a token names.
pub fn heard(tenant_id: Option<Uuid>, user_id: Option<Uuid>, session_id: Option<Uuid>) -> Heard {
    Heard::of([tenant_id, user_id, session_id])
}

/// Where the token leads, if that is known and into the tenant that was named.
pub fn find(digest: &Digest, named: &Named) -> Option<Context> {
    if told::has_written() {
        return None;
    }
    told::listen();
    let found = |half: &RefCell<Half>| {
        let half = half.borrow();
        let known = half.get(digest)?;
        if !known.is_good() || !known.is_named(named) {
            return None;
        }
        readers::expect(known.tenant);
        Some(known.context)
    };
    found(&NEWER).or_else(|| found(&OLDER))
}

pub fn keep(
    digest: Digest,
    context: Context,
    slug: Option<String>,
    good: Range<u64>,
    expires_at: Option<i64>,
    heard: Heard,
) {
    if told::has_written() {
        return;
    }
    let known = Known {
        context,
        tenant: readers::lasting(context.tenant_id),
        slug: slug.map(String::into_boxed_str),
        good,
        expires_at,
        heard,
    };
    NEWER.with_borrow_mut(|newer| {
        if newer.len() >= HALF {
            OLDER.set(std::mem::take(newer));
        }
        newer.insert(digest, known);
    });
}

impl Known {
    fn is_good(&self) -> bool {
        let context = &self.context;
        let ids = [Some(context.tenant_id), context.user_id, context.session_id];
        let now = backend::now();
        let seconds = now.div_euclid(1_000_000) + SECONDS_TO_2000;
        self.heard == Heard::of(ids)
            && u64::try_from(seconds).is_ok_and(|seconds| self.good.contains(&seconds))
            && self.expires_at.is_none_or(|expires_at| expires_at > now)
    }

    fn is_named(&self, named: &Named) -> bool {
        match named {
            Named::Any => true,
            Named::Id(id) => *id == self.context.tenant_id,
            Named::Slug(slug) => self.slug.as_deref() == Some(slug),
        }
    }
}

/// A digest needs no hash.
#[derive(Default)]
struct OfDigest(u64);

impl Hasher for OfDigest {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
