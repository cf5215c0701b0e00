//! Cursors: where a page of a list ended, sealed so that nobody can make one up,
//! nor take one to another list.
//!
//! AES-256-GCM-SIV with a key made from that of capsules, bound to a `Scope`: the
//! tenant, the relation, the order and the filter. In it stand the values by which
//! the last row was sorted, not as a session writes them, whose settings change, but
//! as PostgreSQL keeps them where that has a fixed length.
//!
//! The nonce is always the same, which this cipher is made for (RFC 8452): all that two
//! cursors tell is whether they are the same place in the same list. So the same page has
//! the same cursor, and no list waits for randomness, whose first use takes a connection
//! some 25 ms.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::fault::Fault;

/// What it begins with. No proof does, so that none can be taken for one.
const PREFIX: &str = "pgn_";
/// Of another form, another number.
const VERSION: u8 = 1;
/// Fits into a URL. An index takes rows of 2,700 bytes, but may have compressed them.
const MAX_LENGTH: usize = 16_384;
const NUMBER_LENGTH: usize = 4;
const TAG_LENGTH: usize = 16;

/// A key for cursors.
#[derive(Clone, Copy)]
pub struct Key {
    pub number: u32,
    bytes: [u8; 32],
}

impl Key {
    /// Made from a key of that number for capsules, which is used for nothing else.
    pub fn derive(number: u32, secret: &[u8]) -> Option<Self> {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&secret, b"pg_tenancy: cursors of lists");
        Some(Self {
            number,
            bytes: derived.as_ref().try_into().ok()?,
        })
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, &self.bytes).ok()?;
        Some(LessSafeKey::new(key))
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// What a cursor is good for, in bytes that no other has.
#[derive(Default)]
pub struct Scope(Vec<u8>);

impl Scope {
    pub fn add(&mut self, part: &[u8]) {
        self.0.extend((part.len() as u64).to_le_bytes());
        self.0.extend(part);
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn bound_to(number: u32, scope: &[u8]) -> Aad<Vec<u8>> {
    Aad::from([PREFIX.as_bytes(), &[VERSION], &number.to_be_bytes(), scope].concat())
}

/// A value by which the last row was sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    /// As PostgreSQL keeps it.
    Raw(Vec<u8>),
    /// As its type writes it.
    Text(String),
}

/// How a value begins; then come its length, in four bytes, and itself.
pub const NULL: u8 = 0;
pub const RAW: u8 = 1;
pub const TEXT: u8 = 2;

/// Seals what `Value`s are written as; `None` where that is too long for a cursor.
pub fn seal(content: &[u8], scope: &[u8], key: &Key) -> Option<String> {
    let length = 1 + NUMBER_LENGTH + content.len() + TAG_LENGTH;
    if PREFIX.len() + length.div_ceil(3) * 4 > MAX_LENGTH {
        return None;
    }
    let mut sealed = content.to_vec();
    key.cipher()?
        .seal_in_place_append_tag(nonce(), bound_to(key.number, scope), &mut sealed)
        .ok()?;
    let number = key.number.to_be_bytes();
    let whole = [&[VERSION], &number[..], &sealed].concat();
    Some(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(whole)))
}

/// The values in it. TN415 in the same words whatever is wrong with it.
pub fn open(
    cursor: &str,
    scope: &[u8],
    find_key: impl FnOnce(u32) -> Option<Key>,
) -> Result<Vec<Value>, Fault> {
    try_open(cursor, scope, find_key).ok_or_else(not_good)
}

fn try_open(
    cursor: &str,
    scope: &[u8],
    find_key: impl FnOnce(u32) -> Option<Key>,
) -> Option<Vec<Value>> {
    let text = cursor.strip_prefix(PREFIX)?;
    if cursor.len() > MAX_LENGTH {
        return None;
    }
    let whole = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (version, rest) = whole.split_first()?;
    let (number, sealed) = rest.split_at_checked(NUMBER_LENGTH)?;
    if *version != VERSION {
        return None;
    }
    let number = u32::from_be_bytes(number.try_into().ok()?);
    let mut sealed = sealed.to_vec();
    let content = find_key(number)?
        .cipher()?
        .open_in_place(nonce(), bound_to(number, scope), &mut sealed)
        .ok()?;
    values(content)
}

fn values(mut content: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    while let Some((&kind, rest)) = content.split_first() {
        if kind == NULL {
            values.push(Value::Null);
            content = rest;
            continue;
        }
        let (length, rest) = rest.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        let (bytes, rest) = rest.split_at_checked(length as usize)?;
        values.push(match kind {
            RAW => Value::Raw(bytes.to_vec()),
            TEXT => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
            _ => return None,
        });
        content = rest;
    }
    Some(values)
}

pub fn not_good() -> Fault {
    Fault::new("TN415", MESSAGE).hint(HINT).field("cursor")
}

pub const MESSAGE: &str = "the cursor is not good for this list";
pub const HINT: &str = "Start again without it. A cursor is good for the tenant, the sort and the filter that it was given for.";

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn key(number: u32) -> Key {
        Key::derive(number, &[7; 32]).expect("a key")
    }

    fn scope(parts: &[&str]) -> Scope {
        let mut scope = Scope::default();
        parts.iter().for_each(|part| scope.add(part.as_bytes()));
        scope
    }

    fn opened(cursor: &str, scope: &Scope) -> Option<Vec<Value>> {
        let known = |number| (number == 1).then(|| key(1));
        let opened = open(cursor, scope.as_bytes(), known);
        if let Err(fault) = &opened {
            assert_eq!(*fault, not_good());
        }
        opened.ok()
    }

    const CONTENT: &[u8] = b"\x00\x01\x02\x00\x00\x00\x07\x08\x02\x03\x00\x00\x00abc";

    #[test]
    fn what_was_sealed_is_what_is_opened() {
        let scope = scope(&["acme", "tasks"]);
        let cursor = seal(CONTENT, scope.as_bytes(), &key(1)).expect("a cursor");
        let values = [
            Value::Null,
            Value::Raw(vec![7, 8]),
            Value::Text("abc".to_owned()),
        ];
        assert_eq!(opened(&cursor, &scope).as_deref(), Some(&values[..]));
        assert_eq!(seal(CONTENT, scope.as_bytes(), &key(1)), Some(cursor));
    }

    #[test]
    fn a_cursor_of_another_list_or_key_is_not_opened() {
        let cursor =
            seal(CONTENT, scope(&["acme", "tasks"]).as_bytes(), &key(1)).expect("a cursor");
        for other in [
            &["globex", "tasks"][..],
            &["acme"],
            &["acmetasks"],
            &["acmet", "asks"],
            &["acme", "tasks", ""],
            &[],
        ] {
            assert_eq!(opened(&cursor, &scope(other)), None, "{other:?}");
        }
        let scope = scope(&["acme"]);
        let cursor = seal(CONTENT, scope.as_bytes(), &key(2)).expect("a cursor");
        assert_eq!(opened(&cursor, &scope), None);
        let other = Key::derive(1, &[8; 32]).expect("a key");
        let cursor = seal(CONTENT, scope.as_bytes(), &other).expect("a cursor");
        assert_eq!(opened(&cursor, &scope), None);
    }

    #[test]
    fn no_letter_of_it_can_be_changed() {
        let scope = scope(&["acme"]);
        let cursor = seal(CONTENT, scope.as_bytes(), &key(1)).expect("a cursor");
        for at in 0..cursor.len() {
            let mut letters = cursor.clone().into_bytes();
            letters[at] = if letters[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(letters).expect("ASCII");
            assert_eq!(opened(&changed, &scope), None, "at {at}");
        }
        for end in 0..cursor.len() {
            assert_eq!(opened(&cursor[..end], &scope), None, "up to {end}");
        }
        for (before, after) in [("", "A"), ("", "="), ("", " "), (" ", ""), ("", "\n")] {
            assert_eq!(opened(&format!("{before}{cursor}{after}"), &scope), None);
        }
    }

    #[test]
    fn a_cursor_has_a_greatest_length() {
        let scope = scope(&[]);
        let longest = (MAX_LENGTH - PREFIX.len()) / 4 * 3;
        let longest = longest - 1 - NUMBER_LENGTH - TAG_LENGTH;
        let content: Vec<u8> = vec![NULL; longest];
        let cursor = seal(&content, scope.as_bytes(), &key(1)).expect("a cursor");
        assert_eq!(cursor.len(), MAX_LENGTH);
        assert_eq!(opened(&cursor, &scope).map(|v| v.len()), Some(longest));
        assert_eq!(
            seal(&vec![NULL; longest + 1], scope.as_bytes(), &key(1)),
            None
        );
        let long = format!("{PREFIX}{}", "A".repeat(MAX_LENGTH));
        assert_eq!(opened(&long, &scope), None);
    }
}
