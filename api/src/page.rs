//! A page of rows: the rows, and what is told about them.
//!
//! The rows may be long and are never read here. What is told about them stands behind
//! the last `]` of the answer, which the database promises to be the end of the rows.

use std::convert::Infallible;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};
use serde::Deserialize;

use crate::db::Json;
use crate::percent;

/// A longer query is left without links: they would repeat it up to four times.
const LONGEST_QUERY: usize = 2048;

/// An answer `{"data":[…], …}`.
pub struct Page(pub Json);

/// Marks an answer as a page, for whoever wraps it.
#[derive(Clone, Copy)]
pub struct IsPage;

/// What stands behind the rows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    page: Option<u64>,
    limit: u64,
    total: Option<u64>,
    total_is_estimate: bool,
    next_cursor: Option<String>,
}

/// The rows with their brackets, and the rest of the object after them, without its comma.
/// `None` for what is no page.
pub fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rows = body;
    for token in [&b"{"[..], b"\"data\"", b":"] {
        rows = rows.trim_ascii_start().strip_prefix(token)?;
    }
    let rows = rows.trim_ascii_start();
    let end = rows.iter().rposition(|&byte| byte == b']')?;
    let (rows, told) = rows.split_at(end + 1);
    let told = told.trim_ascii_start();
    rows.starts_with(b"[")
        .then(|| (rows, told.strip_prefix(b",").unwrap_or(told)))
}

impl Page {
    /// The page up to its cursor, which comes last where there is one.
    pub fn but_for_cursor(&self) -> &[u8] {
        const CURSOR: &[u8] = b"\"nextCursor\":";
        let body = self.0.as_bytes();
        let told = split(body).map_or(body, |(_, told)| told);
        let place = told.windows(CURSOR.len()).position(|part| part == CURSOR);
        let kept = place.map_or(told.len(), |place| place + CURSOR.len());
        &body[..body.len() - told.len() + kept]
    }

    /// The `Link` of a page that was asked for by this path and query (RFC 8288).
    pub fn links(&self, path: &str, query: &str) -> Option<Links> {
        let (_, told) = split(self.0.as_bytes())?;
        if query.len() > LONGEST_QUERY {
            return None;
        }
        let told: Told = serde_json::from_slice(&[b"{", told].concat()).ok()?;
        let links: Vec<String> = relations(&told)
            .into_iter()
            .map(|(relation, name, value)| {
                let query = replaced(query, name, &value);
                format!("<{path}?{query}>; rel=\"{relation}\"")
            })
            .collect();
        let value = HeaderValue::try_from(links.join(", ")).ok()?;
        (!links.is_empty()).then_some(Links(value))
    }
}

/// Which pages there are beside this one, and the parameter that asks for them.
fn relations(told: &Told) -> Vec<(&'static str, &'static str, String)> {
    let Some(page) = told.page else {
        let next = told.next_cursor.clone();
        return next
            .map(|next| ("next", "cursor", next))
            .into_iter()
            .collect();
    };
    let total = told.total.filter(|_| !told.total_is_estimate);
    let last = total.map(|total| total.div_ceil(told.limit.max(1)).max(1));
    let has_next = match last {
        Some(last) => page < last,
        None => told.next_cursor.is_some(),
    };
    let before = page.saturating_sub(1).min(last.unwrap_or(u64::MAX));
    [
        ("first", Some(1)),
        ("prev", Some(before).filter(|_| page > 1)),
        ("next", Some(page + 1).filter(|_| has_next)),
        ("last", last),
    ]
    .into_iter()
    .filter_map(|(relation, page)| Some((relation, "page", page?.to_string())))
    .collect()
}

/// The query with this parameter as its only `page` or `cursor`; the others as they came.
fn replaced(query: &str, name: &str, value: &str) -> String {
    let is_kept = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        let name = percent::decode(name).unwrap_or_default();
        !pair.is_empty() && !["page", "cursor"].contains(&&*name)
    };
    let kept = query.split('&').filter(is_kept);
    let mut parts: Vec<String> = kept.map(percent::encode_query).collect();
    parts.push(format!("{name}={}", percent::encode(value)));
    parts.join("&")
}

/// The header `Link`.
pub struct Links(HeaderValue);

impl IntoResponseParts for Links {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.headers_mut().insert(header::LINK, self.0);
        Ok(parts)
    }
}

impl IntoResponseParts for IsPage {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.extensions_mut().insert(self);
        Ok(parts)
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        (IsPage, self.0).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(body: &str, query: &str) -> Option<String> {
        let page = Page(Json::parse(body.as_bytes()).unwrap());
        let links = page.links("/tasks", query)?;
        Some(links.0.to_str().unwrap().to_owned())
    }

    #[test]
    fn rows_and_what_is_told_of_them_are_parted_without_reading_the_rows() {
        for (body, expected) in [
            (r#"{"data":[],"page":1}"#, Some(("[]", r#""page":1}"#))),
            (
                r#"{"data":[{"a":"],\"page\":7"}]}"#,
                Some((r#"[{"a":"],\"page\":7"}]"#, "}")),
            ),
            (
                r#"{"data":[[1],[2]],"limit":2}"#,
                Some(("[[1],[2]]", r#""limit":2}"#)),
            ),
            (
                r#"{"data" : [{}], "page" : 1}"#,
                Some(("[{}]", r#" "page" : 1}"#)),
            ),
            (r#"{"id":[1]}"#, None),
            (r#"{"data":1,"a":[1]}"#, None),
            ("{}", None),
            ("", None),
        ] {
            let parted = split(body.as_bytes());
            let expected = expected.map(|(rows, told)| (rows.as_bytes(), told.as_bytes()));
            assert_eq!(parted, expected, "{body}");
        }
    }

    #[test]
    fn the_pages_beside_a_page_are_linked_with_the_filters_kept() {
        assert_eq!(
            links(
                r#"{"data":[],"page":2,"limit":2,"total":5}"#,
                "status=todo&page=2&count=exact"
            )
            .unwrap(),
            "</tasks?status=todo&count=exact&page=1>; rel=\"first\", \
             </tasks?status=todo&count=exact&page=1>; rel=\"prev\", \
             </tasks?status=todo&count=exact&page=3>; rel=\"next\", \
             </tasks?status=todo&count=exact&page=3>; rel=\"last\""
        );
    }

    #[test]
    fn a_link_leads_to_a_page_that_is_there_as_far_as_it_is_known() {
        for (told, expected) in [
            (r#""page":1,"limit":2"#, "first=1"),
            (r#""page":1,"limit":2,"nextCursor":"c""#, "first=1 next=2"),
            (r#""page":3,"limit":2"#, "first=1 prev=2"),
            (r#""page":1,"limit":2,"total":0"#, "first=1 last=1"),
            (r#""page":1,"limit":2,"total":2"#, "first=1 last=1"),
            (r#""page":1,"limit":2,"total":3"#, "first=1 next=2 last=2"),
            (r#""page":9,"limit":2,"total":3"#, "first=1 prev=2 last=2"),
            (
                r#""page":1,"limit":2,"total":9,"totalIsEstimate":true,"nextCursor":"c""#,
                "first=1 next=2",
            ),
        ] {
            let told: Told = serde_json::from_str(&format!("{{{told}}}")).unwrap();
            let found: Vec<String> = relations(&told)
                .into_iter()
                .map(|(relation, name, page)| {
                    assert_eq!(name, "page");
                    format!("{relation}={page}")
                })
                .collect();
            assert_eq!(found.join(" "), expected, "{told:?}");
        }
    }

    #[test]
    fn a_cursor_leads_on_and_the_last_leads_nowhere() {
        let body = r#"{"data":[],"limit":2,"nextCursor":"a+b/c="}"#;
        assert_eq!(
            links(body, "c%75rsor=old&sort=-id").unwrap(),
            "</tasks?sort=-id&cursor=a%2Bb%2Fc%3D>; rel=\"next\""
        );
        assert_eq!(links(r#"{"data":[],"limit":2}"#, "cursor=old"), None);
    }

    #[test]
    fn a_query_cannot_break_out_of_its_link() {
        let body = r#"{"data":[],"page":1,"limit":2}"#;
        assert_eq!(
            links(body, "title[ilike]=\"x>; rel=y&&page[eq]=1").unwrap(),
            "</tasks?title%5Bilike%5D=%22x%3E;%20rel=y&page%5Beq%5D=1&page=1>; rel=\"first\""
        );
        assert_eq!(links(body, &"x".repeat(LONGEST_QUERY + 1)), None);
    }

    #[test]
    fn what_is_no_page_has_no_links() {
        assert_eq!(links(r#"{"id":[1]}"#, ""), None);
    }
}
