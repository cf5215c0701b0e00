//! Which key makes a token good.

use super::*;

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
