//! Why a token is refused, in the codes of the register.

/// A code of class TN, and a sentence for a person. Neither says anything of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub message: &'static str,
}

impl Refusal {
    pub const LONG: Self = malformed("the token is longer than 8 KiB");
    pub const NO_TOKEN: Self = malformed("the token is none");
    pub const NO_HEADER: Self = malformed("the token has no good header");
    pub const NO_KEY: Self = malformed("the token names no key");
    pub const OWN_KEY: Self = malformed("the token brings a key of its own");
    pub const EXTENSION: Self = malformed("the token asks for an extension that is not known");
    pub const OTHER_TYPE: Self = malformed("the token is of another type than a JWT for access");
    pub const NO_CLAIMS: Self = malformed("the token has no good claims");
    pub const NO_TENANT: Self = malformed("the token names no tenant");
    pub const SIGNATURE: Self = Self {
        code: "TN011",
        message: "the token's signature is not good",
    };
    pub const EXPIRED: Self = Self {
        code: "TN012",
        message: "the token has expired",
    };
    pub const EARLY: Self = Self {
        code: "TN013",
        message: "the token is not valid yet",
    };
    pub const ISSUER: Self = Self {
        code: "TN014",
        message: "the token is from another issuer, or from none",
    };
    pub const AUDIENCE: Self = Self {
        code: "TN014",
        message: "the token is for another audience, or for none",
    };
}

const fn malformed(message: &'static str) -> Refusal {
    Refusal {
        code: "TN010",
        message,
    }
}
