//! One limit: how many attempts each key has left. Its memory is bounded.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::settings::Rate;

/// What a key is counted by.
type Key = [u8; 16];

/// Beyond its memory, a limit counts all new keys in this many places together.
const SHARED: u64 = 1024;

type Limiter =
    RateLimiter<Key, DefaultKeyedStateStore<Key>, DefaultClock, StateInformationMiddleware>;

pub struct Counter {
    attempts: Option<Limiter>,
    memory: usize,
    /// Nobody outside knows which keys share a place.
    places: RandomState,
}

/// How many attempts are left, and how long until there are all of them again.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    pub count: u32,
    pub full_after: Duration,
}

/// How long until there is an attempt again.
#[derive(Debug)]
pub struct Wait(pub Duration);

impl Counter {
    pub fn new(rate: Rate, memory: usize) -> Self {
        Self {
            attempts: rate
                .0
                .map(|quota: Quota| RateLimiter::keyed(quota).with_middleware()),
            memory,
            places: RandomState::new(),
        }
    }

    /// Counts an attempt, unless there is none left.
    pub fn count(&self, key: Key) -> Result<Left, Wait> {
        let Some(attempts) = &self.attempts else {
            return Ok(Left {
                count: u32::MAX,
                full_after: Duration::ZERO,
            });
        };
        let key = if attempts.len() < self.memory {
            key
        } else {
            self.shared(key)
        };
        match attempts.check_key(&key) {
            Ok(state) => {
                let (quota, count) = (state.quota(), state.remaining_burst_capacity());
                let used = quota.burst_size().get().saturating_sub(count);
                Ok(Left {
                    count,
                    full_after: quota.replenish_interval() * used,
                })
            }
            Err(refused) => {
                let now = DefaultClock::default().now();
                Err(Wait(refused.wait_time_from(now)))
            }
        }
    }

    // One who was remembered before is counted anew here: a full memory is
    // some hundred thousand attempts, each of which had an address of its own.
    fn shared(&self, key: Key) -> Key {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&(self.places.hash_one(key) % SHARED).to_be_bytes());
        place
    }

    pub fn forget_the_quiet(&self) {
        if let Some(attempts) = &self.attempts {
            attempts.retain_recent();
            attempts.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    use governor::Quota;

    fn counter(count: u32, span: Duration, memory: usize) -> Counter {
        let burst = NonZeroU32::new(count).unwrap();
        let quota = Quota::with_period(span / count).unwrap().allow_burst(burst);
        Counter::new(Rate(Some(quota)), memory)
    }

    fn key(number: u64) -> Key {
        let mut key = [1; 16];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn memory_is_bounded_and_limits_hold_beyond_it() {
        let counter = counter(1, Duration::from_secs(3600), 1000);
        let allowed = (0..50_000).filter(|one| counter.count(key(*one)).is_ok());
        let allowed = allowed.count() as u64;
        assert!(allowed <= 1000 + SHARED, "{allowed}");
        assert!(counter.attempts.as_ref().unwrap().len() as u64 <= 1000 + SHARED);
        assert!(counter.count(key(50_001)).is_err());
    }

    #[test]
    fn the_quiet_are_forgotten_and_the_others_not() {
        let remembered_of = |span| {
            let counter = counter(1, span, 1000);
            for one in 0..100 {
                counter.count(key(one)).unwrap();
            }
            std::thread::sleep(Duration::from_millis(50));
            counter.forget_the_quiet();
            counter.attempts.as_ref().unwrap().len()
        };
        assert_eq!(remembered_of(Duration::from_secs(3600)), 100);
        assert_eq!(remembered_of(Duration::from_millis(10)), 0);
    }

    #[test]
    fn attempts_come_back_with_time() {
        let counter = counter(1, Duration::from_millis(100), 10);
        // On a busy machine one may come back before the next is asked for.
        let Wait(wait) = loop {
            if let Err(wait) = counter.count(key(1)) {
                break wait;
            }
        };
        assert!(wait <= Duration::from_millis(100));
        std::thread::sleep(wait);
        assert!(counter.count(key(1)).is_ok());
    }
}
