//! Keys and key sets on their way into the database: read, and never shown.
//!
//! The errors say what is wrong in words of their own; `fault` keeps the statement
//! of such a call out of the server's log.

use std::fmt::Write;

use pgrx::pg_sys;
use serde_json::json;

use crate::fault::Fault;
use crate::function::{Answer, text_argument, text_datum};
use crate::token::{Algorithm, read_key as read, read_key_set as read_set};

sql_function!(tenancy_read_key, pg_finfo_tenancy_read_key, read_key);
sql_function!(
    tenancy_read_key_set,
    pg_finfo_tenancy_read_key_set,
    read_key_set
);
sql_function!(tenancy_refuse, pg_finfo_tenancy_refuse, refuse);

fn read_key(call: pg_sys::FunctionCallInfo) -> Answer {
    let key = text_argument(call, 0)?;
    let algorithm = Algorithm::parse(text_argument(call, 1)?)
        .ok_or_else(|| Fault::internal("an algorithm that is not known"))?;
    let key = read(key, algorithm).map_err(|message| {
        Fault::new("TN501", message).hint(match algorithm {
            Algorithm::HS256 => "Make a secret with: openssl rand -base64 48",
            _ => "Give the public key, as PEM (-----BEGIN PUBLIC KEY-----) or as JWK.",
        })
    })?;
    let answer = json!({"kid": key.kid, "material": hex(&key.material)});
    Ok(text_datum(&answer.to_string()))
}

fn read_key_set(call: pg_sys::FunctionCallInfo) -> Answer {
    let keys = read_set(text_argument(call, 0)?).map_err(|message| {
        Fault::new("TN506", message)
            .hint("It must be what the issuer publishes at its jwks_uri: {\"keys\": […]}.")
    })?;
    let answer: serde_json::Value = keys
        .iter()
        .map(|key| {
            json!({"kid": key.kid, "algorithm": key.algorithm.name(), "material": hex(&key.material)})
        })
        .collect();
    Ok(text_datum(&answer.to_string()))
}

/// Raises an error for SQL, which can't keep a statement out of the log.
fn refuse(call: pg_sys::FunctionCallInfo) -> Answer {
    let code = text_argument(call, 0)?;
    let code = [
        "TN501", "TN502", "TN503", "TN504", "TN505", "TN506", "TN507", "TN508",
    ]
    .into_iter()
    .find(|known| *known == code)
    .ok_or_else(|| Fault::internal("a code that is not for keys"))?;
    let message = text_argument(call, 1)?.to_owned();
    Err(Fault::new(code, message).hint(text_argument(call, 2)?.to_owned()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String doesn't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
