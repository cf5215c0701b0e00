//! Where invitations and password resets are handed to, to be mailed.

use clap::Args;

use super::Secret;

#[derive(Args, Clone, Debug)]
pub struct MailSettings {
    /// Where invitations and password resets are posted to as JSON, by the operator's own mailer to be sent.
    #[arg(long, env = "MAIL_WEBHOOK_URL")]
    pub mail_webhook_url: Option<String>,

    /// Secret that each post is signed with, in the header X-Signature; 16 bytes or more.
    #[arg(long, env = "MAIL_WEBHOOK_SECRET", hide_env_values = true)]
    pub mail_webhook_secret: Option<Secret>,

    /// Write invitations and password resets into the log instead, tokens and all. For development on loopback only.
    #[arg(long, env = "MAIL_TO_LOG", default_value_t = false, action = clap::ArgAction::Set)]
    pub mail_to_log: bool,

    /// How long an invitation is good.
    #[arg(long, env = "INVITATION_LIFETIME", default_value = "7d", value_parser = super::duration)]
    pub invitation_lifetime: std::time::Duration,

    /// How long a password can be reset with the token that was mailed.
    #[arg(long, env = "RESET_LIFETIME", default_value = "1h", value_parser = super::duration)]
    pub reset_lifetime: std::time::Duration,
}
