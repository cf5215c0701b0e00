//! The outer form of a token: three parts with dots between them (RFC 7515).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use super::strict;

/// Longer than any token we issue, short enough to read without a thought.
pub const MAX_LENGTH: usize = 8 * 1024;
/// Names of keys, subjects and issuers: as OpenID Connect has it for subjects.
const MAX_NAME: usize = 255;

/// A token that has the form of one.
pub struct Jws<'token> {
    pub text: &'token str,
    pub algorithm: String,
    pub kid: String,
    pub claims: Map<String, Value>,
    /// What is signed.
    pub message: &'token str,
    /// In base64url.
    pub signature: &'token str,
}

impl<'token> Jws<'token> {
    pub fn read(token: &'token str) -> Result<Self, Refusal> {
        if token.len() > MAX_LENGTH {
            return Err(Refusal::LONG);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Refusal::NO_TOKEN)?;
        let (header, payload) = message.split_once('.').ok_or(Refusal::NO_TOKEN)?;

        let header = part(header).ok_or(Refusal::NO_HEADER)?;
        let (algorithm, kid) = read_header(&header)?;
        let claims = part(payload).ok_or(Refusal::NO_CLAIMS)?;
        if signature.is_empty() || URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(Refusal::NO_TOKEN);
        }
        Ok(Self {
            text: token,
            algorithm,
            kid,
            claims,
            message,
            signature,
        })
    }
}

/// A part is an object in base64url, without padding and with nothing left over.
fn part(encoded: &str) -> Option<Map<String, Value>> {
    strict::object(&URL_SAFE_NO_PAD.decode(encoded).ok()?)
}

fn read_header(header: &Map<String, Value>) -> Result<(String, String), Refusal> {
    // Each would have us take the key, or the rules, from the token itself.
    if ["jwk", "jku", "x5u", "x5c"]
        .into_iter()
        .any(|name| header.contains_key(name))
    {
        return Err(Refusal::OWN_KEY);
    }
    if ["crit", "b64", "zip", "enc"]
        .into_iter()
        .any(|name| header.contains_key(name))
    {
        return Err(Refusal::EXTENSION);
    }
    // What the same issuer signs for other ends (logout tokens, proofs of possession)
    // says so here.
    match header.get("typ") {
        None => {}
        Some(Value::String(typ)) if is_for_access(typ) => {}
        Some(_) => return Err(Refusal::OTHER_TYPE),
    }
    let algorithm = header.get("alg").and_then(Value::as_str);
    let algorithm = algorithm
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("none"))
        .ok_or(Refusal::NO_HEADER)?;
    let kid = header.get("kid").and_then(name).ok_or(Refusal::NO_KEY)?;
    Ok((algorithm.to_owned(), kid.to_owned()))
}

fn is_for_access(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    matches!(typ, "jwt" | "at+jwt")
}

/// A text that can be a name: not empty, not long, without control characters.
pub fn name(value: &Value) -> Option<&str> {
    value
        .as_str()
        .filter(|text| (1..=MAX_NAME).contains(&text.len()) && !has_control(text))
}

fn has_control(text: &str) -> bool {
    // Nearly all are plain ASCII, which is quick to see.
    !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.chars().any(char::is_control)
}
