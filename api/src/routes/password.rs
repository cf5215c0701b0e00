//! A person changes their password, or has forgotten it.

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;
use crate::body::JsonBody;
use crate::caller::Caller;
use crate::db::Db;
use crate::fields::Fields;
use crate::mail::{Kind, Mail};
use crate::origin::Origin;
use crate::problem::{Problem, Result};

/// `POST /auth/password`: a new password, for who knows the old one. All sessions end.
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    db: Db,
    origin: Origin,
    JsonBody(body): JsonBody,
) -> Result<StatusCode> {
    let mut fields = Fields::of(&body)?;
    let old = fields.text("oldPassword");
    let new = fields.new_password("newPassword");
    fields.done()?;

    // Our word will name the person, so it must be one whom we named before.
    let person = caller.person().ok_or_else(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Only who has logged in here has a password here.",
        )
    })?;
    let stored = db.find_password_hash(caller).await?;
    // By what is guessed at: a stolen token is no way around the limit of the login.
    let guessed = stored.as_deref().unwrap_or_default();
    app.limiter().login.token(&origin.address, guessed)?;
    if !app.passwords().verify(old, stored.as_deref()).await? {
        return Err(Problem::bad_field("oldPassword", "is not the password"));
    }
    let hash = app.passwords().hash(new).await?;
    db.change_password(person, hash).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /auth/password/forgot`: a mail to that address, if somebody has it. The answer
/// comes before anybody has looked.
pub async fn forgot(
    State(app): State<App>,
    origin: Origin,
    JsonBody(body): JsonBody,
) -> Result<StatusCode> {
    let mut fields = Fields::of(&body)?;
    let email = fields.text("email");
    fields.done()?;
    app.limiter().reset.account(&origin.address, &email)?;

    let db = Db::of(&app)?;
    app.mailer().check()?;
    let work = mail_reset(app.clone(), db, email);
    if !app.resets().put(work) {
        tracing::warn!("too many password resets at once: one was not done");
    }
    Ok(StatusCode::ACCEPTED)
}

async fn mail_reset(app: App, db: Db, email: String) {
    let lifetime = app.lifetimes().reset;
    let done = async {
        let place = app.mailer().place()?;
        if let Some(reset) = db.start_password_reset(email, lifetime).await? {
            place.send(Mail {
                kind: Kind::PasswordReset,
                email: reset.email,
                token: reset.token,
                expires_at: reset.expires_at,
                tenant_name: None,
                role: None,
            });
        }
        Ok::<_, Problem>(())
    };
    if let Err(problem) = done.await {
        let (code, reason) = (&*problem.code, problem.reason.as_deref());
        tracing::error!(code, reason, "a password reset could not be started");
    }
}

/// `POST /auth/password/reset`: a new password, for who has the token of the mail. All sessions end.
pub async fn reset(
    State(app): State<App>,
    origin: Origin,
    JsonBody(body): JsonBody,
) -> Result<StatusCode> {
    let mut fields = Fields::of(&body)?;
    let token = fields.text("token");
    let password = fields.new_password("password");
    fields.done()?;
    app.limiter().reset.token(&origin.address, &token)?;

    let db = Db::of(&app)?;
    let hash = app.passwords().hash(password).await?;
    db.finish_password_reset(token, hash).await?;
    Ok(StatusCode::NO_CONTENT)
}
