//! Which JSON a column's type goes with.

use pgrx::pg_sys;

/// How values of a type are read from JSON and written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    Text,
    Uuid,
    Bool,
    Int16,
    Int32,
    Int64,
    Float,
    Numeric,
    TimestampTz,
    Timestamp,
    Date,
    Json,
    /// Of elements of the type with this oid.
    Array(pg_sys::Oid),
    /// A string, in whatever form the type itself reads and writes.
    #[default]
    Other,
}

impl Kind {
    /// `element` is invalid for a type that is no array.
    pub fn of(oid: pg_sys::Oid, element: pg_sys::Oid) -> Self {
        match oid {
            _ if element != pg_sys::InvalidOid => Self::Array(element),
            pg_sys::TEXTOID | pg_sys::VARCHAROID | pg_sys::BPCHAROID => Self::Text,
            pg_sys::UUIDOID => Self::Uuid,
            pg_sys::BOOLOID => Self::Bool,
            pg_sys::INT2OID => Self::Int16,
            pg_sys::INT4OID => Self::Int32,
            pg_sys::INT8OID => Self::Int64,
            pg_sys::FLOAT4OID | pg_sys::FLOAT8OID => Self::Float,
            pg_sys::NUMERICOID => Self::Numeric,
            pg_sys::TIMESTAMPTZOID => Self::TimestampTz,
            pg_sys::TIMESTAMPOID => Self::Timestamp,
            pg_sys::DATEOID => Self::Date,
            pg_sys::JSONOID | pg_sys::JSONBOID => Self::Json,
            _ => Self::Other,
        }
    }

    /// What a person is told to send.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::Other => "a string",
            Self::Uuid => "a UUID in a string",
            Self::Bool => "true or false",
            Self::Int16 | Self::Int32 | Self::Int64 => "a whole number",
            Self::Float | Self::Numeric => "a number",
            Self::TimestampTz | Self::Timestamp => "a time in a string, as ISO 8601 writes it",
            Self::Date => "a date in a string, as ISO 8601 writes it",
            Self::Json => "JSON",
            Self::Array(_) => "an array",
        }
    }
}
