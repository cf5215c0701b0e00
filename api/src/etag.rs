//! Entity tags (RFC 9110): has it changed since you saw it?
//!
//! A row's tag is made of the bytes of its JSON, here and in the database alike, so a
//! change can depend on a tag from any answer. The comparison for a change is the
//! database's, which holds the row meanwhile.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, IntoResponseParts, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::db::Json;
use crate::page::Page;
use crate::problem::{Problem, Result};

/// Bytes of the digest in a tag: so many that nobody finds two contents of one tag.
const DIGEST: usize = 16;
/// Characters that such a tag has.
const CHARACTERS: usize = 22;

/// The tag of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Without its quotes.
    opaque: String,
    /// Says that the content means the same, but not that it is the same bytes.
    is_weak: bool,
}

impl Tag {
    pub fn of(row: &Json) -> Self {
        Self::new(row.as_bytes(), false)
    }

    /// A page's cursor may be sealed with another key next time, and leads to the same place.
    pub fn of_page(page: &Page) -> Self {
        Self::new(page.but_for_cursor(), true)
    }

    fn new(content: &[u8], is_weak: bool) -> Self {
        let digest = Sha256::digest(content);
        Self {
            opaque: URL_SAFE_NO_PAD.encode(&digest[..DIGEST]),
            is_weak,
        }
    }

    /// The header that tells it.
    pub fn header(&self) -> Option<[(HeaderName, HeaderValue); 1]> {
        let weak = if self.is_weak { "W/" } else { "" };
        let value = HeaderValue::try_from([weak, "\"", &self.opaque, "\""].concat()).ok()?;
        Some([(header::ETAG, value)])
    }
}

/// What a client has already: `If-None-Match`, for a GET.
pub struct IfNoneMatch(Option<Tags>);

impl IfNoneMatch {
    /// The answer with its tag, or 304 without a body where the client has it.
    pub fn answer(
        &self,
        tag: Tag,
        content: impl IntoResponse,
        more: impl IntoResponseParts,
    ) -> Response {
        match self.has(&tag) {
            true => (StatusCode::NOT_MODIFIED, tag.header(), more, ()).into_response(),
            false => (tag.header(), more, content).into_response(),
        }
    }

    /// Whether the client has what has this tag.
    pub fn has(&self, tag: &Tag) -> bool {
        match &self.0 {
            None => false,
            Some(Tags::Any) => true,
            // Weak or strong: both say that the client needs no other copy.
            Some(Tags::These(tags)) => tags
                .iter()
                .any(|given| given.opaque == tag.opaque.as_bytes()),
        }
    }
}

/// What a change depends on: `If-Match`, as the database takes it.
pub struct IfMatch(pub Option<Vec<String>>);

impl IfMatch {
    fn of(tags: Option<Tags>) -> Self {
        let tags = tags.map(|tags| match tags {
            Tags::Any => vec!["*".to_owned()],
            // A weak one never matches here, nor does one that isn't ours. A quoted
            // asterisk is one of these: it must not pass for the bare one.
            Tags::These(tags) => tags.into_iter().filter_map(EntityTag::of_a_row).collect(),
        });
        Self(tags)
    }
}

/// The value of one of these headers.
#[derive(Debug, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<EntityTag>),
}

#[derive(Debug, PartialEq, Eq)]
struct EntityTag {
    is_weak: bool,
    opaque: Vec<u8>,
}

impl EntityTag {
    fn of_a_row(self) -> Option<String> {
        let is_ours = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        let is_good = !self.is_weak && self.opaque.len() == CHARACTERS;
        (is_good && self.opaque.iter().all(is_ours))
            .then(|| String::from_utf8_lossy(&self.opaque).into_owned())
    }
}

/// 400 for what is neither `*` nor a list of tags.
fn tags(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tags>> {
    let malformed = || {
        let detail = format!("The header {name} must be * or a list of entity tags.");
        Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    };
    let mut found = None;
    for value in headers.get_all(&name) {
        let more = parse(value.as_bytes()).ok_or_else(malformed)?;
        found = Some(match (found, more) {
            (None, tags) => tags,
            (Some(Tags::These(mut tags)), Tags::These(more)) => {
                tags.extend(more);
                Tags::These(tags)
            }
            _ => return Err(malformed()),
        });
    }
    Ok(found)
}

fn parse(value: &[u8]) -> Option<Tags> {
    let mut rest = value.trim_ascii();
    if rest == b"*" {
        return Some(Tags::Any);
    }
    let mut tags = Vec::new();
    while !rest.is_empty() {
        let (is_weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let quoted = quoted.strip_prefix(b"\"")?;
        let end = quoted.iter().position(|&byte| byte == b'"')?;
        let opaque = &quoted[..end];
        if !opaque
            .iter()
            .all(|byte| matches!(byte, 0x21..=0x7e | 0x80..))
        {
            return None;
        }
        tags.push(EntityTag {
            is_weak,
            opaque: opaque.to_vec(),
        });
        rest = quoted[end + 1..].trim_ascii_start();
        if !rest.is_empty() {
            // Empty elements of a list are allowed (RFC 9110, 5.6.1).
            rest = rest.strip_prefix(b",")?;
            while let [b',' | b' ' | b'\t', more @ ..] = rest {
                rest = more;
            }
        }
    }
    (!tags.is_empty()).then_some(Tags::These(tags))
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        tags(&parts.headers, header::IF_NONE_MATCH).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        tags(&parts.headers, header::IF_MATCH).map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_static(value));
        values.map(|value| (name.clone(), value)).collect()
    }

    fn if_none_match(values: &[&'static str]) -> Result<IfNoneMatch> {
        let name = header::IF_NONE_MATCH;
        tags(&headers(name.clone(), values), name).map(IfNoneMatch)
    }

    fn if_match(values: &[&'static str]) -> Option<Vec<String>> {
        let name = header::IF_MATCH;
        IfMatch::of(tags(&headers(name.clone(), values), name).unwrap()).0
    }

    #[test]
    fn a_tag_is_half_a_sha_256_in_base64() {
        let tag = Tag::of(&Json::parse(br#"{"id":"1"}"#).unwrap());
        // printf '{"id":"1"}' | openssl dgst -sha256 -binary | head -c 16 | basenc --base64url
        assert_eq!(tag.opaque, "WBGWf1QNMA0kmrMK5oE1mg");
        assert_eq!(tag.opaque.len(), CHARACTERS);
    }

    #[test]
    fn a_page_has_the_same_tag_whatever_its_cursor_looks_like() {
        let tag = |page: &str| Tag::of_page(&Page(Json::parse(page.as_bytes()).unwrap()));
        let one = tag(r#"{"data":[1],"page":1,"nextCursor":"abc"}"#);
        assert_eq!(one, tag(r#"{"data":[1],"page":1,"nextCursor":"xyz"}"#));
        assert!(one.header().unwrap()[0].1.as_bytes().starts_with(b"W/\""));
        for other in [
            r#"{"data":[1],"page":1}"#,
            r#"{"data":[2],"page":1,"nextCursor":"abc"}"#,
            r#"{"data":[1],"page":2,"nextCursor":"abc"}"#,
        ] {
            assert_ne!(one, tag(other), "{other}");
        }
        // What looks like a cursor within a row is content.
        let row = |n| tag(&format!(r#"{{"data":[{{"nextCursor":"{n}"}}],"page":1}}"#));
        assert_ne!(row(1), row(2));
    }

    #[test]
    fn a_client_that_has_it_under_a_weak_or_a_strong_tag_or_any_has_it() {
        let tag = Tag {
            opaque: "abc".to_owned(),
            is_weak: false,
        };
        for (values, expected) in [
            (&[][..], false),
            (&["*"], true),
            (&[r#""abc""#], true),
            (&[r#"W/"abc""#], true),
            (&[r#""x", ,"abc""#], true),
            (&[r#""x""#, r#"W/"abc""#], true),
            (&[r#""x", "*""#], false),
            (&[r#""a,b", "c\""#], false),
        ] {
            let given = if_none_match(values).unwrap();
            assert_eq!(given.has(&tag), expected, "{values:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for values in [
            &["abc"][..],
            &[""],
            &[","],
            &[r#""abc"#],
            &[r#""a" "b""#],
            &[r#"w/"a""#],
            &[r#""a b""#],
            &["*, *"],
            &["*", "*"],
            &["*", r#""a""#],
            &[r#""a", *"#],
        ] {
            assert_eq!(
                if_none_match(values).err().unwrap().status,
                400,
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_change_depends_on_strong_tags_alone() {
        let row = "0123456789abcdefghij-_";
        assert_eq!(if_match(&[]), None);
        assert_eq!(if_match(&["*"]).unwrap(), ["*"]);
        assert_eq!(
            if_match(&[r#""0123456789abcdefghij-_", "x""#]).unwrap(),
            [row]
        );
        for value in [r#"W/"0123456789abcdefghij-_""#, r#""*""#, r#""""#] {
            assert_eq!(if_match(&[value]).unwrap(), [""; 0], "{value}");
        }
    }
}
