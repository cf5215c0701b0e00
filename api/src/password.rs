//! Passwords: argon2id, off the threads that serve requests, and never too many at once.
//!
//! A hash takes a core for some 20 ms and 19 MiB of memory. So no more run at once than half
//! of the cores, and each gives way to everything else; a bounded number waits; the next one
//! is told to come back.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use argon2::password_hash::phc::PasswordHash;
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use self::argon2id::Memory;
use crate::problem::{Problem, Result};
use crate::settings::PasswordSettings;

mod argon2id;
mod thread;

const SHORTEST: usize = 8;
const LONGEST: usize = 128;

#[derive(Clone)]
pub struct Passwords {
    /// Stands in for the hash of a person who doesn't exist, so that their login takes as long.
    nobody: Arc<PasswordHash>,
    /// One for each hash that runs or waits.
    places: Arc<Semaphore>,
    /// One for each hash that runs.
    cores: Arc<Semaphore>,
    /// All of `places`.
    capacity: usize,
    /// Memory that the next hash may use. New memory would make a hash half as slow again.
    spare: Arc<Mutex<Vec<Memory>>>,
}

impl Passwords {
    /// Hashes once, so it takes a moment.
    pub fn new(settings: &PasswordSettings) -> std::result::Result<Self, String> {
        let nobody = argon2id::hash(&Uuid::new_v4().to_string(), &mut Memory::new())
            .map_err(|error| error.to_string())?;
        let cores = settings
            .password_threads
            .map_or_else(half_of_the_cores, NonZeroUsize::get)
            .min(Semaphore::MAX_PERMITS / 2);
        let queue = settings.password_queue.min(Semaphore::MAX_PERMITS / 2);
        Ok(Self {
            nobody: Arc::new(nobody),
            places: Arc::new(Semaphore::new(cores + queue)),
            cores: Arc::new(Semaphore::new(cores)),
            capacity: cores + queue,
            spare: Arc::default(),
        })
    }

    /// The PHC string for a new password, whose length was checked.
    pub async fn hash(&self, password: String) -> Result<String> {
        let hash = self
            .run(move |memory| argon2id::hash(&password, memory))
            .await?;
        hash.map(|hash| hash.to_string())
            .map_err(|error| Problem::internal(format!("can't hash a password: {error}")))
    }

    /// Whether the password is the one that was stored. Where nothing is stored it isn't,
    /// and the answer takes as long.
    pub async fn verify(&self, password: String, stored: Option<&str>) -> Result<bool> {
        let can_match = stored.is_some() && has_valid_length(&password);
        let hash = match stored {
            Some(stored) => PasswordHash::new(stored).map(Arc::new).map_err(|error| {
                Problem::internal(format!(
                    "a stored password hash is not in PHC form: {error}"
                ))
            })?,
            None => self.nobody.clone(),
        };
        // A text that can't be a password is not worth hashing, but worth the time.
        let password = if can_match { password } else { String::new() };

        let is_equal = self
            .run(move |memory| argon2id::verify(&password, &hash, memory))
            .await?
            .map_err(|error| {
                Problem::internal(format!("a stored password hash can't be verified: {error}"))
            })?;
        Ok(can_match && is_equal)
    }

    /// Does `work` on a thread of its own when it is its turn; 503 when too many wait already.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T> {
        let busy = || Problem::unavailable("busy", "Too many logins at once.");
        let place = self
            .places
            .clone()
            .try_acquire_owned()
            .map_err(|_| busy())?;
        let core = self
            .cores
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        let passwords = self.clone();
        let (tell, told) = oneshot::channel();
        let hashing = thread::spawn(move || {
            let mut memory = passwords.spare().pop().unwrap_or_default();
            let done = work(&mut memory);
            // First the place, so that of two that end at once the later finds nobody else.
            drop(place);
            passwords.keep(memory);
            // Held until here: a client that hangs up doesn't stop the hash, so it mustn't free the core.
            drop(core);
            // Nobody listens where the client has hung up.
            let _ = tell.send(done);
        });
        hashing
            .map_err(|error| Problem::internal(format!("a password can't be hashed: {error}")))?;
        told.await
            .map_err(|_| Problem::internal("hashing a password ended early"))
    }

    /// Keeps memory for the next hash while there is one, and after the last none.
    fn keep(&self, memory: Memory) {
        let mut spare = self.spare();
        if self.places.available_permits() < self.capacity {
            spare.push(memory);
        } else {
            spare.clear();
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At least one.
fn half_of_the_cores() -> usize {
    available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// Whether a text may be a new password: 8 to 128 characters.
pub fn has_valid_length(password: &str) -> bool {
    // No more than one beyond the longest is counted, however long the text is.
    (SHORTEST..=LONGEST).contains(&password.chars().take(LONGEST + 1).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn passwords(threads: usize, queue: usize) -> Passwords {
        Passwords::new(&PasswordSettings {
            password_threads: NonZeroUsize::new(threads),
            password_queue: queue,
        })
        .unwrap()
    }

    #[test]
    fn a_password_has_8_to_128_characters_not_bytes() {
        for (password, valid) in [
            (String::new(), false),
            ("x".repeat(7), false),
            ("x".repeat(8), true),
            ("ü".repeat(7), false),
            ("🔑".repeat(128), true),
            ("x".repeat(129), false),
            ("x".repeat(1_000_000), false),
        ] {
            assert_eq!(has_valid_length(&password), valid, "{}", password.len());
        }
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_person_is_right() {
        let passwords = passwords(2, 8);
        let hash = passwords.hash("password123".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));

        let verify = async |password: &str, stored| {
            let answer = passwords.verify(password.to_owned(), stored).await;
            answer.unwrap()
        };
        assert!(verify("password123", Some(&hash)).await);
        assert!(!verify("password124", Some(&hash)).await);
        assert!(!verify("password123", None).await);
        assert!(!verify("", None).await);
    }

    #[tokio::test]
    async fn a_password_of_a_wrong_length_is_a_wrong_password() {
        let passwords = passwords(2, 8);
        for password in ["short", "", &"x".repeat(129)] {
            let hash = passwords.hash(password.to_owned()).await.unwrap();
            let answer = passwords.verify(password.to_owned(), Some(&hash)).await;
            assert!(!answer.unwrap());
        }
    }

    #[tokio::test]
    async fn a_stored_hash_that_is_none_is_an_error_of_ours() {
        let passwords = passwords(1, 1);
        for stored in [
            "",
            "secret",
            "$2b$12$abc",
            "$scrypt$ln=1$c2FsdHNhbHQ$aGFzaA",
        ] {
            let answer = passwords
                .verify("password123".to_owned(), Some(stored))
                .await;
            assert_ne!(answer.ok(), Some(true), "{stored}");
        }
    }

    #[tokio::test]
    async fn who_comes_when_the_queue_is_full_is_told_to_come_back() {
        let passwords = passwords(1, 1);
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let running = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.run(move |_| wait.recv().is_ok()).await }
        });
        let waiting = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.run(|_| true).await }
        });
        while passwords.places.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        let refused = passwords.run(|_| true).await.unwrap_err();
        assert_eq!((refused.status.as_u16(), &*refused.code), (503, "busy"));
        release.send(()).unwrap();
        assert!(running.await.unwrap().unwrap());
        assert!(waiting.await.unwrap().unwrap());
        assert!(passwords.run(|_| true).await.unwrap());
    }

    #[tokio::test]
    async fn after_the_last_login_no_memory_is_kept() {
        let passwords = passwords(2, 8);
        let logins: Vec<_> = (0..6)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.verify("password123".to_owned(), None).await })
            })
            .collect();
        for login in logins {
            assert!(!login.await.unwrap().unwrap());
        }
        assert!(passwords.spare().is_empty());
    }

    #[tokio::test]
    async fn hanging_up_does_not_free_a_core_that_is_still_hashing() {
        let passwords = passwords(1, 1);
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let impatient = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.run(move |_| wait.recv().is_ok()).await }
        });
        while passwords.cores.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        impatient.abort();
        assert!(impatient.await.unwrap_err().is_cancelled());
        assert_eq!(passwords.cores.available_permits(), 0);
        release.send(()).unwrap();
        assert!(passwords.run(|_| true).await.unwrap());
    }
}
