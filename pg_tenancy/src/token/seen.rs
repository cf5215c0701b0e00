//! Signatures that were found good, so that they need not be computed again.
//!
//! Only the signature is taken from here; all else is looked at each time. An entry
//! holds for one token with one key: a key of the same name with other material has
//! another digest. HS256 is not kept, since checking it costs as much as the digest.

use std::collections::{HashMap, VecDeque};

use aws_lc_rs::digest::{SHA256, digest};

use super::key::Key;

/// Some 100 bytes each.
const MAX_ENTRIES: usize = 1024;

type Digest = [u8; 32];

/// What one connection has seen.
#[derive(Default)]
pub struct Seen {
    /// By the token's digest: the key's digest, and until when the token is good.
    tokens: HashMap<Digest, (Digest, u64)>,
    /// The oldest first.
    order: VecDeque<Digest>,
}

impl Seen {
    /// Whether the token's signature was found good with this very key.
    pub fn is_good(&self, token: &str, key: &Key, until: u64, now: u64) -> bool {
        if key.algorithm().is_symmetric() || until <= now {
            return false;
        }
        self.tokens
            .get(&digest_of(token))
            .is_some_and(|(known, _)| *known == key.digest())
    }

    /// Keeps it until the token expires, or there are too many.
    pub fn remember(&mut self, token: &str, key: &Key, until: u64, now: u64) {
        if key.algorithm().is_symmetric() || until <= now {
            return;
        }
        if self.order.len() >= MAX_ENTRIES {
            self.forget_some(now);
        }
        let token = digest_of(token);
        if self.tokens.insert(token, (key.digest(), until)).is_none() {
            self.order.push_back(token);
        }
    }

    /// Those that have expired, and the oldest.
    fn forget_some(&mut self, now: u64) {
        self.tokens.retain(|_, (_, until)| *until > now);
        if self.tokens.len() >= MAX_ENTRIES
            && let Some(oldest) = self.order.pop_front()
        {
            self.tokens.remove(&oldest);
        }
        let tokens = &self.tokens;
        self.order.retain(|token| tokens.contains_key(token));
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }
}

fn digest_of(token: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}
