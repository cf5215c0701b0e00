//! A new customer registers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use crate::app::App;
use crate::body::JsonBody;
use crate::db::Db;
use crate::fields::Fields;
use crate::problem::Result;

#[derive(Serialize)]
pub struct Registered {
    tenant: Tenant,
    user: User,
}

#[derive(Serialize)]
struct Tenant {
    id: Uuid,
    name: String,
    slug: String,
}

#[derive(Serialize)]
struct User {
    id: Uuid,
    email: String,
}

/// `POST /tenants/register`: a tenant, and its first user as owner. All or nothing.
pub async fn register(
    State(app): State<App>,
    db: Db,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<Registered>)> {
    let mut fields = Fields::of(&body)?;
    let name = fields.text("tenantName");
    let slug = fields.optional_text("slug");
    let email = fields.text("email");
    let password = fields.new_password("password");
    // Before the hash, which is the dear part.
    fields.done()?;

    let hash = app.passwords().hash(password).await?;
    let made = db.register_tenant(name, slug, email, hash).await?;
    Ok((
        StatusCode::CREATED,
        Json(Registered {
            tenant: Tenant {
                id: made.tenant_id,
                name: made.name,
                slug: made.slug,
            },
            user: User {
                id: made.user_id,
                email: made.email,
            },
        }),
    ))
}
