//! Hostile clients: each gets a clear refusal or none, and the others their answers.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::{Answer, Api, Database, Person, Raw, World};

/// A world whose API closes a connection soon on which nothing more is asked.
async fn world() -> World {
    let database = Database::new().await;
    let api = Api::on(&database).set("HEADER_TIMEOUT", "2s").start().await;
    World { api, database }
}

/// The service is alive, and the next request is as good as any.
async fn goes_on(person: &Person<'_>) {
    person.get("/me").await.with_status(200);
}

async fn posts(person: &Person<'_>, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = person.request(Method::POST, path);
    Answer::to(
        request
            .header("Content-Type", "application/json")
            .body(body),
    )
    .await
}

#[tokio::test]
async fn json_that_is_deep_is_refused_and_harms_nobody() {
    let world = world().await;
    let alice = world.api.owner_of("Acme").await;
    let task = alice.has_task("Plan").await;
    for depth in [100, 1_000, 100_000] {
        for (open, close) in [("[", "]"), ("{\"title\":", "}")] {
            let inside = if open == "[" { "" } else { "1" };
            let deep = open.repeat(depth) + inside + &close.repeat(depth);
            if deep.len() > 1024 * 1024 {
                continue;
            }
            for body in [
                deep.clone(),
                format!("{{\"title\":{deep}}}"),
                open.repeat(depth),
            ] {
                posts(&alice, "/tasks", body.clone()).await.is_problem(400);
                let request = alice.request(Method::PATCH, &format!("/tasks/{task}"));
                let request = request.header("Content-Type", "application/json");
                Answer::to(request.body(body.clone())).await.is_problem(400);
                for path in ["/auth/login", "/auth/refresh", "/tenants/register"] {
                    posts(&alice, path, body.clone()).await.is_problem(400);
                }
            }
        }
    }
    assert_eq!(alice.tasks().await, ["Plan"]);
}

#[tokio::test]
async fn a_name_that_is_given_twice_is_not_taken_for_one() {
    let world = world().await;
    let alice = world.api.owner_of("Acme").await;
    let twice = r#"{"title": "One", "title": "Other"}"#;
    let answer = posts(&alice, "/tasks", twice).await;
    answer.is_problem(400);
    let escaped = r#"{"title": "One", "\u0074itle": "Other"}"#;
    posts(&alice, "/tasks", escaped).await.is_problem(400);
    let login = format!(
        r#"{{"email": "{}", "password": "password123", "password": "x"}}"#,
        alice.email
    );
    posts(&alice, "/auth/login", login).await.is_problem(400);
    alice.get("/tasks?limit=1&limit=2").await.is_problem(400);
    assert!(alice.tasks().await.is_empty());
}

#[tokio::test]
async fn heads_that_are_too_long_are_refused() {
    let world = world().await;
    let alice = world.api.owner_of("Acme").await;
    let at = |request: String| Raw::sends(&world.api, request.into_bytes());
    let mebibyte = "x".repeat(1024 * 1024);
    assert_eq!(
        at(format!(
            "GET /me HTTP/1.1\r\nHost: x\r\nX-Long: {mebibyte}\r\n\r\n"
        ))
        .await
        .status(),
        431
    );
    assert_eq!(
        at(format!("GET /{mebibyte} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await
            .status(),
        431
    );
    let many: String = (0..200).map(|one| format!("X-{one}: x\r\n")).collect();
    assert_eq!(
        at(format!("GET /me HTTP/1.1\r\nHost: x\r\n{many}\r\n"))
            .await
            .status(),
        431
    );

    for path in [
        format!("/tasks?title={}", "x".repeat(9_000)),
        format!("/{}", "x".repeat(9_000)),
    ] {
        let answer = alice.get(&path).await;
        answer.is_problem(414);
        assert_eq!(answer.code(), "uri_too_long");
    }
    let ids = vec!["01890000-0000-7000-8000-000000000000"; 100].join(",");
    alice
        .get(&format!("/tasks?id[in]={ids}"))
        .await
        .with_status(200);
    goes_on(&alice).await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let world = world().await;
    let alice = world.api.owner_of("Acme").await;
    posts(&alice, "/tasks", &b"{\"title\":\"\xc3\x28\"}"[..])
        .await
        .is_problem(400);
    posts(&alice, "/tasks", &b"\xff\xfe{\0}\0"[..])
        .await
        .is_problem(400);
    alice.get("/tasks?title=%c3%28").await.is_problem(400);
    alice.get("/tasks/%c3%28").await.is_problem(400);
    let raw = |path: &[u8]| {
        let request = [
            b"GET ",
            path,
            b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ",
            alice.token.as_bytes(),
            b"\r\n\r\n",
        ];
        Raw::sends(&world.api, request.concat())
    };
    for path in [
        &b"/tasks/\xc3\x28"[..],
        b"/tasks?status=\xff",
        b"/t\xe4sks",
        b"/tasks\x01",
        b"*",
        b"tasks",
        b"",
    ] {
        let answer = raw(path).await;
        assert!(
            (400..500).contains(&answer.status()),
            "{path:?}: {answer:?}"
        );
    }
    goes_on(&alice).await;
}

#[tokio::test]
async fn a_path_is_found_as_it_is_written_or_not_at_all() {
    let world = world().await;
    let alice = world.api.owner_of("Acme").await;
    let task = alice.has_task("Plan").await;
    let answer = alice
        .get(&format!("/tasks/{}", task.replace('-', "%2D")))
        .await;
    assert_eq!(answer.with_status(200).json()["title"], "Plan");
    for path in [
        "/tasks%2F".to_owned() + &task,
        format!("/tasks/{task}%2F"),
        format!("/tasks/..%2Ftasks%2F{task}"),
        format!("/tasks//{task}"),
        "//tasks".to_owned(),
        "/tasks;a=b".to_owned(),
        "/tasks%00".to_owned(),
    ] {
        let answer = alice.get(&path).await;
        assert!(
            [400, 404].contains(&answer.status),
            "{path}: {}",
            answer.text()
        );
        answer.is_problem(answer.status);
    }
    // A route is its letters, as they stand. Clients would resolve the dots themselves.
    for path in ["/t%61sks", "/tasks/%2e%2e/me", "/tasks/../me", "/./tasks"] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
            alice.token
        );
        let answer = Raw::sends(&world.api, request.into_bytes()).await;
        assert_eq!(answer.status(), 404, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn numbers_that_are_absurd_are_refused() {
    let world = world().await;
    let alice = world.api.owner_of("Acme").await;
    alice.has_task("Plan").await;
    for value in [
        "-1",
        "0",
        "1e3",
        "0x10",
        "99999999999999999999999",
        "-9223372036854775809",
        "1%20",
        "NaN",
        "٣",
    ] {
        for name in ["page", "limit"] {
            let answer = alice.get(&format!("/tasks?{name}={value}")).await;
            assert_eq!(answer.status, 400, "{name}={value}: {}", answer.text());
        }
    }
    let far = alice
        .get("/tasks?page=1000000&limit=100")
        .await
        .with_status(200);
    assert!(far.titles().is_empty());
    goes_on(&alice).await;
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_read_in_none() {
    let world = world().await;
    let alice = world.api.owner_of("Acme").await;
    let hidden = "GET /me HTTP/1.1\r\nHost: x\r\n\r\n";
    let head = |more: &str| {
        format!(
            "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{more}\r\n"
        )
    };
    for request in [
        // Which of both says how long the body is?
        head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n" + hidden,
        head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\n" + hidden,
        head("Content-Length: 2\r\nContent-Length: 30\r\n") + "{}" + hidden,
        head("Content-Length: +2\r\n") + "{}" + hidden,
        head("Content-Length: -1\r\n") + hidden,
        head("Content-Length: 99999999999999999999999999\r\n") + hidden,
        head("Content-Length: 18446744073709551615\r\n") + hidden,
        head("Content-Length: 99999999999\r\n") + hidden,
        head("Transfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n" + hidden,
        head("Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n" + hidden,
        head("Transfer-Encoding : chunked\r\n") + "0\r\n\r\n" + hidden,
        head("Transfer-Encoding: chunked\r\n") + "fffffffffffffffff\r\n" + hidden,
        head("Content-Length: 2\r\n X: folded\r\n") + "{}" + hidden,
    ] {
        let answer = Raw::sends(&world.api, request.clone().into_bytes()).await;
        assert!(
            (400..500).contains(&answer.status()),
            "{request:?}: {answer:?}"
        );
        // The second request was never seen.
        assert_eq!(answer.count(), 1, "{request:?}: {answer:?}");
    }
    goes_on(&alice).await;
}

#[tokio::test]
async fn other_protocols_are_refused_and_older_ones_answered() {
    let world = world().await;
    let alice = world.api.owner_of("Acme").await;
    for preface in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f\r\n\r\n",
        b"GET /health HTTP/3.0\r\nHost: x\r\n\r\n",
        b"GET /health\r\n\r\n",
    ] {
        let answer = Raw::sends(&world.api, preface.to_vec()).await;
        assert!(answer.count() == 0 || answer.status() >= 400, "{answer:?}");
    }
    let old = Raw::sends(&world.api, b"GET /health HTTP/1.0\r\n\r\n".to_vec()).await;
    assert_eq!(old.status(), 200, "{old:?}");
    goes_on(&alice).await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_that_row() {
    let world = world().await;
    let (alice, bob) = (
        world.api.owner_of("Acme").await,
        world.api.owner_of("Globex").await,
    );
    alice.has_task("Alice's").await;
    bob.has_task("Bob's").await;
    let mut pipeline = String::new();
    for turn in 0..20 {
        let person = if turn % 2 == 0 { &alice } else { &bob };
        let token = &person.token;
        pipeline +=
            &format!("GET /tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    }
    pipeline += "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = Raw::sends(&world.api, pipeline.into_bytes()).await;
    assert_eq!(answer.count(), 21);
    let text = answer.text();
    let titles: Vec<_> = text
        .match_indices("\"title\":\"")
        .map(|(at, start)| text[at + start.len()..].chars().next().unwrap())
        .collect();
    assert_eq!(titles, ['A', 'B'].repeat(10));
}

#[tokio::test]
async fn who_never_finishes_a_request_is_let_go_and_nobody_waits_for_them() {
    let database = Database::new().await;
    let api = Api::on(&database).set("HEADER_TIMEOUT", "2s").start().await;
    let alice = api.owner_of("Acme").await;
    let mut slow = Vec::new();
    for _ in 0..500 {
        slow.push(Raw::begins(&api, b"GET /tasks HTTP/1.1\r\nHost: x\r\nX-Slow: ").await);
    }
    goes_on(&alice).await;
    for connection in &mut slow {
        // An error means that it is closed already.
        let _ = connection.adds(b"x").await;
    }
    alice.has_task("Meanwhile").await;
    for connection in slow {
        connection.is_closed().await;
    }
    goes_on(&alice).await;
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_let_go() {
    let database = Database::new().await;
    let api = Api::on(&database).set("WRITE_TIMEOUT", "1s").start().await;
    let alice = api.owner_of("Acme").await;
    let long = "x".repeat(900 * 1024);
    for _ in 0..20 {
        alice
            .post("/tasks", json!({"title": "Long", "description": long}))
            .await
            .with_status(201);
    }
    let connections = || api.connections();
    let before = connections();
    let request = format!(
        "GET /tasks?limit=20 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        alice.token
    );
    let unread = Raw::begins(&api, request.as_bytes()).await;
    while connections() <= before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..600 {
        if connections() <= before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(connections() <= before, "it is still held");
    drop(unread);
    goes_on(&alice).await;
}
