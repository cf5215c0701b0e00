//! The keys that this service holds, and which of them it signs with.
//!
//! They are JWT_SECRET and those of JWT_KEYS_FILE. Which one signs, the database says:
//! of those that are active there, the one that was activated last. So a rotation is
//! done in the database and with the file, and needs no restart.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use sha2::{Digest, Sha256};

use super::jwk;
use crate::settings::{TokenSettings, given};

/// Clocks of two machines differ a little. The database allows the same.
const LEEWAY_SECONDS: u64 = 30;

/// A key as the database knows it.
#[derive(Clone, Debug)]
pub struct KeyState {
    pub kid: String,
    pub status: String,
    pub activated_at: Option<SystemTime>,
}

/// The key that signs, and whether the database has activated it.
#[derive(Debug, PartialEq, Eq)]
pub struct Signing {
    pub kid: String,
    pub is_active: bool,
}

/// A private key with its name and algorithm.
pub struct Material {
    pub kid: String,
    pub algorithm: Algorithm,
    pub signing: EncodingKey,
    pub verifying: DecodingKey,
}

pub struct Key {
    pub header: Header,
    pub signing: EncodingKey,
    pub verifying: DecodingKey,
    pub validation: Validation,
}

/// What every token must carry, whichever key it is signed with.
#[derive(Default)]
struct Demands {
    issuer: Option<String>,
    audience: Option<String>,
}

/// All keys that are held. One is chosen to sign; there is always one.
pub struct Ring {
    secret: Option<Arc<Key>>,
    file: Vec<Arc<Key>>,
    demands: Arc<Demands>,
    pub signing: String,
}

/// The keys that the settings name. Fails, with what to do about it, when there is no good one.
pub fn read(settings: &TokenSettings) -> Result<(Ring, Option<KeyFile>), String> {
    let secret = settings.jwt_secret.as_ref().map_or("", |one| one.expose());
    let file = settings.jwt_keys_file.clone();
    let file = file.filter(|path| !path.as_os_str().is_empty());
    let demands = Arc::new(Demands {
        issuer: given(&settings.jwt_issuer).map(str::to_owned),
        audience: given(&settings.jwt_audience).map(str::to_owned),
    });
    let mut ring = Ring {
        secret: None,
        file: Vec::new(),
        demands,
        signing: String::new(),
    };
    if file.is_none() || !secret.is_empty() {
        let kid = given(&settings.jwt_kid).map_or_else(|| default_kid(secret), str::to_owned);
        ring.secret = Some(Arc::new(ring.key(of_secret(secret, kid)?)));
    }
    let Some(path) = file else {
        return Ok((ring.signing_with_one_there_is()?, None));
    };
    let (file, keys) = KeyFile::open(path)?;
    Ok((ring.with(keys)?, Some(file)))
}

impl Ring {
    /// The same with other keys of the file.
    pub fn with(&self, keys: Vec<Material>) -> Result<Self, String> {
        let keys = keys.into_iter().map(|key| Arc::new(self.key(key)));
        let ring = Self {
            secret: self.secret.clone(),
            file: keys.collect(),
            demands: self.demands.clone(),
            signing: self.signing.clone(),
        };
        let mut kids = ring.kids();
        kids.sort();
        if let Some(pair) = kids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("there are two keys of the name {}", pair[0]));
        }
        ring.signing_with_one_there_is()
    }

    fn signing_with_one_there_is(mut self) -> Result<Self, String> {
        if self.find(&self.signing).is_none() {
            let first = self.keys().next().ok_or("there is no key to sign with")?;
            self.signing = name(first).to_owned();
        }
        Ok(self)
    }

    /// The same, signing with the key that was activated last, or else with one that is
    /// next: that one is accepted too.
    pub fn chosen(&self, states: &[KeyState]) -> (Self, Signing) {
        let rank = |key: &Key| {
            let state = states.iter().find(|state| state.kid == name(key));
            match state.map(|state| (state.status.as_str(), state.activated_at)) {
                Some(("active", activated_at)) => (2, activated_at),
                Some(("next", _)) => (1, None),
                _ => (0, None),
            }
        };
        // Of several that are alike, the one of now.
        let best = self
            .keys()
            .max_by_key(|key| (rank(key), name(key) == self.signing));
        let signing = Signing {
            kid: best.map_or(&*self.signing, |key| name(key)).to_owned(),
            is_active: best.is_some_and(|key| rank(key).0 == 2),
        };
        let ring = Self {
            secret: self.secret.clone(),
            file: self.file.clone(),
            demands: self.demands.clone(),
            signing: signing.kid.clone(),
        };
        (ring, signing)
    }

    pub fn find(&self, kid: &str) -> Option<&Arc<Key>> {
        self.keys().find(|key| name(key) == kid)
    }

    /// Whether it is this very key that is held, and not one of its name.
    pub fn holds(&self, key: &Arc<Key>) -> bool {
        self.keys().any(|held| Arc::ptr_eq(held, key))
    }

    /// The key that signs.
    pub fn signing(&self) -> &Key {
        self.find(&self.signing)
            .expect("a ring signs with a key that it holds")
    }

    pub fn kids(&self) -> Vec<String> {
        self.keys().map(|key| name(key).to_owned()).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.secret.iter().chain(&self.file)
    }

    fn key(&self, material: Material) -> Key {
        let mut header = Header::new(material.algorithm);
        header.kid = Some(material.kid);
        Key {
            header,
            signing: material.signing,
            verifying: material.verifying,
            validation: self.demands.validation(material.algorithm),
        }
    }
}

impl Demands {
    fn validation(&self, algorithm: Algorithm) -> Validation {
        // The algorithm is the key's, never the token's.
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        // Without "required", a token that has no such claim at all would pass.
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

fn name(key: &Key) -> &str {
    key.header.kid.as_deref().unwrap_or_default()
}

/// The file of keys, and what stood in it when it was read.
pub struct KeyFile {
    path: PathBuf,
    digest: Mutex<[u8; 32]>,
}

impl KeyFile {
    fn open(path: PathBuf) -> Result<(Self, Vec<Material>), String> {
        let text = std::fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        let keys = jwk::read(&text).map_err(|wrong| of_file(&path, &wrong))?;
        let mode = std::fs::metadata(&path).map_or(0, |file| file.permissions().mode());
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "the file of keys can be read by others");
        }
        let digest = Mutex::new(Sha256::digest(&text).into());
        Ok((Self { path, digest }, keys))
    }

    /// The keys, if the file isn't what it was. By its content, because a volume of
    /// secrets is exchanged by a link whose date says nothing.
    pub async fn changed(&self) -> Result<Option<Vec<Material>>, String> {
        let text = tokio::fs::read(&self.path)
            .await
            .map_err(|error| unreadable(&self.path, &error))?;
        let digest: [u8; 32] = Sha256::digest(&text).into();
        let mut before = self.digest.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == digest {
            return Ok(None);
        }
        // Also of a file that is no good, so that it is complained about once.
        *before = digest;
        let keys = jwk::read(&text).map_err(|wrong| of_file(&self.path, &wrong))?;
        Ok(Some(keys))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("JWT_KEYS_FILE: {} can't be read: {error}", path.display())
}

fn of_file(path: &Path, wrong: &str) -> String {
    format!("JWT_KEYS_FILE: {}: {wrong}", path.display())
}

fn of_secret(secret: &str, kid: String) -> Result<Material, String> {
    if !(32..=1024).contains(&secret.len()) {
        return Err(format!(
            "JWT_SECRET must be 32 to 1024 bytes long and has {}; make one with: openssl rand -base64 48",
            secret.len()
        ));
    }
    Ok(Material {
        kid,
        algorithm: Algorithm::HS256,
        signing: EncodingKey::from_secret(secret.as_bytes()),
        verifying: DecodingKey::from_secret(secret.as_bytes()),
    })
}

/// The name of a secret that was given none, here as in `tenancy.add_signing_key`.
pub fn default_kid(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest[..8].iter().fold(String::new(), |mut kid, byte| {
        // Writing to a String doesn't fail.
        let _ = write!(kid, "{byte:02x}");
        kid
    })
}
