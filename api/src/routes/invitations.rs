//! Invitations into a tenant. Their tokens are mailed, and never answered.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::app::App;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::db::Db;
use crate::fields::Fields;
use crate::mail::{Kind, Mail};
use crate::origin::Origin;
use crate::page::Page;
use crate::path::PathId;
use crate::problem::Result;
use crate::query;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invited {
    id: Uuid,
    email: String,
    role: String,
    expires_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    email: String,
    role: String,
    tenant_name: String,
    expires_at: String,
    has_account: bool,
}

#[derive(Serialize)]
pub struct Accepted {
    user: User,
    role: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct User {
    id: Uuid,
    email: String,
    tenant_id: Uuid,
}

/// `GET /invitations`: those of the caller's tenant.
pub async fn list(caller: Caller, db: Db, RawQuery(raw): RawQuery) -> Result<Page> {
    let query = query::parse(raw.as_deref().unwrap_or_default())?;
    db.list_invitations(caller, query).await.map(Page)
}

/// `POST /invitations`: invite somebody, by a mail.
pub async fn invite(
    State(app): State<App>,
    caller: Caller,
    db: Db,
    origin: Origin,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Invited>)> {
    let mut fields = Fields::of(&body)?;
    let email = fields.text("email");
    let role = fields.text("role");
    fields.done()?;
    app.limiter().invitation.account(&origin.address, &email)?;

    // First, so that there is no invitation that nobody hears of.
    let place = app.mailer().place()?;
    let lifetime = app.lifetimes().invitation;
    let made = db.invite_member(caller, email, role, lifetime).await?;
    let invited = Invited {
        id: made.id,
        email: made.email.clone(),
        role: made.role.clone(),
        expires_at: humantime::format_rfc3339_micros(made.expires_at).to_string(),
    };
    place.send(Mail {
        kind: Kind::Invitation,
        email: made.email,
        token: made.token,
        expires_at: made.expires_at,
        tenant_name: Some(made.tenant_name),
        role: Some(made.role),
    });
    Ok((StatusCode::CREATED, Json(invited)))
}

/// `DELETE /invitations/{id}`: take an invitation back.
pub async fn revoke(caller: Caller, db: Db, PathId(id): PathId) -> Result<StatusCode> {
    db.revoke_invitation(caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /invitations/peek`: what an invitation says, for the page that shows it.
pub async fn peek(
    State(app): State<App>,
    origin: Origin,
    JsonBody(body): JsonBody,
) -> Result<Json<Invitation>> {
    let mut fields = Fields::of(&body)?;
    let token = fields.text("token");
    fields.done()?;
    app.limiter().invitation.token(&origin.address, &token)?;

    let found = Db::of(&app)?.peek_invitation(token).await?;
    Ok(Json(Invitation {
        email: found.email,
        role: found.role,
        tenant_name: found.tenant_name,
        expires_at: humantime::format_rfc3339_micros(found.expires_at).to_string(),
        has_account: found.has_account,
    }))
}

/// `POST /invitations/accept`: by who is logged in, or by a new person, who sets a password.
pub async fn accept(
    State(app): State<App>,
    caller: Option<Caller>,
    origin: Origin,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Accepted>)> {
    let mut fields = Fields::of(&body)?;
    let token = fields.text("token");
    let password = fields.optional_new_password("password");
    fields.done()?;
    app.limiter().invitation.token(&origin.address, &token)?;

    let db = Db::of(&app)?;
    let hash = match password {
        Some(password) => Some(app.passwords().hash(password).await?),
        None => None,
    };
    let member = db.accept_invitation(token, caller, hash).await?;
    let accepted = Accepted {
        user: User {
            id: member.user_id,
            email: member.email,
            tenant_id: member.tenant_id,
        },
        role: member.role,
    };
    Ok((StatusCode::CREATED, Json(accepted)))
}
