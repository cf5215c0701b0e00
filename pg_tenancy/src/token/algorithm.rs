//! The algorithms that a key can be for.

/// One of those that are worth having, by its name in RFC 7518 and 8037.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    HS256,
    RS256,
    PS256,
    ES256,
    EdDSA,
}

impl Algorithm {
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::HS256,
            Self::RS256,
            Self::PS256,
            Self::ES256,
            Self::EdDSA,
        ]
        .into_iter()
        .find(|algorithm| algorithm.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    pub fn is_symmetric(self) -> bool {
        self == Self::HS256
    }
}
