//! Work that a request leaves behind: done after the answer, so that the time of the
//! answer tells nothing of it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

#[derive(Clone)]
pub struct Queue {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    length: u32,
}

impl Queue {
    /// So many may wait or run; so many run.
    pub fn new(length: u32, at_once: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(length as usize)),
            turns: Arc::new(Semaphore::new(at_once)),
            length,
        }
    }

    /// Whether there was a place for it.
    pub fn put(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return false;
        };
        let turns = self.turns.clone();
        tokio::spawn(async move {
            let _place = place;
            let _turn = turns.acquire().await;
            work.await;
        });
        true
    }

    /// Waits until nothing is left, for at most this long; tells how much is.
    pub async fn finish(&self, limit: Duration) -> usize {
        let all = timeout(limit, self.places.acquire_many(self.length)).await;
        match all {
            Ok(_) => 0,
            Err(_) => self.length as usize - self.places.available_permits(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn what_has_a_place_is_done_and_what_has_none_is_refused() {
        let queue = Queue::new(3, 1);
        let done = Arc::new(AtomicUsize::new(0));
        let (open, gate) = tokio::sync::watch::channel(false);
        let put = || {
            let (done, mut gate) = (done.clone(), gate.clone());
            queue.put(async move {
                let _ = gate.wait_for(|is_open| *is_open).await;
                done.fetch_add(1, Ordering::Relaxed);
            })
        };
        assert_eq!([put(), put(), put(), put()], [true, true, true, false]);
        assert_eq!(queue.finish(Duration::from_millis(20)).await, 3);
        open.send(true).unwrap();
        assert_eq!(queue.finish(Duration::from_secs(10)).await, 0);
        assert_eq!(done.load(Ordering::Relaxed), 3);
    }
}
