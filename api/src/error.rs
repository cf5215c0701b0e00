//! What each error of the database becomes: one match from SQLSTATE to status.
//!
//! Messages and hints of class TN are written for the end user and are passed on.
//! Of every other error nothing is: its message may quote data, its DETAIL may
//! quote another tenant's. It gets words of ours, and the log its SQLSTATE.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use tokio_postgres::error::DbError;

use crate::db::Failure;
use crate::problem::{FieldError, Problem};

/// The status that an SQLSTATE is answered with; `None` for one that nobody foresaw, which is a 500.
pub fn status(sqlstate: &str) -> Option<StatusCode> {
    Some(match sqlstate {
        "TN001" | "TN010" | "TN011" | "TN012" | "TN013" | "TN014" | "TN015" | "TN016" | "TN017"
        | "TN018" | "TN019" | "TN020" => StatusCode::UNAUTHORIZED,
        "TN002" | "TN004" | "TN021" | "TN026" | "TN201" | "TN203" | "TN204" | "TN207" | "TN210"
        | "TN305" | "42501" => StatusCode::FORBIDDEN,
        "TN024" | "TN205" | "TN303" | "TN311" | "TN401" | "TN503" | "TN505" | "TN601" | "TN603"
        | "TN605" => StatusCode::NOT_FOUND,
        "TN101" | "TN102" | "TN103" | "TN202" | "TN301" | "TN304" | "TN412" | "TN413" | "TN502"
        | "TN507" | "TN508" | "23505" => StatusCode::CONFLICT,
        "TN302" => StatusCode::GONE,
        // Resources.
        "TN414" => StatusCode::PRECONDITION_FAILED,
        "TN420" => StatusCode::BAD_REQUEST,
        // Cursors, idempotency, functions and soft delete.
        "TN417" => StatusCode::UNPROCESSABLE_ENTITY,
        "TN418" => StatusCode::CONFLICT,
        "TN415" | "TN416" | "TN419" | "TN421" | "TN422" | "TN423" => StatusCode::BAD_REQUEST,
        "TN424" => StatusCode::NOT_FOUND,
        // RAISE EXCEPTION of a function or trigger of the DBA's, without a code of its own.
        "P0001" => StatusCode::BAD_REQUEST,
        "TN022" | "TN027" | "TN104" | "TN105" | "TN106" | "TN206" | "TN306" | "TN310" | "TN402"
        | "TN403" | "TN404" | "TN405" | "TN406" | "TN410" | "TN411" | "TN501" | "TN504"
        | "TN506" | "TN602" | "TN604" | "TN851" | "23502" | "23503" | "23514" => {
            StatusCode::BAD_REQUEST
        }
        "TN003" | "TN023" | "TN025" | "TN211" | "TN841" | "TN842" | "TN843" | "TN844" | "TN852"
        | "TN901" | "TN902" => StatusCode::INTERNAL_SERVER_ERROR,
        // Of functions for the DBA, which the service never calls.
        "TN430" | "TN431" | "TN432" | "TN433" | "TN434" | "TN435" | "TN436" | "TN437" | "TN438"
        | "TN439" => StatusCode::INTERNAL_SERVER_ERROR,
        "TN440" | "TN441" | "TN442" | "TN443" | "TN444" | "TN445" | "TN446" | "TN447" | "TN448" => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        "TN701" | "TN702" | "TN703" | "TN704" | "TN705" | "TN706" | "TN707" | "TN708" | "TN709"
        | "TN820" | "TN821" | "TN822" | "TN823" | "TN824" | "TN825" | "TN801" | "TN802"
        | "TN803" => StatusCode::INTERNAL_SERVER_ERROR,
        // Two at once: the same request may succeed when it comes again.
        "40001" | "40P01" => StatusCode::CONFLICT,
        // 25006: the server has become a standby; the next connection finds the new primary.
        "25006" | "57014" | "57P01" | "57P02" | "57P03" => StatusCode::SERVICE_UNAVAILABLE,
        _ => match sqlstate.get(..2)? {
            // 54: JSON nested too deep, or a value too large for an index.
            "22" | "54" => StatusCode::BAD_REQUEST,
            "08" | "53" => StatusCode::SERVICE_UNAVAILABLE,
            _ => return None,
        },
    })
}

/// Whether a connection that gave this error may serve another request.
pub fn leaves_a_sound_connection(error: &tokio_postgres::Error) -> bool {
    let Some(sqlstate) = error.code().map(|code| code.code()) else {
        return false;
    };
    match status(sqlstate) {
        Some(StatusCode::SERVICE_UNAVAILABLE) => sqlstate == "57014",
        Some(_) => true,
        // Nobody foresaw the error, so nobody knows what it left behind. A statement
        // prepared before an upgrade of the extension, for one, fails again and again.
        None => false,
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let error = match &failure {
            Failure::NotReady => {
                return Problem::unavailable(
                    "not_ready",
                    "The service has not reached its database yet.",
                );
            }
            Failure::AnotherTenant => {
                return Problem::new(
                    StatusCode::FORBIDDEN,
                    "TN026",
                    "the proof doesn't lead to the tenant that was named",
                );
            }
            Failure::NoConnection(_) => {
                return Problem::unavailable("unavailable", "The database can't be reached.")
                    .because(failure.reason());
            }
            Failure::NoRow => {
                return Problem::internal("a function of the database that always answers did not");
            }
            Failure::Query(error) => error,
        };
        match error.as_db_error() {
            Some(error) if error.code().code().starts_with("TN") => of_domain(error),
            Some(error) => of_database(error),
            None if error.is_closed() || is_io(error) => {
                Problem::unavailable("unavailable", "The database went away.")
                    .because(error.to_string())
            }
            None => Problem::internal(error.to_string()),
        }
    }
}

/// Whether the database has refused what the service itself said.
pub fn is_refused_word(failure: &Failure) -> bool {
    let Failure::Query(error) = failure else {
        return false;
    };
    let code = error.code().map_or("", |code| code.code());
    ["TN010", "TN011", "TN012", "TN013", "TN014", "TN023"].contains(&code)
}

/// 503 for that: no caller can do anything about it.
pub fn of_refused_word(failure: &Failure) -> Problem {
    Problem::unavailable("not_ready", "The service is changing its keys.").because(format!(
        "the database refuses our word: {}",
        failure.reason()
    ))
}

/// The problem for a refusal that the database answers instead of raising it, because
/// raising it would undo what it has done about it.
pub fn refused(code: String) -> Problem {
    let message = match code.as_str() {
        "TN002" => "not a member of that tenant",
        "TN004" => "the tenant is suspended",
        "TN016" => "the refresh token is unknown or expired, or its session has ended",
        "TN017" => "the refresh token was used before, and its session is ended now",
        _ => "the refresh token is refused",
    };
    match status(&code) {
        Some(StatusCode::UNAUTHORIZED) => bad_token(code, message),
        Some(status) => Problem::new(status, code, message),
        None => Problem::internal(format!("a refusal with the unknown code {code}")),
    }
}

/// The problem for an error of an exposed function. What it raises without a code of
/// PostgreSQL's, its author wrote for the caller.
pub fn of_function(failure: Failure) -> Problem {
    let Failure::Query(query) = &failure else {
        return failure.into();
    };
    match query.as_db_error() {
        Some(error) if is_of_its_author(error.code().code()) => Problem::new(
            StatusCode::BAD_REQUEST,
            error.code().code().to_owned(),
            sentence(error),
        ),
        _ => failure.into(),
    }
}

fn is_of_its_author(sqlstate: &str) -> bool {
    sqlstate == "P0001" || sqlstate.starts_with("TN") && status(sqlstate).is_none()
}

fn of_domain(error: &DbError) -> Problem {
    let code = error.code().code();
    let status = status(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        return Problem {
            code: code.to_owned().into(),
            ..Problem::internal(place(error))
        };
    }

    let problem = Problem::new(status, code.to_owned(), sentence(error));
    // Empty where it is about a column that the caller doesn't see.
    let field = error.column().filter(|field| !field.is_empty());
    match (status, code, field) {
        (StatusCode::UNAUTHORIZED, "TN001", _) => Problem {
            detail: problem.detail,
            code: problem.code,
            ..Problem::unauthorized()
        },
        (StatusCode::UNAUTHORIZED, _, _) => bad_token(code.to_owned(), error.message()),
        (_, _, Some(field)) => {
            problem.with_error(FieldError::new(field, error.message().to_owned()))
        }
        _ => problem,
    }
}

fn of_database(error: &DbError) -> Problem {
    let sqlstate = error.code().code();
    let Some(status) = status(sqlstate) else {
        return Problem::internal(place(error));
    };
    let problem = match (status, sqlstate) {
        (StatusCode::SERVICE_UNAVAILABLE, "57014") => {
            Problem::unavailable("timeout", "The database took too long.")
        }
        (StatusCode::SERVICE_UNAVAILABLE, _) => {
            Problem::unavailable("unavailable", "The database can't serve at the moment.")
        }
        (StatusCode::FORBIDDEN, _) => Problem::new(status, "forbidden", "This is not allowed."),
        (StatusCode::CONFLICT, "23505") => {
            Problem::new(status, "conflict", "A value is taken already.")
        }
        (StatusCode::CONFLICT, _) => Problem::new(
            status,
            "try_again",
            "Another request changed the same rows at the same time.",
        ),
        _ => Problem::new(status, "invalid_value", "A value is not acceptable."),
    };
    problem.because(place(error))
}

/// 401 for a token that was given and is not good, whether the service or the database found it.
pub fn bad_token(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Problem {
    let message = message.into();
    // RFC 6750 allows printable ASCII without these two.
    let description = message.replace(
        |c: char| !matches!(c, ' '..='~') || c == '"' || c == '\\',
        "?",
    );
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{description}\"");
    let challenge = HeaderValue::try_from(challenge)
        .unwrap_or(HeaderValue::from_static("Bearer error=\"invalid_token\""));
    Problem::new(StatusCode::UNAUTHORIZED, code, message).with(header::WWW_AUTHENTICATE, challenge)
}

/// Message and hint as one text.
fn sentence(error: &DbError) -> String {
    match error.hint() {
        Some(hint) => format!("{}. {hint}", error.message().trim_end_matches('.')),
        None => error.message().to_owned(),
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
}

/// Which error it was and where, without its message, which may quote data. The
/// database's own log has that.
fn place(error: &DbError) -> String {
    let mut place = format!("SQLSTATE {}", error.code().code());
    for (name, value) in [
        ("routine", error.routine()),
        ("table", error.table()),
        ("constraint", error.constraint()),
    ] {
        if let Some(value) = value {
            place.push_str(&format!(", {name} {value}"));
        }
    }
    place
}

#[cfg(test)]
mod tests;
