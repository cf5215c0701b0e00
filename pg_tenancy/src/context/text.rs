//! The context as text, as the setting has it: tenant, user, role, session, kind of
//! proof, its id, access and epochs, with slashes between them and a hyphen for what
//! isn't there; then what a capsule adds.

use uuid::Uuid;

use super::{Context, Epochs, Proof, Role, Sealed};

impl Context {
    pub fn parse(text: &str) -> Option<(Self, Option<Sealed>)> {
        let parts: Vec<_> = text.split('/').collect();
        let (own, added) = parts.split_at_checked(8)?;
        let sealed = match *added {
            [] => None,
            [expires_at, purpose] => Some(Sealed::parse(expires_at, purpose)?),
            _ => return None,
        };
        Some((Self::from_parts(own)?, sealed))
    }

    fn from_parts(parts: &[&str]) -> Option<Self> {
        let [tenant, user, role, session, proof, proof_id, access, epochs] = parts[..] else {
            return None;
        };
        let proof_id = optional(proof_id, |id| Uuid::try_parse(id).ok())?;
        Some(Self {
            tenant_id: Uuid::try_parse(tenant).ok()?,
            user_id: optional(user, |id| Uuid::try_parse(id).ok())?,
            role: optional(role, Role::parse)?,
            session_id: optional(session, |id| Uuid::try_parse(id).ok())?,
            proof: match (proof, proof_id) {
                ("word", None) => Proof::Word,
                ("token", None) => Proof::Token,
                ("api_key", Some(id)) => Proof::ApiKey(id),
                ("support", Some(id)) => Proof::Support(id),
                _ => return None,
            },
            is_read_only: match access {
                "read" => true,
                "write" => false,
                _ => return None,
            },
            epochs: Epochs::parse(epochs)?,
        })
    }

    pub fn write(self) -> String {
        let mut text = String::with_capacity(200);
        write_id(&mut text, Some(self.tenant_id));
        write_id(&mut text, self.user_id);
        text.push_str(self.role.map_or("-", Role::name));
        text.push('/');
        write_id(&mut text, self.session_id);
        text.push_str(self.proof.name());
        text.push('/');
        write_id(&mut text, self.proof.id());
        text.push_str(if self.is_read_only { "read/" } else { "write/" });
        text.push_str(&self.epochs.write());
        text
    }
}

impl Epochs {
    pub fn parse(text: &str) -> Option<Self> {
        let (tenant, user) = text.split_once('.')?;
        let number = |hex: &str| u64::from_str_radix(hex, 16).ok();
        Some(Self {
            tenant: optional(tenant, number)?,
            user: optional(user, number)?,
        })
    }

    pub fn write(self) -> String {
        if self == Self::default() {
            return "-.-".to_owned();
        }
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |n| format!("{n:x}"));
        format!("{}.{}", number(self.tenant), number(self.user))
    }
}

impl Sealed {
    pub fn parse(expires_at: &str, purpose: &str) -> Option<Self> {
        Some(Self {
            expires_at: expires_at.parse().ok()?,
            purpose: (purpose != "-").then(|| purpose.to_owned()),
        })
    }

    pub fn write(&self) -> String {
        let purpose = self.purpose.as_deref().unwrap_or("-");
        format!("{}/{purpose}", self.expires_at)
    }
}

/// An id, or a hyphen, and a slash.
fn write_id(text: &mut String, id: Option<Uuid>) {
    let mut digits = Uuid::encode_buffer();
    text.push_str(id.map_or("-", |id| id.hyphenated().encode_lower(&mut digits)));
    text.push('/');
}

/// `None` inside for a hyphen, outside for what can't be read.
fn optional<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        "-" => Some(None),
        text => read(text).map(Some),
    }
}
