//! Why a token is not good, in the words and codes of the database.

use jsonwebtoken::errors::ErrorKind;

/// Why a token is not good.
#[derive(Debug, PartialEq, Eq)]
pub struct BadToken {
    pub code: &'static str,
    pub message: &'static str,
}

pub const MALFORMED: BadToken = BadToken {
    code: "TN010",
    message: "the token is malformed",
};
const UNKNOWN_KEY: BadToken = BadToken {
    code: "TN011",
    message: "the token is signed with an unknown key, or its signature is wrong",
};

pub fn bad_token(kind: &ErrorKind) -> BadToken {
    let (code, message) = match kind {
        ErrorKind::InvalidSignature => return UNKNOWN_KEY,
        ErrorKind::ExpiredSignature => ("TN012", "the token has expired"),
        ErrorKind::ImmatureSignature => ("TN013", "the token is not valid yet"),
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => {
            ("TN014", "the token is for another issuer or audience")
        }
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" || claim == "aud" => {
            ("TN014", "the token names no issuer or audience")
        }
        _ => return MALFORMED,
    };
    BadToken { code, message }
}
