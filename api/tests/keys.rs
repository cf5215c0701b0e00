//! The keys that a service holds: read from a file of every algorithm, read again when
//! it changes, and chosen by what the database says.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use api::settings::Settings;
use api::token::{KeyState, Named, Purpose, Subject, Tokens};
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Parser;
use serde_json::{Value, json};
use uuid::Uuid;

const SECRET: &str = "a-secret-for-tests-that-is-long-enough";

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn secret(kid: &str) -> Value {
    json!({"kty": "oct", "kid": kid, "alg": "HS256", "k": base64url(Uuid::new_v4().to_string().as_bytes())})
}

fn p256(kid: &str) -> Value {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let private: EcPrivateKeyBin = pair.private_key().as_be_bytes().unwrap();
    let point = pair.public_key().as_ref();
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "d": base64url(private.as_ref()),
           "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
}

fn ed25519(kid: &str) -> Value {
    let pair = Ed25519KeyPair::generate().unwrap();
    let seed = pair.seed().unwrap();
    let seed = seed.as_be_bytes().unwrap();
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "d": base64url(seed.as_ref()),
           "x": base64url(pair.public_key().as_ref())})
}

fn rsa(kid: &str, alg: &str, size: aws_lc_rs::rsa::KeySize) -> Value {
    let pair = aws_lc_rs::rsa::KeyPair::generate(size).unwrap();
    let der: Pkcs8V1Der = pair.as_der().unwrap();
    // PKCS #8 around PKCS #1: version, algorithm, key; then version and eight numbers.
    let parts = parts(parts(der.as_ref())[0]);
    let numbers = self::parts(self::parts(parts[2])[0]);
    let mut jwk = json!({"kty": "RSA", "kid": kid, "alg": alg});
    for (name, number) in ["n", "e", "d", "p", "q", "dp", "dq", "qi"]
        .iter()
        .zip(&numbers[1..])
    {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        jwk[name] = base64url(&number[zeros..]).into();
    }
    jwk
}

/// The contents of the DER values that stand one after the other.
fn parts(mut der: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let [_, length, rest @ ..] = der {
        let (length, rest) = if *length < 0x80 {
            (usize::from(*length), rest)
        } else {
            let (length, rest) = rest.split_at(usize::from(length & 0x7f));
            let length = length
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        };
        let (part, rest) = rest.split_at(length);
        parts.push(part);
        der = rest;
    }
    parts
}

/// A file that goes with the test.
struct File(PathBuf);

impl File {
    fn new(keys: &[Value]) -> Self {
        let file = Self(std::env::temp_dir().join(format!("keys-{}.json", Uuid::new_v4())));
        file.write(&json!({"keys": keys}).to_string());
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    fn tokens(&self, more: &[&str]) -> Result<Tokens, String> {
        let file = format!("--jwt-keys-file={}", self.0.display());
        let arguments = [&["pg_tenancy_api", &file], more].concat();
        Tokens::new(&Settings::try_parse_from(arguments).unwrap().token)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn ann() -> Subject<'static> {
    Subject {
        user_id: Uuid::from_u128(1),
        tenant_id: Uuid::from_u128(2),
        session_id: Uuid::from_u128(3),
        email: "ann@acme.example",
        role: "owner",
    }
}

fn named() -> Named {
    Named {
        person: Some(ann().user_id),
        tenant: Some(ann().tenant_id),
    }
}

fn state(kid: &str, status: &str, activated_at: u64) -> KeyState {
    KeyState {
        kid: kid.to_owned(),
        status: status.to_owned(),
        activated_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(activated_at)),
    }
}

/// The kid and algorithm that a token is signed with now.
fn signed_with(tokens: &Tokens) -> (String, String) {
    let token = tokens.sign(&ann()).unwrap();
    assert_eq!(tokens.verify(&token), Ok(Some(named())));
    let header = jsonwebtoken::decode_header(&token).unwrap();
    (header.kid.unwrap(), format!("{:?}", header.alg))
}

#[test]
fn a_key_of_each_algorithm_signs_and_verifies() {
    use aws_lc_rs::rsa::KeySize;
    let keys = [
        secret("h"),
        p256("e"),
        ed25519("d"),
        rsa("r", "RS256", KeySize::Rsa2048),
        rsa("p", "PS256", KeySize::Rsa3072),
    ];
    let tokens = File::new(&keys).tokens(&[]).unwrap();
    for (kid, algorithm) in [
        ("h", "HS256"),
        ("e", "ES256"),
        ("d", "EdDSA"),
        ("r", "RS256"),
        ("p", "PS256"),
    ] {
        tokens.choose(&[state(kid, "active", 1)]);
        assert_eq!(signed_with(&tokens), (kid.to_owned(), algorithm.to_owned()));
        tokens.word(Purpose::Startup, Uuid::nil()).unwrap();
    }
}

#[test]
fn of_the_active_keys_the_one_activated_last_signs() {
    let file = File::new(&[secret("a"), secret("b"), secret("c")]);
    let tokens = file.tokens(&["--jwt-secret", SECRET]).unwrap();
    assert_eq!(tokens.kids().len(), 4);
    let chosen = |states: &[KeyState]| {
        tokens.choose(states);
        signed_with(&tokens).0
    };
    assert_eq!(
        chosen(&[state("a", "active", 1), state("b", "active", 2)]),
        "b"
    );
    assert_eq!(
        chosen(&[state("a", "active", 1), state("b", "next", 2)]),
        "a"
    );
    assert_eq!(
        chosen(&[state("a", "retired", 3), state("c", "active", 2)]),
        "c"
    );
    // One that is next is accepted, and better than one that is not.
    assert_eq!(
        chosen(&[state("a", "retired", 3), state("b", "next", 2)]),
        "b"
    );
    // Where nothing is better, all stays as it is.
    assert_eq!(chosen(&[]), "b");
    assert_eq!(chosen(&[state("x", "active", 9)]), "b");
    assert!(!tokens.choose(&[]).is_some_and(|signing| signing.is_active));
    let changed = tokens.choose(&[state("c", "active", 2)]).unwrap();
    assert_eq!((changed.kid.as_str(), changed.is_active), ("c", true));
    assert_eq!(tokens.choose(&[state("c", "active", 2)]), None);
}

#[tokio::test]
async fn the_file_is_read_again_when_it_changes_and_not_otherwise() {
    let (old, new) = (p256("old"), ed25519("new"));
    let file = File::new(std::slice::from_ref(&old));
    let tokens = file.tokens(&[]).unwrap();
    let token = tokens.sign(&ann()).unwrap();
    assert_eq!(tokens.read_again().await, Ok(false));

    file.write(&json!({"keys": [old, new]}).to_string());
    assert_eq!(tokens.read_again().await, Ok(true));
    assert_eq!(tokens.read_again().await, Ok(false));
    assert_eq!(signed_with(&tokens).0, "old", "until the database says so");
    tokens.choose(&[state("old", "active", 1), state("new", "active", 2)]);
    assert_eq!(signed_with(&tokens).0, "new");
    assert_eq!(tokens.verify(&token), Ok(Some(named())));

    file.write(&json!({"keys": [new]}).to_string());
    assert_eq!(tokens.read_again().await, Ok(true));
    assert_eq!(signed_with(&tokens).0, "new");
    assert_eq!(
        tokens.verify(&token),
        Ok(None),
        "the database judges it now"
    );
}

#[tokio::test]
async fn a_file_that_is_no_good_changes_nothing_and_is_complained_about_once() {
    let file = File::new(&[secret("a")]);
    let tokens = file.tokens(&[]).unwrap();
    for broken in [
        "",
        "{",
        r#"{"keys": []}"#,
        r#"{"keys": [{"kty": "oct", "kid": "a", "k": "x"}]}"#,
    ] {
        file.write(broken);
        assert!(tokens.read_again().await.is_err(), "{broken}");
        assert_eq!(tokens.read_again().await, Ok(false), "{broken}");
        assert_eq!(signed_with(&tokens).0, "a");
    }
    file.write(&json!({"keys": [secret("b")]}).to_string());
    assert_eq!(tokens.read_again().await, Ok(true));
    assert_eq!(signed_with(&tokens).0, "b");
    std::fs::remove_file(&file.0).unwrap();
    assert!(tokens.read_again().await.is_err());
    assert_eq!(signed_with(&tokens).0, "b");
}

#[test]
fn a_key_that_is_no_good_is_refused_and_not_shown() {
    let mut mixed = p256("mixed");
    mixed["d"] = p256("other")["d"].take();
    let mut short = secret("short");
    short["k"] = base64url(b"too short a secret").into();
    let mut nameless = secret("x");
    nameless.as_object_mut().unwrap().remove("kid");
    let mut public = p256("public");
    public.as_object_mut().unwrap().remove("d");
    let mut other = ed25519("other");
    other["alg"] = "ES256".into();
    let mut which = rsa("which", "RS256", aws_lc_rs::rsa::KeySize::Rsa2048);
    which.as_object_mut().unwrap().remove("alg");
    let mut wrong_type = secret("wrong-type");
    wrong_type["kid"] = json!(["a-value-of-the-file"]);

    for (key, said) in [
        (mixed, "don't belong together"),
        (short, "32 to 1024"),
        (nameless, "no kid"),
        (public, "lacks"),
        (other, "alg"),
        (which, "alg"),
        (wrong_type, "not a JWK Set"),
        (json!({"kty": "EC", "crv": "P-384", "kid": "p384"}), "crv"),
        (json!({"kty": "oct", "kid": "a b", "k": "x"}), "kid"),
    ] {
        let refused = File::new(std::slice::from_ref(&key))
            .tokens(&[])
            .err()
            .unwrap();
        assert!(
            refused.contains(said) || mixed_is_refused(&refused, &key),
            "{refused}"
        );
        assert!(!refused.contains("a-value-of-the-file"), "{refused}");
        for part in ["k", "d", "p"].iter().filter_map(|part| key[part].as_str()) {
            assert!(part.len() < 4 || !refused.contains(part), "{refused}");
        }
    }
    let twice = File::new(&[secret("a"), secret("a")]).tokens(&[]);
    assert!(twice.err().unwrap().contains("two keys"));
    assert!(File::new(&[]).tokens(&[]).err().unwrap().contains("no key"));
    let missing = File(std::env::temp_dir().join("there-is-no-such-file"));
    assert!(missing.tokens(&[]).err().unwrap().contains("can't be read"));
}

/// The library may find the mixed halves before the comparison does.
fn mixed_is_refused(refused: &str, key: &Value) -> bool {
    key["kid"] == "mixed" && refused.contains("no private key")
}
