//! The page at /docs in a browser.

use std::process::Command;

use tests::World;

use crate::tool::{node_workshop, succeeds};

#[tokio::test]
#[ignore = "needs Chromium and packages of npm: `make test` sets them up"]
async fn a_person_logs_in_and_reads_a_row_on_the_page() {
    let (world, _mailbox) = World::with_samples().await;
    let mut walk = Command::new("node");
    walk.arg("docs.mjs")
        .current_dir(node_workshop(&world))
        .env("API", &world.api.url);
    succeeds(walk).await;
}
