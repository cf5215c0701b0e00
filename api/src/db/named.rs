//! Calls of requests that name their tenant: they enter that one, or none.
//!
//! The tenant is a parameter more of `tenancy.enter`, so that it is still one statement.
//! A refusal is put on record by a second one, because the first was rolled back.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Call, Failure, Pool};

const BY_TOKEN: &str = "tenancy.enter($1)";
const ENTER: &str = "select tenancy.enter($1)";
const RECORD_DENIAL: &str = "select tenancy.record_denial($1, $2)";

/// The tenant that a caller names, with the caller's token.
#[derive(Clone)]
pub struct Named {
    pub token: String,
    pub tenant: String,
}

impl Call {
    /// The same call in the tenant that was named.
    fn in_named(mut self, named: &Named) -> Self {
        let place = self.types.len() + 1;
        let enter = format!("tenancy.enter($1, ${place})");
        self.statement = self.statement.replace(BY_TOKEN, &enter).into();
        self.with(Type::TEXT, named.tenant.clone())
    }
}

impl Pool {
    pub async fn rows(&self, mut call: Call) -> Result<Vec<Row>, Failure> {
        match call.named.take() {
            None => self.run(call).await,
            // In a box, because few callers name a tenant, and all would carry this along.
            Some(named) => Box::pin(self.rows_in_named(call, named)).await,
        }
    }

    async fn rows_in_named(&self, call: Call, named: Named) -> Result<Vec<Row>, Failure> {
        let answer = match call.statement.contains(BY_TOKEN) {
            true => self.run(call.in_named(&named)).await,
            false => self.run_in_own(call, &named).await,
        };
        if let Err(failure) = &answer
            && failure.sqlstate() == Some("TN026")
        {
            self.record(named).await;
        }
        answer
    }

    /// A call about the person or the session, which enters nothing: only if the tenant
    /// that was named is the one that the token leads to by itself.
    async fn run_in_own(&self, call: Call, named: &Named) -> Result<Vec<Row>, Failure> {
        let enter = Call::new(ENTER).with(Type::TEXT, named.token.clone());
        self.run(enter.in_named(named)).await?;
        self.run(call).await
    }

    /// For a call that acts in the token's own tenant, without entering: that is the one
    /// that was named, and not another that the token may choose.
    pub(super) async fn require_own(&self, call: &Call) -> Result<(), Failure> {
        let Some(named) = &call.named else {
            return Ok(());
        };
        let enter = || Call::new(ENTER).with(Type::TEXT, named.token.clone());
        let chosen = self.row(enter().in_named(named)).await?;
        let own = self.row(enter()).await?;
        let id = |row: &Row| row.try_get::<_, Uuid>(0).map_err(Failure::Query);
        match id(&chosen)? == id(&own)? {
            true => Ok(()),
            false => Err(Failure::AnotherTenant),
        }
    }

    async fn record(&self, named: Named) {
        let call = Call::new(RECORD_DENIAL)
            .with(Type::TEXT, named.token)
            .with(Type::TEXT, named.tenant);
        if let Err(failure) = self.run(call).await {
            tracing::warn!(
                sqlstate = failure.sqlstate(),
                "a refusal could not be put on record"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_is_the_last_parameter_of_the_same_statement() {
        let named = Named {
            token: "t".to_owned(),
            tenant: "acme".to_owned(),
        };
        for (by_token, in_named_one) in [
            (
                "select tenancy.enter($1), tenancy.f($2)",
                "select tenancy.enter($1, $3), tenancy.f($2)",
            ),
            (
                "select tenancy.f($2) from tenancy.enter($1)",
                "select tenancy.f($2) from tenancy.enter($1, $3)",
            ),
        ] {
            let call = Call::new(by_token)
                .with(Type::TEXT, "t")
                .with(Type::TEXT, "x")
                .in_named(&named);
            assert_eq!(call.statement, in_named_one);
            assert_eq!(call.types.len(), 3);
        }
    }
}
