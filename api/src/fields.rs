//! The fields of a body that the service itself needs: names and passwords.
//!
//! Rows go to the database as they are. Here it is an object of texts, each at most
//! once, none unknown; everything that is wrong with it is told in one answer.

use std::fmt;
use std::time::SystemTime;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::db::Json;
use crate::password::has_valid_length;
use crate::problem::{FieldError, Problem, Result};

pub struct Fields {
    given: Vec<(String, Value)>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Fails for a body that isn't an object.
    pub fn of(body: &Json) -> Result<Self> {
        let Pairs(given) = serde_json::from_slice(body.as_bytes()).map_err(|_| {
            Problem::bad_request(
                "invalid_request",
                "The body must be a JSON object, not nested deeply.",
            )
        })?;
        Ok(Self {
            given,
            known: Vec::new(),
            errors: Vec::new(),
        })
    }

    /// A text that must be there. What is wrong with it is told by `done`.
    pub fn text(&mut self, name: &'static str) -> String {
        match self.take(name) {
            Some(Value::String(text)) => self.checked(name, text),
            Some(_) => self.wrong(name, "must be a string"),
            None => self.wrong(name, "is required"),
        }
    }

    /// A text that may be missing or null.
    pub fn optional_text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::Null => None,
            Value::String(text) => Some(self.checked(name, text)),
            _ => Some(self.wrong(name, "must be a string or null")),
        }
    }

    /// A password that is about to be set.
    pub fn new_password(&mut self, name: &'static str) -> String {
        let password = self.text(name);
        self.checked_password(name, password)
    }

    /// The same, that may be missing or null.
    pub fn optional_new_password(&mut self, name: &'static str) -> Option<String> {
        let password = self.optional_text(name)?;
        Some(self.checked_password(name, password))
    }

    /// A time of UTC that may be missing or null.
    pub fn optional_time(&mut self, name: &'static str) -> Option<SystemTime> {
        let text = self.optional_text(name)?;
        let time = humantime::parse_rfc3339(&text);
        if time.is_err() {
            self.refuse(name, "must be a time of UTC like 2027-01-31T12:00:00Z");
        }
        time.ok()
    }

    /// Notes what is wrong with a field, for `done`.
    pub fn refuse(&mut self, name: &str, message: &'static str) {
        if !self.errors.iter().any(|error| error.field == name) {
            self.errors.push(FieldError::new(name, message));
        }
    }

    /// Fails with all that is wrong, fields that nobody asked for included.
    pub fn done(mut self) -> Result<()> {
        for (name, _) in std::mem::take(&mut self.given).into_iter().take(16) {
            let is_known = self.known.contains(&name.as_str());
            self.refuse(
                &name,
                if is_known {
                    "is given twice"
                } else {
                    "is unknown"
                },
            );
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(Problem::bad_fields(self.errors))
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        let index = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.swap_remove(index).1)
    }

    fn checked(&mut self, name: &str, text: String) -> String {
        // PostgreSQL's texts can't hold it.
        if text.contains('\0') {
            return self.wrong(name, "must not contain a NUL character");
        }
        text
    }

    fn checked_password(&mut self, name: &str, password: String) -> String {
        if !has_valid_length(&password) {
            self.refuse(name, "must have 8 to 128 characters");
        }
        password
    }

    fn wrong(&mut self, name: &str, message: &'static str) -> String {
        self.refuse(name, message);
        String::new()
    }
}

/// An object's names and values as they came, names that come twice included.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::of(&Json::parse(body.as_bytes()).unwrap()).unwrap()
    }

    /// The fields that a login with this body would be refused for.
    fn refused(body: &str) -> Vec<String> {
        let mut fields = fields(body);
        fields.text("email");
        fields.optional_text("tenant");
        match fields.done() {
            Ok(()) => Vec::new(),
            Err(problem) => problem.errors.into_iter().map(|e| e.field).collect(),
        }
    }

    #[test]
    fn each_wrong_field_is_named() {
        for (body, named) in [
            (r#"{"email":"a@b.c"}"#, &[][..]),
            (r#"{"email":"a@b.c","tenant":null}"#, &[]),
            (r#"{}"#, &["email"]),
            (r#"{"email":null}"#, &["email"]),
            (r#"{"email":7,"tenant":[]}"#, &["email", "tenant"]),
            (r#"{"email":"a\u0000b"}"#, &["email"]),
            (r#"{"email":"a","tenantId":"x"}"#, &["tenantId"]),
            (r#"{"email":"a","email":"b"}"#, &["email"]),
        ] {
            assert_eq!(refused(body), named, "{body}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["[]", "null", "\"email\"", "7"] {
            let body = Json::parse(body.as_bytes()).unwrap();
            assert!(Fields::of(&body).is_err());
        }
    }
}
