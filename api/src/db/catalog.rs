//! What is exposed: asked for, and heard of when it changes.

use std::future::{pending, poll_fn};

use tokio_postgres::AsyncMessage;
use tokio_postgres::types::Type;

use super::{Call, Failure, Json, Pool};

const RESOURCES: &str = "select resources from tenancy.newer_resources($1) as r (resources)";
/// On a connection of its own: a connection that listens may not enter a tenant.
const LISTEN: &str = "listen pg_tenancy_resources";

impl Pool {
    /// What is exposed; `None` while that is what this version says.
    pub async fn resources(&self, known_version: String) -> Result<Option<Json>, Failure> {
        let call = Call::new(RESOURCES).with(Type::TEXT, known_version);
        let row = self.optional_row(call).await?;
        row.map(|row| row.try_get(0).map_err(Failure::Query))
            .transpose()
    }

    /// Calls `changed` when it has begun to listen, and with every change that somebody
    /// announces from then on. Ends when its connection does.
    pub async fn listen(&self, changed: impl Fn()) -> Result<(), tokio_postgres::Error> {
        let (client, mut connection) = self.connect().await?;
        let heard = async {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(_) = message? {
                    changed();
                }
            }
            Ok(())
        };
        let begun = async {
            client.batch_execute(LISTEN).await?;
            // What happened before can't be heard any more.
            changed();
            pending().await
        };
        tokio::select! {
            ended = heard => ended,
            failed = begun => failed,
        }
    }
}
