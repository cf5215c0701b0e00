//! Keys, alone and in sets: their forms, and those that are none.

use super::*;

#[test]
fn a_key_is_the_same_in_every_form() {
    for algorithm in ALGORITHMS {
        let signer = Signer::new("name", algorithm);
        let from_pem = read_key(&signer.pem(), algorithm).expect("a PEM");
        let from_jwk = read_key(&signer.jwk().to_string(), algorithm).expect("a JWK");
        assert_eq!(from_pem.material, signer.material());
        assert_eq!(from_jwk.material, signer.material());
        assert_eq!(
            (from_pem.kid, from_jwk.kid.as_deref()),
            (None, Some("name"))
        );
        if !algorithm.is_symmetric() {
            let set = read_key_set(&signer.jwks()).expect("a set");
            assert_eq!(set[0].material, signer.material());
            assert_eq!((set[0].algorithm, set[0].kid.as_str()), (algorithm, "name"));
        }
    }
}

#[test]
fn a_key_that_is_none_or_not_public_is_refused_and_not_shown() {
    let ed = Signer::new("k", Algorithm::EdDSA);
    let ec = Signer::new("k", Algorithm::ES256);
    let rsa = Signer::new("k", Algorithm::RS256);
    let mut private = ec.jwk();
    private["d"] = json!("c2VjcmV0");
    let mut weak = rsa.jwk();
    weak["n"] = json!(encode([0xC5; 128]));
    let mut even = rsa.jwk();
    even["e"] = json!("Ag");
    let mut off_curve = ec.jwk();
    off_curve["x"] = off_curve["y"].clone();
    let mut long = ec.jwk();
    long["x"] = json!(encode([1; 33]));
    let mut encrypting = rsa.jwk();
    encrypting["use"] = json!("enc");
    let mut other_curve = ec.jwk();
    other_curve["crv"] = json!("P-384");
    let mut doubled = ec.jwk().to_string();
    doubled.insert_str(1, "\"kty\":\"EC\",");

    for (key, algorithm) in [
        (pem("PRIVATE KEY", &ed.material()), Algorithm::EdDSA),
        (pem("RSA PRIVATE KEY", &rsa.material()), Algorithm::RS256),
        (pem("EC PRIVATE KEY", &rsa.material()), Algorithm::HS256),
        (
            pem("ENCRYPTED PRIVATE KEY", &ed.material()),
            Algorithm::EdDSA,
        ),
        (
            format!("{}{}", ed.pem(), pem("PRIVATE KEY", &ed.material())),
            Algorithm::EdDSA,
        ),
        (format!("{}{}", ed.pem(), ed.pem()), Algorithm::EdDSA),
        (pem("CERTIFICATE", &ed.material()), Algorithm::EdDSA),
        (pem("PUBLIC KEY", b"nothing"), Algorithm::EdDSA),
        (ed.pem().replace("MCow", "!!!!"), Algorithm::EdDSA),
        (ed.pem(), Algorithm::ES256),
        (ec.pem(), Algorithm::RS256),
        (rsa.pem(), Algorithm::EdDSA),
        (
            "a secret that is long enough, but is no public key".into(),
            Algorithm::RS256,
        ),
        ("short".into(), Algorithm::HS256),
        ("x".repeat(1025), Algorithm::HS256),
        ("x".repeat(20_000), Algorithm::HS256),
        (private.to_string(), Algorithm::ES256),
        (weak.to_string(), Algorithm::RS256),
        (even.to_string(), Algorithm::RS256),
        (off_curve.to_string(), Algorithm::ES256),
        (long.to_string(), Algorithm::ES256),
        (encrypting.to_string(), Algorithm::RS256),
        (other_curve.to_string(), Algorithm::ES256),
        (doubled, Algorithm::ES256),
        (rsa.jwk().to_string(), Algorithm::PS256),
        (
            json!({"kty": "oct", "k": "c2hvcnQ"}).to_string(),
            Algorithm::HS256,
        ),
        (
            json!({"kty": "oct", "k": encode(ed.pem())}).to_string(),
            Algorithm::HS256,
        ),
    ] {
        let Err(message) = read_key(&key, algorithm) else {
            panic!("taken for {algorithm:?}: {key}");
        };
        let shown = ["MCow", "c2VjcmV0", "c2hvcnQ"]
            .iter()
            .any(|part| message.contains(part));
        assert!(!shown && message.len() < 120, "{message}");
    }
}

#[test]
fn a_jwk_may_be_called_what_a_private_key_begins_with() {
    let mut jwk = Signer::new("k", Algorithm::EdDSA).jwk();
    jwk["kid"] = json!("-----BEGIN PRIVATE KEY-----");
    let key = read_key(&jwk.to_string(), Algorithm::EdDSA).expect("a public key");
    assert_eq!(key.kid.as_deref(), Some("-----BEGIN PRIVATE KEY-----"));
}

#[test]
fn a_key_set_gives_what_can_be_used_and_hides_no_secret() {
    let [rsa, ec, ed] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
        .map(|algorithm| Signer::new(algorithm.name(), algorithm));
    let change = |signer: &Signer, name: &str, value: Value| {
        let mut jwk = signer.jwk();
        jwk[name] = value;
        jwk
    };
    // As Keycloak has it: a key for encryption beside the one for signatures.
    let encrypting = {
        let mut jwk = change(&rsa, "use", json!("enc"));
        jwk["alg"] = json!("RSA-OAEP");
        jwk["kid"] = json!("other");
        jwk
    };
    let nameless = {
        let mut jwk = ec.jwk();
        jwk.as_object_mut().expect("an object").remove("kid");
        jwk
    };
    let set = json!({"keys": [rsa.jwk(), encrypting, nameless, ed.jwk(),
        {"kty": "EC", "crv": "P-521", "kid": "a"}, {"kty": "AKP", "kid": "b"}, {}]});
    let names: Vec<_> = read_key_set(&set.to_string())
        .expect("a set")
        .into_iter()
        .map(|key| key.kid)
        .collect();
    assert_eq!(names, ["RS256", "EdDSA"]);

    let private = change(&ec, "d", json!("c2VjcmV0"));
    let secret = Signer::new("k", Algorithm::HS256).jwk();
    for bad in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        json!({"keys": {}}).to_string(),
        json!({"keys": []}).to_string(),
        json!({"keys": [1]}).to_string(),
        json!({"keys": [rsa.jwk(), private]}).to_string(),
        json!({"keys": [rsa.jwk(), secret]}).to_string(),
        json!({"keys": [rsa.jwk(), change(&ec, "kid", json!("RS256"))]}).to_string(),
        json!({"keys": [change(&rsa, "use", json!("enc"))]}).to_string(),
        json!({"keys": vec![ed.jwk(); 10_000]}).to_string(),
        json!({"keys": vec![json!({}); 101]}).to_string(),
        format!("{{\"keys\":[],{}", &set.to_string()[1..]),
        " ".repeat(300_000),
    ] {
        let shown: String = bad.chars().take(100).collect();
        let Err(message) = read_key_set(&bad) else {
            panic!("taken: {shown}");
        };
        assert!(!message.contains("c2VjcmV0"));
    }
}
