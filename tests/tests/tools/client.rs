//! A client in TypeScript, made from the description by a common generator, compiles
//! without a doubt left and goes through the walk.

use std::process::Command;

use tests::World;

use crate::tool::{node_workshop, succeeds};

#[tokio::test]
#[ignore = "needs packages of npm: `make test` sets them up"]
async fn a_generated_client_compiles_and_walks() {
    let (world, _mailbox) = World::with_samples().await;
    let workshop = node_workshop(&world);
    let program = |name: &str| {
        let mut program = Command::new(workshop.join("node_modules/.bin").join(name));
        program.current_dir(&workshop);
        program
    };

    let mut generate = program("openapi-typescript");
    generate
        .arg(format!("{}/openapi.json", world.api.url))
        .args(["-o", "api.d.ts"]);
    succeeds(generate).await;
    let mut compile = program("tsc");
    compile.args(["-p", "."]);
    succeeds(compile).await;

    let mut walk = Command::new("node");
    walk.arg("build/walk.js")
        .current_dir(&workshop)
        .env("API", &world.api.url);
    succeeds(walk).await;
}
