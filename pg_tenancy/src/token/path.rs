//! Where a token names its tenant: `{tenantId}`, `{o,id}`, `{organization,*,id}`.
//!
//! A step is a member's name. `*` is the only member of an object, or the only
//! element of a list: at the end of a path the member's name, before it what it
//! holds. Where there are two, the token doesn't say which tenant it is for.

use serde_json::{Map, Value};

use super::jws::name;
use super::refusal::Refusal;

const ONLY: &str = "*";

/// The name that the path leads to; `None` where the claim isn't there. TN010.
pub fn follow(claims: &Map<String, Value>, path: &[String]) -> Result<Option<String>, Refusal> {
    let Some((first, rest)) = path.split_first() else {
        return Ok(None);
    };
    let Some(mut value) = claims.get(first) else {
        return Ok(None);
    };
    for (i, step) in rest.iter().enumerate() {
        let is_last = i + 1 == rest.len();
        value = match (step.as_str(), value) {
            (ONLY, Value::Object(object)) => {
                let mut members = object.iter();
                let (Some((member, held)), None) = (members.next(), members.next()) else {
                    return Err(Refusal::NO_TENANT);
                };
                if is_last {
                    return clean(&Value::from(member.as_str())).map(Some);
                }
                held
            }
            (ONLY, Value::Array(list)) => match list.as_slice() {
                [only] => only,
                _ => return Err(Refusal::NO_TENANT),
            },
            (step, Value::Object(object)) => object.get(step).ok_or(Refusal::NO_TENANT)?,
            _ => return Err(Refusal::NO_TENANT),
        };
    }
    clean(value).map(Some)
}

/// A name, or a whole number, which some issuers have for ids.
fn clean(value: &Value) -> Result<String, Refusal> {
    match value {
        Value::Number(number) if number.is_u64() => Ok(number.to_string()),
        value => name(value).map(str::to_owned).ok_or(Refusal::NO_TENANT),
    }
}
