//! Keys change while people work: of the service, and of an identity provider.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Api, Database, KeyPair, Person};
use tokio_postgres::Client;

async fn add_key(dba: &Client, key: &KeyPair) {
    let add =
        "select tenancy.add_signing_key(key => $1, kid => $2, algorithm => $3, status => 'next')";
    let public = key.public.to_string();
    dba.execute(add, &[&public, &key.kid, &key.algorithm])
        .await
        .unwrap();
}

async fn with_key(dba: &Client, function: &str, kid: &str) {
    let call = format!("select tenancy.{function}($1)");
    dba.execute(&call, &[&kid]).await.unwrap();
}

fn kid_of(person: &Person<'_>) -> String {
    jsonwebtoken::decode_header(&person.token)
        .unwrap()
        .kid
        .unwrap()
}

/// Waits until a login at each of these is signed with that key.
async fn all_sign_with(apis: &[&Api], email: &str, kid: &str) {
    for api in apis {
        for _ in 0..300 {
            if kid_of(&api.person(email).await) == kid {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(kid_of(&api.person(email).await), kid);
    }
}

/// A client who works without pause, with tokens that are good, and notes what is refused.
async fn work(api: &Api, email: &str, stop: &AtomicBool, worked: &AtomicUsize) -> Vec<String> {
    let mut refused = Vec::new();
    let mut person = api.person(email).await;
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let answer = person.get("/tasks").await;
        if answer.status != 200 {
            refused.push(format!("{} {}", kid_of(&person), answer.text()));
        }
        // As clients do, it refreshes; and sometimes logs in anew.
        let next = match turn % 10 {
            9 => api.login(email).await,
            4 => person.refresh().await,
            _ => continue,
        };
        worked.fetch_add(1, Ordering::Relaxed);
        if next.status == 200 {
            person = api.person_of(&next);
        } else {
            refused.push(next.text());
        }
    }
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_under_load_and_no_good_token_is_refused() {
    let database = Database::new().await;
    let dba = database.superuser().await;
    let file = database.file("keys.json");
    let write = |keys: &[&KeyPair]| {
        let keys: Vec<&Value> = keys.iter().map(|key| &key.private).collect();
        std::fs::write(&file, json!({"keys": keys}).to_string()).unwrap();
    };
    write(&[]);
    let start = async || {
        let settings = Api::on(&database)
            .set("JWT_KEYS_FILE", &file.display().to_string())
            .set("KEYS_REFRESH", "200ms")
            .set("REFRESH_LIMIT_TOKEN", "off");
        settings.start().await
    };
    let (one, two) = (start().await, start().await);
    let alice = one.owner_of("Acme").await;
    let email = alice.email.as_str();
    let first = kid_of(&alice);
    let keys = [
        KeyPair::es256("k2"),
        KeyPair::eddsa("k3"),
        KeyPair::es256("k4"),
    ];

    let stop = AtomicBool::new(false);
    let worked = [const { AtomicUsize::new(0) }; 3];
    let rotate = async {
        let mut old = first.clone();
        let mut held: Vec<&KeyPair> = Vec::new();
        for key in &keys {
            add_key(&dba, key).await;
            held.push(key);
            write(&held);
            // The other one is late with its file: it can't sign with the key yet, but is not put out.
            tokio::time::sleep(Duration::from_millis(600)).await;
            with_key(&dba, "activate_signing_key", &key.kid).await;
            all_sign_with(&[&one, &two], email, &key.kid).await;
            // Until nobody has a token of the old key any more.
            for worked in &worked {
                let before = worked.load(Ordering::Relaxed);
                while worked.load(Ordering::Relaxed) < before + 5 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            with_key(&dba, "retire_signing_key", &old).await;
            held.retain(|one| one.kid != old);
            write(&held);
            tokio::time::sleep(Duration::from_millis(600)).await;
            old = key.kid.clone();
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (refused, more, others, _) = tokio::join!(
        work(&one, email, &stop, &worked[0]),
        work(&two, email, &stop, &worked[1]),
        work(&two, email, &stop, &worked[2]),
        rotate,
    );
    assert_eq!([refused, more, others].concat(), Vec::<String>::new());

    // And what was signed with a key that is retired is refused, whatever its dates.
    let old = alice.get("/tasks").await;
    assert_eq!(old.with_status(401).code(), "TN011");
    let log = one.log() + &two.log();
    assert!(log.contains("another key signs now"), "{log}");
    for key in &keys {
        let secret = key.private["d"].as_str().unwrap();
        assert!(!log.contains(secret) && !database.cluster.log().contains(secret));
    }
}

#[tokio::test]
async fn a_key_that_is_retired_in_haste_leaves_logins_possible() {
    let database = Database::new().await;
    let dba = database.superuser().await;
    let key = KeyPair::eddsa("k2");
    let file = database.file("keys.json");
    std::fs::write(&file, json!({"keys": [key.private]}).to_string()).unwrap();
    // It doesn't look by itself.
    let api = Api::on(&database)
        .set("JWT_KEYS_FILE", &file.display().to_string())
        .set("KEYS_REFRESH", "1h");
    let api = api.start().await;
    let alice = api.owner_of("Acme").await;
    add_key(&dba, &key).await;
    with_key(&dba, "activate_signing_key", "k2").await;
    with_key(&dba, "retire_signing_key", &kid_of(&alice)).await;
    let again = api.person(&alice.email).await;
    assert_eq!(kid_of(&again), "k2");
    again.get("/tasks").await.with_status(200);
}

#[tokio::test]
async fn a_service_whose_keys_are_all_unknown_does_not_start() {
    let database = Database::new().await;
    let key = KeyPair::es256("unknown");
    let file = database.file("keys.json");
    std::fs::write(&file, json!({"keys": [key.private]}).to_string()).unwrap();
    let mut api = Api::on(&database)
        .set("JWT_SECRET", "")
        .set("JWT_KEYS_FILE", &file.display().to_string())
        .spawn();
    assert!(!api.has_ended().await.success());
    assert!(
        api.log()
            .contains("knows none of this service's signing keys"),
        "{}",
        api.log()
    );
}

/// An identity provider elsewhere, with the keys that it shows at this moment.
struct Provider {
    url: String,
    keys: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    async fn new() -> Self {
        let keys: Arc<Mutex<Option<Value>>> = Arc::default();
        let asked: Arc<AtomicUsize> = Arc::default();
        let show = {
            let (keys, asked) = (keys.clone(), asked.clone());
            async move || {
                asked.fetch_add(1, Ordering::Relaxed);
                match &*keys.lock().unwrap() {
                    Some(keys) => (StatusCode::OK, json!({"keys": keys}).to_string()),
                    None => (StatusCode::BAD_GATEWAY, "<html>".to_owned()),
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let router = Router::new().route("/jwks", get(show));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, keys, asked }
    }

    fn shows(&self, keys: &[&KeyPair]) {
        let keys: Vec<&Value> = keys.iter().map(|key| &key.public).collect();
        *self.keys.lock().unwrap() = Some(json!(keys));
    }
}

#[tokio::test]
async fn tokens_of_an_identity_provider_are_good_as_long_as_it_shows_their_key() {
    const ISSUER: &str = "https://id.acme.example/";
    let database = Database::new().await;
    let dba = database.superuser().await;
    let provider = Provider::new().await;
    let api = Api::on(&database)
        .set("KEYS_REFRESH", "200ms")
        .set("JWKS_REFRESH", "1s");
    let api = api.start().await;
    let alice = api.owner_of("Acme").await;
    alice.has_task("Of Acme").await;
    let add = "select tenancy.add_issuer(issuer => $1, audience => 'tasks', jwks_url => $2, tenant_claim => '{org,id}')";
    dba.execute(add, &[&ISSUER, &provider.url]).await.unwrap();
    let link = "select tenancy.link_identity($1, 'auth|alice', $2)";
    dba.execute(link, &[&ISSUER, &alice.email]).await.unwrap();

    let (old, new) = (KeyPair::es256("old"), KeyPair::eddsa("new"));
    let now = tests::token_now();
    let claims = json!({"iss": ISSUER, "aud": "tasks", "sub": "auth|alice",
        "org": {"id": alice.tenant_id}, "iat": now, "exp": now + 600});
    let get =
        async |token: &str| Answer::to(api.request(Method::GET, "/tasks").bearer_auth(token)).await;
    let becomes = async |token: &str, status: u16| {
        for _ in 0..300 {
            let answer = get(token).await;
            if answer.status == status {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not {status}: {}\n{}", get(token).await.text(), api.log());
    };
    let (of_old, of_new) = (old.sign(&claims), new.sign(&claims));

    // The provider is away at first: nothing is known, and it is asked again.
    while provider.asked.load(Ordering::Relaxed) < 1 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    get(&of_old).await.is_problem(401);
    provider.shows(&[&old]);
    assert_eq!(becomes(&of_old, 200).await.titles(), ["Of Acme"]);
    get(&of_new).await.is_problem(401);
    provider.shows(&[&old, &new]);
    becomes(&of_new, 200).await;
    get(&of_old).await.with_status(200);
    provider.shows(&[&new]);
    becomes(&of_old, 401).await;
    get(&of_new).await.with_status(200);

    // What it sends that is no key set changes nothing.
    *provider.keys.lock().unwrap() = Some(json!("nonsense"));
    let before = provider.asked.load(Ordering::Relaxed);
    while provider.asked.load(Ordering::Relaxed) == before {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    get(&of_new).await.with_status(200);

    // Somebody from there has no password here, whatever their token says.
    let mut forged = claims.clone();
    forged["sub"] = alice.user_id.clone().into();
    let body = json!({"oldPassword": "password123", "newPassword": "password456"});
    for token in [&of_new, &new.sign(&forged)] {
        let request = api.request(Method::POST, "/auth/password").json(&body);
        let refused = Answer::to(request.bearer_auth(token)).await;
        refused.is_problem(403);
    }
    let mut elsewhere = claims.clone();
    elsewhere["aud"] = "other".into();
    get(&new.sign(&elsewhere)).await.is_problem(401);
    let mut nobody = claims.clone();
    nobody["sub"] = "auth|nobody".into();
    assert_eq!(
        get(&new.sign(&nobody)).await.with_status(403).code(),
        "TN021"
    );
}
