//! Tokens of a wrong shape, each with its code.

use super::*;

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
