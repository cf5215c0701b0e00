//! Somebody else's validator finds no fault with the description.

use tests::World;

use crate::tool::{python, succeeds, workshop};

async fn is_valid(style: &str) {
    let (world, _mailbox) =
        World::with_samples_and(|settings| settings.set("RESPONSE_STYLE", style)).await;
    let mut validate = python("python");
    validate
        .arg("validate.py")
        .arg(format!("{}/openapi.json", world.api.url))
        .current_dir(workshop(&world, "openapi"));
    succeeds(validate).await;
}

#[tokio::test]
#[ignore = "needs openapi-spec-validator: `make test` sets it up"]
async fn the_description_is_valid_and_so_are_its_examples() {
    is_valid("plain").await;
}

#[tokio::test]
#[ignore = "needs openapi-spec-validator: `make test` sets it up"]
async fn the_description_of_envelopes_is_valid_too() {
    is_valid("envelope").await;
}
