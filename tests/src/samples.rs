//! A DBA's own tables, exposed: something of each kind that the service describes.

use crate::{Api, ApiSettings, Database, Mailbox, World};

const EXPOSED: &str = include_str!("../samples/exposed.sql");

impl World {
    /// A world with these, and an API that mails.
    pub async fn with_samples() -> (Self, Mailbox) {
        Self::with_samples_and(|settings| settings).await
    }

    /// The same, with settings of the API.
    pub async fn with_samples_and(
        settings: impl FnOnce(ApiSettings) -> ApiSettings,
    ) -> (Self, Mailbox) {
        let mailbox = Mailbox::new().await;
        let database = Database::new().await;
        let dba = database.superuser().await;
        dba.batch_execute(EXPOSED)
            .await
            .expect("the samples can be exposed");
        let api = settings(Api::on(&database).mails_to(&mailbox));
        let api = api.start().await;
        (Self { api, database }, mailbox)
    }
}
