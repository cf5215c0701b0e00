//! Tokens that were found good before: a client sends the same one with each request,
//! and to verify it again would be a third of what a request costs here.
//!
//! What can't change is remembered, the signature and whom the token names; what can is
//! asked each time, the date and whether the key is still held. Only good tokens get in,
//! so nobody can fill this with bad ones. In any doubt a token isn't known here.

use std::sync::Arc;

use arc_swap::ArcSwap;
use papaya::HashMap;

use super::Named;
use super::keys::{Key, Ring};

/// Tokens in each half. At twice 4096 of half a KiB it is some 4 MiB.
const MOST: usize = 4096;
/// A longer one is verified each time.
const LONGEST: usize = 1024;

/// By the whole token: no hash can pass for it.
type Half = HashMap<Box<str>, Good>;

/// Nobody waits here for anybody: neither map has a lock.
#[derive(Default)]
pub struct Verified(ArcSwap<Halves>);

/// When the newer half is full it becomes the older, and what was in that is forgotten.
#[derive(Default)]
struct Halves {
    newer: Arc<Half>,
    older: Arc<Half>,
}

#[derive(Clone)]
struct Good {
    named: Named,
    key: Arc<Key>,
    /// In seconds: when it was verified, and when it expires.
    since: u64,
    until: u64,
}

impl Verified {
    /// Whom a token names that was verified with a key of this ring, and has not expired.
    pub fn find(&self, token: &str, ring: &Ring, now: u64) -> Option<Named> {
        let halves = self.0.load();
        if let Some(good) = halves.newer.pin().get(token) {
            return good.named_at(now, ring);
        }
        let good = halves.older.pin().get(token)?.clone();
        let named = good.named_at(now, ring);
        self.insert(token, good);
        named
    }

    /// Remembers a token that this key has just verified.
    pub fn keep(&self, token: &str, named: Named, key: &Arc<Key>, since: u64, until: u64) {
        if token.len() > LONGEST {
            return;
        }
        let good = Good {
            named,
            key: key.clone(),
            since,
            until,
        };
        self.insert(token, good);
    }

    fn insert(&self, token: &str, good: Good) {
        let halves = self.0.load();
        if halves.newer.len() >= MOST {
            let next = Halves {
                newer: Arc::default(),
                older: halves.newer.clone(),
            };
            // Who comes second finds it done.
            self.0.compare_and_swap(&halves, Arc::new(next));
        }
        self.0.load().newer.pin().insert(token.into(), good);
    }
}

impl Good {
    fn named_at(&self, now: u64, ring: &Ring) -> Option<Named> {
        // Before `since` the clock was set back: then its dates are looked at again.
        let is_good = (self.since..self.until).contains(&now) && ring.holds(&self.key);
        is_good.then_some(self.named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tests::ring;

    const NOBODY: Named = Named {
        person: None,
        tenant: None,
    };

    #[test]
    fn a_good_token_is_known_until_it_expires_and_as_long_as_its_key_is_held() {
        let (ours, other) = (ring(), ring());
        let verified = Verified::default();
        let key = ours.find(&ours.signing).unwrap();
        verified.keep("good", NOBODY, key, 100, 200);
        for (ring, now, expected) in [
            (&ours, 100, Some(NOBODY)),
            (&ours, 199, Some(NOBODY)),
            (&ours, 200, None),
            (&ours, 99, None),
            // Another key, even of the same name and secret.
            (&other, 150, None),
        ] {
            assert_eq!(verified.find("good", ring, now), expected, "{now}");
        }
        assert_eq!(verified.find("goo", &ours, 150), None);
    }

    #[test]
    fn as_many_are_known_as_there_is_room_for_and_those_in_use_stay() {
        let ring = ring();
        let verified = Verified::default();
        let key = ring.find(&ring.signing).unwrap();
        let is_known = |token: &str| verified.find(token, &ring, 150).is_some();
        verified.keep("used", NOBODY, key, 100, 200);
        verified.keep("unused", NOBODY, key, 100, 200);
        verified.keep(&"x".repeat(LONGEST + 1), NOBODY, key, 100, 200);
        for n in 0..4 * MOST {
            verified.keep(&n.to_string(), NOBODY, key, 100, 200);
            assert!(is_known("used"));
        }
        assert!(!is_known("unused"));
        assert!(!is_known(&"x".repeat(LONGEST + 1)));
        let halves = verified.0.load();
        assert!(halves.newer.len() <= MOST && halves.older.len() <= MOST);
    }
}
