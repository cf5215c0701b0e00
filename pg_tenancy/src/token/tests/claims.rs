//! What a good token says, and how far it is believed.

use super::*;

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
