//! A person logs in, stays logged in, and goes to another of their tenants.

use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::app::App;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::db::{Db, Session};
use crate::fields::Fields;
use crate::origin::Origin;
use crate::problem::{Problem, Result};
use crate::tenant::NamedTenant;
use crate::token::Subject;

/// The names of RFC 6749 in snake case, as OAuth clients expect them.
#[derive(Serialize)]
pub struct Login {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: String,
    refresh_expires_in: u64,
    session_id: Uuid,
    user: User,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenants: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: Uuid,
    email: String,
    tenant_id: Uuid,
}

/// `POST /auth/login`: a session in the tenant that was named, or in the person's oldest active one.
///
/// The request may name the tenant in place of the body, but no other than the body.
/// An unknown email and a wrong password are answered with the same words after the same
/// time: one look-up, one comparison, with a stand-in where there is nobody to compare with.
pub async fn login(
    State(app): State<App>,
    named: NamedTenant,
    origin: Origin,
    JsonBody(body): JsonBody,
) -> Result<Json<Login>> {
    let mut fields = Fields::of(&body)?;
    let email = fields.text("email");
    let password = fields.text("password");
    let tenant = fields.optional_text("tenant");
    fields.done()?;
    let tenant = named.or(tenant)?;
    app.limiter().login.account(&origin.address, &email)?;

    let db = Db::of(&app)?;
    let found = db.find_credentials(email).await?;
    let stored = found
        .as_ref()
        .and_then(|person| person.password_hash.as_deref());
    let is_right = app.passwords().verify(password, stored).await?;
    let (Some(person), true) = (found, is_right) else {
        return Err(Problem::invalid_credentials());
    };

    let lifetime = app.lifetimes().session;
    let session = db
        .start_session(person.user_id, person.email, tenant, origin, lifetime)
        .await?;
    answer(&app, session)
}

/// `POST /auth/refresh`: the next access and refresh token of a session. The one that was
/// used is used up; used again, it ends the session.
pub async fn refresh(
    State(app): State<App>,
    origin: Origin,
    JsonBody(body): JsonBody,
) -> Result<Json<Login>> {
    let mut fields = Fields::of(&body)?;
    let refresh_token = fields.text("refresh_token");
    fields.done()?;
    app.limiter()
        .refresh
        .token(&origin.address, &refresh_token)?;

    let session = Db::of(&app)?.refresh_session(refresh_token).await?;
    answer(&app, session)
}

/// `POST /auth/switch`: a session in another tenant of the caller's. The one there is goes on.
pub async fn switch(
    State(app): State<App>,
    caller: Caller,
    db: Db,
    origin: Origin,
    JsonBody(body): JsonBody,
) -> Result<Json<Login>> {
    let mut fields = Fields::of(&body)?;
    let tenant = fields.text("tenant");
    fields.done()?;

    let lifetime = app.lifetimes().session;
    let session = db.switch_tenant(caller, tenant, origin, lifetime).await?;
    answer(&app, session)
}

fn answer(app: &App, session: Session) -> Result<Json<Login>> {
    let failed =
        |error: &dyn std::fmt::Display| Problem::internal(format!("can't answer a login: {error}"));
    let token = app.tokens().sign(&Subject {
        user_id: session.user_id,
        tenant_id: session.tenant_id,
        session_id: session.session_id,
        email: &session.email,
        role: &session.role,
    });
    let tenants = session.tenants.map(|tenants| tenants.into_raw());
    let left = session.refresh_expires_at.duration_since(SystemTime::now());
    Ok(Json(Login {
        access_token: token.map_err(|error| failed(&error))?,
        token_type: "Bearer",
        expires_in: app.tokens().lifetime().as_secs(),
        refresh_token: session.refresh_token,
        refresh_expires_in: left.unwrap_or_default().as_secs(),
        session_id: session.session_id,
        user: User {
            id: session.user_id,
            email: session.email,
            tenant_id: session.tenant_id,
        },
        tenants: tenants.transpose().map_err(|error| failed(&error))?,
    }))
}
