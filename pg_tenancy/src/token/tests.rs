//! The verifier by itself: which token is good, and with which code another is not.

use base64::Engine;
use serde_json::{Value, json};

use super::*;
use crate::tests::signer::{ALGORITHMS, Signer, encode, hmac_of, pem};

const NOW: u64 = 1_800_000_000;

fn claims() -> Value {
    json!({
        "sub": "018f0000-0000-7000-8000-000000000001",
        "tenantId": "018f0000-0000-7000-8000-000000000002",
        "iat": NOW, "exp": NOW + 3600,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn key(signer: &Signer) -> Key {
    Key::new(signer.algorithm, signer.material())
}

/// The code that a token ends with, or `good`.
fn outcome(token: &str, key: &Key) -> &'static str {
    let rules = Rules::default();
    let verified = Claimed::read(token)
        .and_then(|claimed| claimed.verify(key, &rules, NOW, &mut Seen::default()));
    match verified {
        Ok(_) => "good",
        Err(refusal) => refusal.code,
    }
}

fn verified<'token>(token: &'token str, signer: &Signer) -> Verified<'token> {
    Claimed::read(token)
        .and_then(|claimed| {
            claimed.verify(&key(signer), &Rules::default(), NOW, &mut Seen::default())
        })
        .unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

#[test]
fn a_token_is_good_with_its_own_key_and_no_other() {
    let signers: Vec<_> = ALGORITHMS
        .into_iter()
        .map(|algorithm| Signer::new("k", algorithm))
        .collect();
    for signer in &signers {
        let token = signer.sign(&claims());
        assert_eq!(outcome(&token, &key(signer)), "good");
        for other in &signers {
            // The very same key, too, but for another algorithm.
            let pinned = Key::new(other.algorithm, signer.material());
            let is_own = other.algorithm == signer.algorithm;
            assert_eq!(
                outcome(&token, &pinned),
                if is_own { "good" } else { "TN011" }
            );
        }
        let stranger = Signer::new("k", signer.algorithm);
        if !signer.algorithm.is_symmetric() {
            assert_eq!(outcome(&token, &key(&stranger)), "TN011");
        }
    }
}

#[test]
fn a_public_key_is_nobodys_secret() {
    for algorithm in &ALGORITHMS[1..] {
        let signer = Signer::new("k", *algorithm);
        let header = json!({"alg": "HS256", "kid": "k"}).to_string();
        let message = format!("{}.{}", encode(header), encode(claims().to_string()));
        for bytes in [signer.material(), signer.pem().into_bytes()] {
            let token = format!("{message}.{}", encode(hmac_of(&bytes, message.as_bytes())));
            assert_eq!(outcome(&token, &key(&signer)), "TN011");
            assert!(read_key(&signer.pem(), Algorithm::HS256).is_err());
        }
        assert!(read_key(&signer.jwk().to_string(), Algorithm::HS256).is_err());
    }
}

#[test]
fn a_signature_is_of_every_byte() {
    for algorithm in ALGORITHMS {
        let signer = Signer::new("k", algorithm);
        let token = signer.sign(&claims());
        let (message, signature) = token.rsplit_once('.').expect("three parts");
        let other = signer.sign(&with(
            "tenantId",
            json!("018f0000-0000-7000-8000-000000000003"),
        ));
        let (other_message, _) = other.rsplit_once('.').expect("three parts");
        assert_eq!(
            outcome(&format!("{other_message}.{signature}"), &key(&signer)),
            "TN011"
        );

        let mut bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(signature)
            .expect("base64url");
        bytes[5] ^= 1;
        assert_eq!(
            outcome(&format!("{message}.{}", encode(&bytes)), &key(&signer)),
            "TN011"
        );
        bytes.truncate(7);
        assert_eq!(
            outcome(&format!("{message}.{}", encode(&bytes)), &key(&signer)),
            "TN011"
        );
    }
}

#[test]
fn each_wrong_shape_has_its_code() {
    let signer = Signer::new("k", Algorithm::HS256);
    let body = claims().to_string();
    let good = signer.sign(&claims());
    let header = signer.header().to_string();
    let raw_header = |header: Value| signer.sign_raw(&header.to_string(), &body);
    let raw_body = |body: &str| signer.sign_raw(&header, body);
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));

    let table: Vec<(&str, String, &str)> = vec![
        ("good", good.clone(), "good"),
        ("empty", String::new(), "TN010"),
        ("dots", "..".into(), "TN010"),
        (
            "two parts",
            good.rsplit_once('.').expect("dots").0.into(),
            "TN010",
        ),
        ("four parts", format!("{good}.x"), "TN010"),
        ("five parts", "a.b.c.d.e".into(), "TN010"),
        ("truncated", good[..good.len() - 1].into(), "TN010"),
        (
            "no signature",
            format!("{}.", good.rsplit_once('.').expect("dots").0),
            "TN010",
        ),
        ("a space before", format!(" {good}"), "TN010"),
        ("a line feed after", format!("{good}\n"), "TN010"),
        ("padding", format!("{good}="), "TN010"),
        (
            "re-ordered",
            good.rsplit('.').collect::<Vec<_>>().join("."),
            "TN010",
        ),
        ("a megabyte", "x".repeat(1 << 20), "TN010"),
        ("not ASCII", format!("{good}é"), "TN010"),
        ("no JSON", signer.sign_raw("{", "{"), "TN010"),
        ("a list for a header", signer.sign_raw("[]", &body), "TN010"),
        ("a list for claims", raw_body("[]"), "TN010"),
        (
            "bytes after the claims",
            raw_body(&format!("{body} {{}}")),
            "TN010",
        ),
        (
            "deeply nested",
            raw_body(&format!("{{\"x\":{}}}", &deep[..3000])),
            "TN010",
        ),
        ("no alg", raw_header(json!({"kid": "k"})), "TN010"),
        (
            "alg none",
            raw_header(json!({"kid": "k", "alg": "none"})),
            "TN010",
        ),
        (
            "alg nOnE",
            raw_header(json!({"kid": "k", "alg": "nOnE"})),
            "TN010",
        ),
        (
            "alg a list",
            raw_header(json!({"kid": "k", "alg": ["HS256"]})),
            "TN010",
        ),
        (
            "alg hs256",
            raw_header(json!({"kid": "k", "alg": "hs256"})),
            "TN011",
        ),
        (
            "alg HS512",
            raw_header(json!({"kid": "k", "alg": "HS512"})),
            "TN011",
        ),
        (
            "alg RS256",
            raw_header(json!({"kid": "k", "alg": "RS256"})),
            "TN011",
        ),
        ("no kid", raw_header(json!({"alg": "HS256"})), "TN010"),
        (
            "kid null",
            raw_header(json!({"alg": "HS256", "kid": null})),
            "TN010",
        ),
        (
            "kid a number",
            raw_header(json!({"alg": "HS256", "kid": 1})),
            "TN010",
        ),
        (
            "kid empty",
            raw_header(json!({"alg": "HS256", "kid": ""})),
            "TN010",
        ),
        (
            "kid with NUL",
            raw_header(json!({"alg": "HS256", "kid": "k\0"})),
            "TN010",
        ),
        (
            "kid of 300 letters",
            raw_header(json!({"alg": "HS256", "kid": "k".repeat(300)})),
            "TN010",
        ),
        (
            "jwk",
            raw_header(json!({"alg": "HS256", "kid": "k", "jwk": signer.jwk()})),
            "TN010",
        ),
        (
            "jku",
            raw_header(json!({"alg": "HS256", "kid": "k", "jku": "https://evil.example"})),
            "TN010",
        ),
        (
            "jku null",
            raw_header(json!({"alg": "HS256", "kid": "k", "jku": null})),
            "TN010",
        ),
        (
            "x5u",
            raw_header(json!({"alg": "HS256", "kid": "k", "x5u": "https://evil.example"})),
            "TN010",
        ),
        (
            "x5c",
            raw_header(json!({"alg": "HS256", "kid": "k", "x5c": ["AAAA"]})),
            "TN010",
        ),
        (
            "crit",
            raw_header(json!({"alg": "HS256", "kid": "k", "crit": ["exp"], "exp": 1})),
            "TN010",
        ),
        (
            "b64",
            raw_header(json!({"alg": "HS256", "kid": "k", "b64": false})),
            "TN010",
        ),
        (
            "a logout token",
            raw_header(json!({"alg": "HS256", "kid": "k", "typ": "logout+jwt"})),
            "TN010",
        ),
        (
            "a proof of possession",
            raw_header(json!({"alg": "HS256", "kid": "k", "typ": "dpop+jwt"})),
            "TN010",
        ),
        (
            "an access token",
            raw_header(json!({"alg": "HS256", "kid": "k", "typ": "at+JWT"})),
            "good",
        ),
        (
            "kid twice",
            signer.sign_raw(r#"{"alg":"HS256","kid":"k","kid":"k"}"#, &body),
            "TN010",
        ),
        (
            "alg twice",
            signer.sign_raw(r#"{"alg":"HS256","alg":"HS256","kid":"k"}"#, &body),
            "TN010",
        ),
        (
            "a strange member twice",
            signer.sign_raw(r#"{"alg":"HS256","kid":"k","x":1,"x":1}"#, &body),
            "TN010",
        ),
        (
            "sub twice",
            raw_body(&body.replacen('{', r#"{"sub":"x","#, 1)),
            "TN010",
        ),
        (
            "exp twice",
            raw_body(&body.replacen('{', r#"{"exp":1,"#, 1)),
            "TN010",
        ),
        (
            "twice, escaped",
            raw_body(&body.replacen('{', r#"{"\u0065xp":1,"#, 1)),
            "TN010",
        ),
        (
            "twice, deep inside",
            raw_body(&body.replacen('{', r#"{"o":[{"id":1,"id":2}],"#, 1)),
            "TN010",
        ),
        (
            "exp as text",
            signer.sign(&with("exp", json!("4102444800"))),
            "TN010",
        ),
        (
            "exp negative",
            signer.sign(&with("exp", json!(-1))),
            "TN010",
        ),
        (
            "exp with a fraction",
            signer.sign(&with("exp", json!(1_900_000_000.5))),
            "TN010",
        ),
        (
            "exp as 1.9e9",
            raw_body(&body.replace(&format!("\"exp\":{}", NOW + 3600), "\"exp\":1.9e9")),
            "TN010",
        ),
        (
            "exp of 1e300",
            signer.sign(&with("exp", json!(1e300))),
            "TN010",
        ),
        (
            "exp beyond 63 bits",
            signer.sign(&with("exp", json!(u64::MAX))),
            "TN010",
        ),
        (
            "exp of 63 bits",
            signer.sign(&with("exp", json!(i64::MAX))),
            "good",
        ),
        (
            "exp beyond 64 bits",
            raw_body(&body.replace("\"exp\":", "\"exp\":99999999999999999999999,\"was\":")),
            "TN010",
        ),
        ("exp null", signer.sign(&with("exp", json!(null))), "TN010"),
        ("exp true", signer.sign(&with("exp", json!(true))), "TN010"),
        (
            "exp a list",
            signer.sign(&with("exp", json!([NOW + 60]))),
            "TN010",
        ),
        (
            "nbf as text",
            signer.sign(&with("nbf", json!("now"))),
            "TN010",
        ),
        ("nbf null", signer.sign(&with("nbf", json!(null))), "TN010"),
        (
            "iat negative",
            signer.sign(&with("iat", json!(-5))),
            "TN010",
        ),
        (
            "sub a number",
            signer.sign(&with("sub", json!(17))),
            "TN010",
        ),
        ("sub empty", signer.sign(&with("sub", json!(""))), "TN010"),
        (
            "sub with NUL",
            signer.sign(&with("sub", json!("a\0b"))),
            "TN010",
        ),
        (
            "iss a list",
            signer.sign(&with("iss", json!(["us"]))),
            "TN014",
        ),
        (
            "expired",
            signer.sign(&with("exp", json!(NOW - 31))),
            "TN012",
        ),
        (
            "expired a moment ago",
            signer.sign(&with("exp", json!(NOW - 29))),
            "good",
        ),
        (
            "expired at the start",
            signer.sign(&with("exp", json!(0))),
            "TN012",
        ),
        (
            "nbf in a minute",
            signer.sign(&with("nbf", json!(NOW + 60))),
            "TN013",
        ),
        (
            "nbf in a moment",
            signer.sign(&with("nbf", json!(NOW + 30))),
            "good",
        ),
        (
            "iat tomorrow",
            signer.sign(&with("iat", json!(NOW + 86400))),
            "TN013",
        ),
        (
            "iat at the end",
            signer.sign(&with("iat", json!(i64::MAX))),
            "TN013",
        ),
    ];
    for (name, token, expected) in table {
        assert_eq!(outcome(&token, &key(&signer)), expected, "{name}");
    }
}

#[test]
fn what_is_claimed_of_ids_is_an_id_or_nothing() {
    let signer = Signer::new("k", Algorithm::HS256);
    for bad in [json!(null), json!([]), json!("acme"), json!(1), json!({})] {
        let token = signer.sign(&with("tenantId", bad));
        let refusal = verified(&token, &signer).id("tenantId").expect_err("no id");
        assert_eq!(refusal.code, "TN010");
    }
    let token = signer.sign(&claims());
    assert_eq!(verified(&token, &signer).id("sid"), Ok(None));
}

#[test]
fn issuer_and_audience_are_compared_to_the_letter() {
    let signer = Signer::new("k", Algorithm::HS256);
    let rules = Rules {
        issuer: Some("https://idp.example/"),
        audience: Some("app"),
    };
    let code = |issuer: Value, audience: Value| {
        let mut claims = claims();
        claims["iss"] = issuer;
        claims["aud"] = audience;
        let token = signer.sign(&claims);
        Claimed::read(&token)
            .and_then(|claimed| claimed.verify(&key(&signer), &rules, NOW, &mut Seen::default()))
            .map_or_else(|refusal| refusal.code, |_| "good")
    };
    let issuer = json!("https://idp.example/");
    assert_eq!(code(issuer.clone(), json!("app")), "good");
    assert_eq!(code(issuer.clone(), json!(["other", "app"])), "good");
    assert_eq!(code(json!("https://idp.example"), json!("app")), "TN014");
    assert_eq!(code(json!(["https://idp.example/"]), json!("app")), "TN014");
    assert_eq!(code(json!(null), json!("app")), "TN014");
    assert_eq!(code(issuer.clone(), json!("App")), "TN014");
    assert_eq!(code(issuer.clone(), json!([["app"]])), "TN014");
    assert_eq!(code(issuer.clone(), json!({"app": 1})), "TN014");
    assert_eq!(code(issuer, json!([])), "TN014");
}

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

#[test]
fn a_path_leads_to_one_name_or_to_none() {
    let signer = Signer::new("k", Algorithm::HS256);
    let follow = |path: &[&str], name: &str, value: Value| {
        let token = signer.sign(&with(name, value));
        let path: Vec<_> = path.iter().map(|step| (*step).to_owned()).collect();
        match verified(&token, &signer).at(&path) {
            Ok(Some(name)) => name,
            Ok(None) => "nothing".to_owned(),
            Err(refusal) => refusal.code.to_owned(),
        }
    };
    assert_eq!(follow(&["org"], "org", json!("acme")), "acme");
    assert_eq!(follow(&["org"], "org", json!(42)), "42");
    assert_eq!(follow(&["org"], "other", json!("acme")), "nothing");
    assert_eq!(follow(&["o", "id"], "o", json!({"id": "org_1"})), "org_1");
    assert_eq!(
        follow(&["o", "*", "id"], "o", json!({"acme": {"id": "7"}})),
        "7"
    );
    assert_eq!(follow(&["o", "*"], "o", json!({"acme": {}})), "acme");
    assert_eq!(follow(&["o", "*"], "o", json!(["acme"])), "acme");
    assert_eq!(follow(&["o", "*", "id"], "o", json!([{"id": "7"}])), "7");
    for (path, value) in [
        (
            ["o", "*", "id"],
            json!({"acme": {"id": "7"}, "globex": {"id": "8"}}),
        ),
        (["o", "*", "id"], json!([{"id": "7"}, {"id": "8"}])),
        (["o", "*", "id"], json!({})),
        (["o", "*", "id"], json!([])),
        (["o", "*", "id"], json!({"acme": {}})),
        (["o", "*", "id"], json!({"acme": "7"})),
        (["o", "*", "id"], json!("7")),
        (["o", "a", "id"], json!({"a": {"id": null}})),
        (["o", "a", "id"], json!({"a": {"id": ["7"]}})),
        (["o", "a", "id"], json!({"a": {"id": ""}})),
        (["o", "a", "id"], json!({"a": {"id": "a\0"}})),
        (["o", "a", "id"], json!({"a": {"id": -1}})),
        (["o", "a", "id"], json!({"a": {"id": 1.5}})),
    ] {
        assert_eq!(follow(&path, "o", value.clone()), "TN010", "{value}");
    }
}

#[test]
fn an_address_counts_if_the_issuer_says_it_is_verified() {
    let signer = Signer::new("k", Algorithm::HS256);
    let address = |email: &str, said: Value| {
        let mut claims = claims();
        claims["email"] = json!(email);
        claims
            .as_object_mut()
            .expect("claims")
            .extend(said.as_object().expect("an object").clone());
        let token = signer.sign(&claims);
        verified(&token, &signer)
            .verified_email()
            .map(str::to_owned)
    };
    let ann = Some("ann@acme.example".to_owned());
    assert_eq!(
        address("ann@acme.example", json!({"email_verified": true})),
        ann
    );
    assert_eq!(
        address("ann@acme.example", json!({"emailVerified": true})),
        ann
    );
    for said in [
        json!({}),
        json!({"email_verified": false}),
        json!({"email_verified": "true"}),
        json!({"email_verified": 1}),
        json!({"email_verified": true, "emailVerified": false}),
        json!({"user_metadata": {"email_verified": true}}),
    ] {
        assert_eq!(address("ann@acme.example", said.clone()), None, "{said}");
    }
    // The Kelvin sign is a k in lower case.
    assert_eq!(
        address("\u{212a}im@acme.example", json!({"email_verified": true})),
        None
    );
}

#[test]
fn what_was_seen_counts_for_one_token_and_one_key() {
    let signer = Signer::new("k", Algorithm::ES256);
    let token = signer.sign(&claims());
    let mut seen = Seen::default();
    let verify = |token: &str, key: &Key, now: u64, seen: &mut Seen| {
        Claimed::read(token)
            .and_then(|claimed| claimed.verify(key, &Rules::default(), now, seen))
            .map_or_else(|refusal| refusal.code, |_| "good")
    };
    assert_eq!(verify(&token, &key(&signer), NOW, &mut seen), "good");
    assert_eq!(seen.len(), 1);
    assert_eq!(verify(&token, &key(&signer), NOW, &mut seen), "good");
    // The issuer has another key of that name now.
    let other = Signer::new("k", Algorithm::ES256);
    assert_eq!(verify(&token, &key(&other), NOW, &mut seen), "TN011");
    // Dates are looked at each time.
    assert_eq!(
        verify(&token, &key(&signer), NOW + 4000, &mut seen),
        "TN012"
    );
    // A bad signature leaves nothing.
    let bad = format!("{}AAAA", &token[..token.len() - 4]);
    assert_eq!(verify(&bad, &key(&signer), NOW, &mut seen), "TN011");
    assert_eq!(seen.len(), 1);
}

#[test]
fn what_was_seen_does_not_grow_without_end() {
    let signer = Signer::new("k", Algorithm::EdDSA);
    let key = key(&signer);
    let mut seen = Seen::default();
    for i in 0..3000 {
        let token = format!("token {i}");
        seen.remember(&token, &key, NOW + 60, NOW);
        assert!(seen.is_good(&token, &key, NOW + 60, NOW));
    }
    assert_eq!(seen.len(), 1024);
    assert!(!seen.is_good("token 0", &key, NOW + 60, NOW));
    seen.remember("later", &key, NOW + 600, NOW + 100);
    assert_eq!(seen.len(), 1);
}
