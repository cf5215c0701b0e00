//! A person logs in and gets a token.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::app::App;
use crate::body::JsonBody;
use crate::db::Db;
use crate::fields::Fields;
use crate::problem::{Problem, Result};
use crate::token::Subject;

/// The names of RFC 6749 in snake case, as OAuth clients expect them.
#[derive(Serialize)]
pub struct Login {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    user: User,
    tenants: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: Uuid,
    email: String,
    tenant_id: Uuid,
}

/// `POST /auth/login`: a token for the tenant that was named, or for the person's oldest active one.
///
/// An unknown email and a wrong password are answered with the same words after the same
/// time: one look-up, one comparison, with a stand-in where there is nobody to compare with.
pub async fn login(
    State(app): State<App>,
    db: Db,
    JsonBody(body): JsonBody,
) -> Result<Json<Login>> {
    let mut fields = Fields::of(&body)?;
    let email = fields.text("email");
    let password = fields.text("password");
    let tenant = fields.optional_text("tenant");
    fields.done()?;

    let found = db.find_credentials(email).await?;
    let stored = found
        .as_ref()
        .and_then(|person| person.password_hash.as_deref());
    let is_right = app.passwords().verify(password, stored).await?;
    let (Some(person), true) = (found, is_right) else {
        return Err(Problem::invalid_credentials());
    };

    let failed =
        |error: &dyn std::fmt::Display| Problem::internal(format!("can't answer a login: {error}"));
    let word = app
        .tokens()
        .sign_for_session(person.user_id)
        .map_err(|error| failed(&error))?;
    let session = db.start_session(word, tenant).await?;
    let token = app
        .tokens()
        .sign(&Subject {
            user_id: person.user_id,
            tenant_id: session.tenant_id,
            email: &person.email,
            role: &session.role,
        })
        .map_err(|error| failed(&error))?;
    Ok(Json(Login {
        access_token: token,
        token_type: "Bearer",
        expires_in: app.tokens().lifetime().as_secs(),
        user: User {
            id: person.user_id,
            email: person.email,
            tenant_id: session.tenant_id,
        },
        tenants: session.tenants.into_raw().map_err(|error| failed(&error))?,
    }))
}
