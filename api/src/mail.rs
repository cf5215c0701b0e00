//! Invitations and password resets on their way to be mailed.
//!
//! The service sends no mail. It hands the one-time token to the operator's own mailer,
//! by a signed post, some more times if that fails. The token goes nowhere else: not
//! into an HTTP answer and not into the log, but where a developer asked for that.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::outbound::{Outbound, Target};
use crate::problem::{Problem, Result};
use crate::settings::{MailSettings, given};

/// Mails that may be under way; who wants to send another is told to come back.
const PLACES: u32 = 256;
/// Posts at once.
const POSTS: usize = 4;
/// Pauses between attempts, one fewer than attempts.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(30),
];

/// What the mailer is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mail {
    #[serde(rename = "type")]
    pub kind: Kind,
    pub email: String,
    pub token: String,
    #[serde(serialize_with = "rfc3339")]
    pub expires_at: SystemTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

#[derive(Clone, Copy, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Invitation,
    PasswordReset,
}

fn rfc3339<S: serde::Serializer>(
    time: &SystemTime,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_seconds(*time))
}

#[derive(Clone)]
pub struct Mailer {
    way: Option<Arc<Way>>,
    places: Arc<Semaphore>,
    posts: Arc<Semaphore>,
}

enum Way {
    Webhook {
        outbound: Outbound,
        target: Target,
        secret: Vec<u8>,
    },
    Log,
}

impl Mailer {
    /// Fails, with what to do about it, when the settings don't make sense together.
    pub fn new(
        settings: &MailSettings,
        outbound: &Outbound,
        listen: IpAddr,
    ) -> std::result::Result<Self, String> {
        let way = match (given(&settings.mail_webhook_url), settings.mail_to_log) {
            (None, false) => None,
            (Some(_), true) => {
                return Err("MAIL_TO_LOG and MAIL_WEBHOOK_URL are both set: choose one".to_owned());
            }
            (None, true) if !listen.is_loopback() => {
                return Err("MAIL_TO_LOG writes secrets into the log, so it is refused where LISTEN is not a loopback address; set MAIL_WEBHOOK_URL".to_owned());
            }
            (None, true) => Some(Way::Log),
            (Some(url), false) => {
                let target =
                    Target::new(url).map_err(|wrong| format!("MAIL_WEBHOOK_URL {wrong}"))?;
                let secret = settings.mail_webhook_secret.as_ref();
                let secret = secret.map_or("", |secret| secret.expose());
                if secret.len() < 16 {
                    return Err("MAIL_WEBHOOK_SECRET must be at least 16 bytes long, so that the mailer can tell who posts; make one with: openssl rand -base64 32".to_owned());
                }
                Some(Way::Webhook {
                    outbound: outbound.clone(),
                    target,
                    secret: secret.into(),
                })
            }
        };
        Ok(Self {
            way: way.map(Arc::new),
            places: Arc::new(Semaphore::new(PLACES as usize)),
            posts: Arc::new(Semaphore::new(POSTS)),
        })
    }

    /// Fails where nothing can be mailed at all: 503.
    pub fn check(&self) -> Result<()> {
        self.way.as_ref().map(drop).ok_or_else(no_mailer)
    }

    /// A place for one mail, to be taken before the token is made. 503 without a mailer,
    /// or when too much is under way.
    pub fn place(&self) -> Result<Place> {
        let way = self.way.clone().ok_or_else(no_mailer)?;
        let place = self.places.clone().try_acquire_owned();
        let place = place
            .map_err(|_| Problem::unavailable("busy", "Too many mails are waiting to be sent."))?;
        Ok(Place {
            way,
            posts: self.posts.clone(),
            _place: place,
        })
    }

    /// Waits until nothing is under way, for at most this long; tells how much is.
    pub async fn finish(&self, limit: Duration) -> usize {
        match timeout(limit, self.places.acquire_many(PLACES)).await {
            Ok(_) => 0,
            Err(_) => PLACES as usize - self.places.available_permits(),
        }
    }
}

fn no_mailer() -> Problem {
    Problem::unavailable(
        "no_mailer",
        "This service can't send mail: its operator has set neither MAIL_WEBHOOK_URL nor MAIL_TO_LOG.",
    )
}

/// The right to send one mail.
pub struct Place {
    way: Arc<Way>,
    posts: Arc<Semaphore>,
    _place: OwnedSemaphorePermit,
}

impl Place {
    /// Sends it in the background. A failure is for the log, and the log has no token.
    pub fn send(self, mail: Mail) {
        tokio::spawn(async move {
            match &*self.way {
                Way::Log => tracing::warn!(
                    kind = ?mail.kind,
                    email = mail.email,
                    token = mail.token,
                    "a mail, in the log because of MAIL_TO_LOG"
                ),
                Way::Webhook {
                    outbound,
                    target,
                    secret,
                } => self.post(outbound, target, secret, &mail).await,
            }
        });
    }

    async fn post(&self, outbound: &Outbound, target: &Target, secret: &[u8], mail: &Mail) {
        let kind = mail.kind;
        let Ok(body) = serde_json::to_vec(mail) else {
            tracing::error!(?kind, "a mail can't be written as JSON");
            return;
        };
        let headers = [("x-signature", signature(secret, &body))];
        let mut pauses = PAUSES.into_iter();
        loop {
            let posted = {
                let _turn = self.posts.acquire().await;
                outbound.post(target, &headers, body.clone()).await
            };
            match (posted, pauses.next()) {
                (Ok(()), _) => return,
                (Err(reason), Some(pause)) => {
                    tracing::warn!(?kind, reason, "the mail webhook failed; trying again");
                    sleep(pause).await;
                }
                (Err(reason), None) => {
                    tracing::error!(?kind, reason, "the mail webhook failed; the mail is lost");
                    return;
                }
            }
        }
    }
}

/// The header X-Signature: by it the mailer knows that the post is ours.
fn signature(secret: &[u8], body: &[u8]) -> String {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret);
    let mut mac = mac.expect("HMAC takes a key of any length");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256_of_the_body() {
        // RFC 4231, test case 2.
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn an_invitation_is_written_as_the_readme_says() {
        let mail = Mail {
            kind: Kind::Invitation,
            email: "ann@acme.example".to_owned(),
            token: "secret".to_owned(),
            expires_at: SystemTime::UNIX_EPOCH + Duration::from_secs(86_400),
            tenant_name: Some("Acme".to_owned()),
            role: None,
        };
        assert_eq!(
            serde_json::to_string(&mail).unwrap(),
            r#"{"type":"invitation","email":"ann@acme.example","token":"secret","expiresAt":"1970-01-02T00:00:00Z","tenantName":"Acme"}"#
        );
    }
}
