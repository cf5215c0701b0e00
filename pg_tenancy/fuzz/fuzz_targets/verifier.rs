//! Throws bytes at the verifier, and sees that nothing gets in and nothing breaks.
//!
//! It is built from the extension's own files. What comes in is taken in four ways:
//! as a token as it stands; as the header and the claims of one that is well signed
//! with each of our keys, so that the fuzzer gets past the signature; as a key; as a
//! key set. `corpus/verifier` has a start for each: the first byte says which way.

#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;

// What the extension's entry uses, the target uses only in part.
#[allow(dead_code)]
#[path = "../../src/token/mod.rs"]
mod token;

use token::{Algorithm, Claimed, Key, Refusal, Rules, Seen, Verified, read_key, read_key_set};

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret of the fuzzer, which is long enough";
const CODES: [&str; 5] = ["TN010", "TN011", "TN012", "TN013", "TN014"];
const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::HS256,
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::EdDSA,
];

/// The same each time, so that a crash can be run again.
static ED: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed"));

fn keys() -> [Key; 2] {
    let der: PublicKeyX509Der<'_> = ED.public_key().as_der().expect("DER");
    [
        Key::new(Algorithm::HS256, SECRET.to_vec()),
        Key::new(Algorithm::EdDSA, der.as_ref().to_vec()),
    ]
}

fn verify<'token>(
    token: &'token str,
    key: &Key,
    seen: &mut Seen,
) -> Result<Verified<'token>, Refusal> {
    let rules = Rules {
        issuer: Some("https://idp.example"),
        audience: Some("app"),
    };
    let claimed = Claimed::read(token)?;
    // What the look-up would use.
    let _ = (claimed.kid(), claimed.issuer(), claimed.issued_at());
    let _ = (claimed.user_id(), claimed.tenant_id(), claimed.session_id());
    claimed.verify(key, &rules, NOW, seen)
}

/// Everything that the extension asks a good token.
fn ask(verified: &Verified<'_>) {
    assert!(!verified.subject().is_empty());
    assert!(verified.issued_at() <= NOW + 30);
    let _ = (verified.user_id(), verified.purpose(), verified.email());
    let _ = (verified.id("tenantId"), verified.id("sid"));
    if let Some(address) = verified.verified_email() {
        assert!(address.is_ascii());
    }
    for path in [["tenantId", "*", "*"], ["o", "*", "id"], ["o", "id", "*"]] {
        for length in 1..=3 {
            let path: Vec<_> = path[..length].iter().map(|&step| step.to_owned()).collect();
            if let Ok(Some(name)) = verified.at(&path) {
                assert!(!name.is_empty() && !name.chars().any(char::is_control));
            }
        }
    }
}

/// The signature by which the key of that number would sign.
fn sign(number: usize, message: &str) -> Vec<u8> {
    match number {
        0 => hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, SECRET),
            message.as_bytes(),
        )
        .as_ref()
        .to_vec(),
        _ => ED.sign(message.as_bytes()).as_ref().to_vec(),
    }
}

fn refused(token: &str) {
    for key in keys() {
        match verify(token, &key, &mut Seen::default()) {
            // Only who knows a key signs with it, and the corpus holds no such token.
            Ok(_) => panic!("somebody has forged a token"),
            Err(refusal) => assert!(CODES.contains(&refusal.code)),
        }
    }
}

fn signed(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (header, claims) = bytes.split_at(at);
    let claims = claims.strip_prefix(b"\n").unwrap_or(claims);
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    for (number, key) in keys().iter().enumerate() {
        let token = format!(
            "{message}.{}",
            URL_SAFE_NO_PAD.encode(sign(number, &message))
        );
        let mut seen = Seen::default();
        let first = verify(&token, key, &mut seen);
        // Known or not, the answer is the same.
        let second = verify(&token, key, &mut seen);
        assert_eq!(first.as_ref().err(), second.as_ref().err());
        match first {
            Ok(verified) => {
                ask(&verified);
                // Another key says no, whatever it has seen.
                let [hs, ed] = keys();
                let other = if number == 0 { ed } else { hs };
                assert!(verify(&token, &other, &mut seen).is_err());
            }
            Err(refusal) => assert!(CODES.contains(&refusal.code)),
        }
    }
}

/// A JWK's kid may be any text, also one that would open a private key in a PEM.
fn is_jwk(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

fuzz_target!(|bytes: &[u8]| {
    let Some((way, rest)) = bytes.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match way {
        b't' => refused(&text),
        b's' => signed(rest),
        b'k' => {
            for algorithm in ALGORITHMS {
                if let Ok(key) = read_key(&text, algorithm) {
                    if algorithm.is_symmetric() {
                        let secret = String::from_utf8_lossy(&key.material);
                        assert!(!secret.contains("-----BEGIN"));
                    }
                    // Stored, it can be used and does not open to anything.
                    let key = Key::new(algorithm, key.material);
                    assert!(key.check("message", "c2lnbmF0dXJl").is_err());
                    assert!(is_jwk(&text) || !text.contains("PRIVATE KEY-----"));
                }
            }
        }
        b'j' => {
            if let Ok(keys) = read_key_set(&text) {
                assert!((1..=100).contains(&keys.len()));
                for key in keys {
                    assert!(!key.algorithm.is_symmetric());
                    let key = Key::new(key.algorithm, key.material);
                    assert!(key.check("message", "c2lnbmF0dXJl").is_err());
                }
            }
        }
        _ => {}
    }
});
