//! The codes that a client may see, with their statuses and what they mean.
//!
//! The whole register, with those that only a DBA sees, stands in the service's README.

/// Code, status, words.
pub const CODES: &[(&str, u16, &str)] = &[
    ("unauthorized", 401, "no bearer token"),
    (
        "invalid_credentials",
        401,
        "unknown email or wrong password",
    ),
    (
        "too_many_requests",
        429,
        "too many; come again after Retry-After",
    ),
    (
        "invalid_json",
        400,
        "the body isn't one JSON value in UTF-8",
    ),
    (
        "invalid_request",
        400,
        "wrong fields, a parameter given twice, or two Authorization headers",
    ),
    ("invalid_path", 400, "a broken escape or NUL in the path"),
    (
        "invalid_query",
        400,
        "a broken escape or NUL in the query string",
    ),
    ("invalid_value", 400, "the database can't take a value"),
    ("incomplete_body", 400, "the body broke off"),
    ("body_timeout", 408, "the body didn't arrive in time"),
    ("body_too_large", 413, "more than 1 MiB"),
    ("uri_too_long", 414, "a path and query of more than 8 KiB"),
    ("unsupported_media_type", 415, "not application/json"),
    ("not_found", 404, "no such row here"),
    ("forbidden", 403, "not allowed"),
    ("conflict", 409, "a value is taken"),
    (
        "try_again",
        409,
        "another request changed the same rows at the same time",
    ),
    (
        "busy",
        503,
        "too many passwords wait to be hashed, or mails to be sent",
    ),
    ("no_mailer", 503, "this service can't send mail"),
    ("timeout", 503, "the request took too long"),
    ("unavailable", 503, "the database is away or full"),
    (
        "not_ready",
        503,
        "the database hasn't accepted the service yet",
    ),
    (
        "internal",
        500,
        "a defect; the log has the reason under the requestId",
    ),
    ("TN001", 401, "no context"),
    ("TN002", 403, "not a member of that tenant"),
    ("TN004", 403, "the tenant is suspended"),
    ("TN010", 401, "malformed token"),
    ("TN011", 401, "unknown key or wrong signature"),
    ("TN012", 401, "expired token"),
    ("TN013", 401, "token not valid yet"),
    ("TN014", 401, "token for another issuer or audience"),
    ("TN015", 401, "the session has ended"),
    (
        "TN016",
        401,
        "the refresh token is unknown or expired, or its session has ended",
    ),
    (
        "TN017",
        401,
        "the refresh token was used before; its session is ended now",
    ),
    ("TN018", 401, "the API key is unknown, revoked or expired"),
    ("TN019", 401, "the capsule is malformed or has expired"),
    (
        "TN020",
        401,
        "the support access is unknown, ended or expired",
    ),
    ("TN021", 403, "nobody here is that subject of that issuer"),
    ("TN022", 400, "the reset token is unknown, used or expired"),
    ("TN024", 404, "there is no such session"),
    (
        "TN026",
        403,
        "the proof doesn't lead to the tenant that was named",
    ),
    ("TN027", 400, "that can't be the name of a tenant"),
    ("TN101", 409, "name taken"),
    ("TN102", 409, "slug taken"),
    ("TN103", 409, "email registered already"),
    ("TN104", 400, "bad name or slug"),
    ("TN105", 400, "bad email"),
    ("TN201", 403, "for owners only"),
    ("TN202", 409, "the last owner stays"),
    ("TN203", 403, "for owners and admins only"),
    ("TN204", 403, "who entered can only read"),
    ("TN205", 404, "nobody of that id is in this tenant"),
    ("TN206", 400, "there is no such role"),
    ("TN207", 403, "for persons only"),
    ("TN210", 403, "no platform administrator"),
    ("TN301", 409, "is a member already"),
    ("TN302", 410, "the invitation has expired"),
    (
        "TN303",
        404,
        "there is no such invitation, or it was used or revoked",
    ),
    (
        "TN304",
        409,
        "there is an account with that address: log in to accept",
    ),
    ("TN305", 403, "the invitation is for another address"),
    ("TN306", 400, "a new person needs a password to accept"),
    ("TN310", 400, "a bad name, role or expiry of an API key"),
    ("TN311", 404, "there is no such API key"),
    ("TN402", 400, "unknown field"),
    ("TN403", 400, "field not writable"),
    ("TN404", 400, "nothing to write"),
    ("TN405", 400, "value of a wrong type"),
    (
        "TN406",
        400,
        "bad page, limit, count, sort, fields or operator",
    ),
    ("TN410", 400, "a rule of a field is broken"),
    ("TN411", 400, "a reference that leads nowhere"),
    ("TN412", 409, "value taken"),
    ("TN413", 409, "still referenced"),
    ("TN414", 412, "the row has changed"),
    ("TN415", 400, "the cursor is not good here"),
    ("TN416", 400, "a value is too long to go on from it"),
    (
        "TN417",
        422,
        "another request had this Idempotency-Key, or what its answer shows was taken back since",
    ),
    (
        "TN418",
        409,
        "the first request with this Idempotency-Key is still under way",
    ),
    ("TN419", 400, "a bad Idempotency-Key"),
    ("TN420", 400, "too many rows"),
    (
        "TN423",
        400,
        "the function gives more rows than can be served",
    ),
    ("TN424", 404, "no such function"),
    ("TN605", 404, "there is no such support access"),
];

/// Whether the register has that code.
pub fn is_known(code: &str) -> bool {
    CODES.iter().any(|(known, ..)| *known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_in_the_readme_with_its_status() {
        let readme = include_str!("../../README.md");
        for (code, status, _) in CODES {
            let is_there = readme.lines().any(|line| {
                let mut cells = line.split('|').map(str::trim).skip(1);
                let (codes, statuses) = (cells.next(), cells.next());
                codes.is_some_and(|codes| {
                    codes
                        .split(',')
                        .any(|one| one.trim().trim_matches('`') == *code)
                }) && statuses == Some(&status.to_string())
            });
            assert!(is_there, "{code} {status}");
        }
    }
}
