//! Crowds: thousands of connections that ask for nothing, and more than there may be.

use std::time::Duration;

use tests::{Api, Database, Raw};

const CROWD: usize = 5_000;

/// For each connection that does nothing, at most.
const KIB_EACH: usize = 48;

#[tokio::test]
async fn five_thousand_idle_connections_cost_little_and_hold_up_nobody() {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(
        files > CROWD as u64 + 500,
        "this test needs more open files than {files}"
    );
    let database = Database::new().await;
    let api = Api::on(&database).set("HEADER_TIMEOUT", "1h").start().await;
    let alice = api.owner_of("Acme").await;
    for _ in 0..50 {
        alice.has_task("Before").await;
    }
    let before = api.memory_kib();
    // Each crowd finds the memory of the one before it.
    for round in 1..=4 {
        let mut crowd = Vec::new();
        for one in 0..CROWD {
            // Some have had an answer, some have begun a request, some have done nothing.
            crowd.push(match one % 3 {
                0 => {
                    let mut connection = Raw::connects(&api).await;
                    connection.asks_for_health().await;
                    connection
                }
                1 => Raw::begins(&api, b"GET /tasks HTTP/1.1\r\nHost: x\r\nX-Slow: ").await,
                _ => Raw::connects(&api).await,
            });
        }
        while api.connections() < CROWD {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        alice.has_task("Among five thousand").await;
        let at = api.memory_kib();
        drop(crowd);
        while api.connections() > 100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        alice.has_task("After").await;
        let after = api.memory_kib();
        println!(
            "resident, round {round}: {before} KiB at first, {at} KiB with {CROWD} connections, {after} KiB after"
        );
        assert!(
            at.saturating_sub(before) < CROWD * KIB_EACH,
            "{before} KiB, then {at} KiB"
        );
    }
}

#[tokio::test]
async fn more_than_the_most_wait_for_a_place() {
    let database = Database::new().await;
    let api = Api::on(&database).set("HEADER_TIMEOUT", "1h");
    let api = api.set("MAX_CONNECTIONS", "20").start().await;
    let mut crowd = Vec::new();
    while crowd.len() < 19 {
        let mut connection = Raw::connects(&api).await;
        connection.asks_for_health().await;
        crowd.push(connection);
    }
    // The twentieth is that of the test's own client, which asked whether the API is ready.
    let request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut late = Raw::begins(&api, request).await;
    for connection in &mut crowd {
        connection.asks_for_health().await;
        assert!(late.has_no_answer());
    }
    drop(crowd.pop());
    late.is_answered().await;
}
