//! The built-in functions that can be trusted with rows of other tenants, and
//! the ones that people ask for and that can't.
//!
//! PostgreSQL marks a function LEAKPROOF when nothing but its result tells of its
//! arguments: no error, notice or side effect depends on them. It leaves most
//! functions unmarked, out of caution. Each of these was read in PostgreSQL's
//! source (the file is named), with one question: can an error or a notice depend
//! on the column's value? Where it can depend on the constant alone, as a bad
//! pattern's does, the condition says how that is made sure of.

use pgrx::pg_sys;

/// What belongs together, and is trusted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Pattern,
    TextSearch,
    Jsonb,
    Range,
    Array,
    Numeric,
    Enum,
    Text,
}

impl Group {
    pub const ALL: [Self; 8] = [
        Self::Pattern,
        Self::TextSearch,
        Self::Jsonb,
        Self::Range,
        Self::Array,
        Self::Numeric,
        Self::Enum,
        Self::Text,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pattern => "pattern",
            Self::TextSearch => "text_search",
            Self::Jsonb => "jsonb",
            Self::Range => "range",
            Self::Array => "array",
            Self::Numeric => "numeric",
            Self::Enum => "enum",
            Self::Text => "text",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.name() == name)
    }
}

/// What else must hold where the function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    None,
    /// The collation is one, and deterministic.
    Collation,
    /// That, and the second argument is a pattern that can't fail.
    Pattern,
    /// One of the arguments is known, and small.
    SmallDocument,
    /// The ranges are of PostgreSQL's own types, whose comparisons can't fail.
    BuiltinRange,
    /// The arrays are of types whose comparisons can't fail.
    PlainArray,
}

pub struct Vetted {
    pub function: u32,
    pub group: Group,
    pub condition: Condition,
    pub reason: &'static str,
}

const fn vetted(function: u32, group: Group, condition: Condition, reason: &'static str) -> Vetted {
    Vetted {
        function,
        group,
        condition,
        reason,
    }
}

const LIKE: &str = "like_match.c: the errors are about the pattern (it ends in an escape; it has too many wildcards for the stack) and the collation, and such a query isn't planned so. A text of more than 250 MB can't be copied in lower case, which is an error";
const COMPARES: &str =
    "numeric.c: compares digits; NaN and the infinities have their places in the order; no error";
const CONTAINS: &str = "jsonb_op.c, jsonb_util.c: walks both values as deep as the constant is, which is small; no error, a value of another kind is just not contained";
const EXISTS: &str = "jsonb_op.c: looks keys up; no error, a value that is no object has none";
const FETCHES: &str = "jsonfuncs.c: NULL for what isn't there or is of another kind; no error";
const SEARCHES: &str = "tsvector_op.c: the query is walked, as deep as the query is; a tsvector has been checked when it was made; no error, no notice";
const RANGES: &str = "rangetypes.c: compares bounds by the element's comparison, which has no error for the built-in range types";
const ARRAYS: &str = "arrayfuncs.c: compares elements by their type's =, which has no error for the types allowed; NULL elements are not equal, and no error";
const ENUMS: &str = "enum.c: compares two oids; no error";
const CASE: &str = "formatting.c, oracle_compat.c: text that is stored in UTF-8 always has an upper and a lower case form; the collation is known. A text of more than 250 MB can't be copied, which is an error";
const LENGTH: &str = "varlena.c: counts; no error";

/// By group, as `tenancy.operator_trust()` shows them.
pub const VETTED: &[Vetted] = {
    use Condition::{BuiltinRange, Collation, None, Pattern, PlainArray, SmallDocument};
    use Group as G;
    &[
        vetted(pg_sys::F_TEXTLIKE, G::Pattern, Pattern, LIKE),
        vetted(pg_sys::F_TEXTNLIKE, G::Pattern, Pattern, LIKE),
        vetted(pg_sys::F_TEXTICLIKE, G::Pattern, Pattern, LIKE),
        vetted(pg_sys::F_TEXTICNLIKE, G::Pattern, Pattern, LIKE),
        vetted(pg_sys::F_BPCHARLIKE, G::Pattern, Pattern, LIKE),
        vetted(pg_sys::F_BPCHARNLIKE, G::Pattern, Pattern, LIKE),
        vetted(pg_sys::F_BPCHARICLIKE, G::Pattern, Pattern, LIKE),
        vetted(pg_sys::F_BPCHARICNLIKE, G::Pattern, Pattern, LIKE),
        vetted(pg_sys::F_TS_MATCH_VQ, G::TextSearch, None, SEARCHES),
        vetted(pg_sys::F_TS_MATCH_QV, G::TextSearch, None, SEARCHES),
        vetted(pg_sys::F_JSONB_CONTAINS, G::Jsonb, SmallDocument, CONTAINS),
        vetted(pg_sys::F_JSONB_CONTAINED, G::Jsonb, SmallDocument, CONTAINS),
        vetted(pg_sys::F_JSONB_EXISTS, G::Jsonb, None, EXISTS),
        vetted(pg_sys::F_JSONB_EXISTS_ANY, G::Jsonb, None, EXISTS),
        vetted(pg_sys::F_JSONB_EXISTS_ALL, G::Jsonb, None, EXISTS),
        vetted(pg_sys::F_JSONB_OBJECT_FIELD, G::Jsonb, None, FETCHES),
        vetted(pg_sys::F_JSONB_OBJECT_FIELD_TEXT, G::Jsonb, None, FETCHES),
        vetted(pg_sys::F_RANGE_EQ, G::Range, BuiltinRange, RANGES),
        vetted(pg_sys::F_RANGE_OVERLAPS, G::Range, BuiltinRange, RANGES),
        vetted(pg_sys::F_RANGE_CONTAINS, G::Range, BuiltinRange, RANGES),
        vetted(pg_sys::F_RANGE_CONTAINED_BY, G::Range, BuiltinRange, RANGES),
        vetted(
            pg_sys::F_RANGE_CONTAINS_ELEM,
            G::Range,
            BuiltinRange,
            RANGES,
        ),
        vetted(
            pg_sys::F_ELEM_CONTAINED_BY_RANGE,
            G::Range,
            BuiltinRange,
            RANGES,
        ),
        vetted(pg_sys::F_ARRAY_EQ, G::Array, PlainArray, ARRAYS),
        vetted(pg_sys::F_ARRAYOVERLAP, G::Array, PlainArray, ARRAYS),
        vetted(pg_sys::F_ARRAYCONTAINS, G::Array, PlainArray, ARRAYS),
        vetted(pg_sys::F_ARRAYCONTAINED, G::Array, PlainArray, ARRAYS),
        vetted(pg_sys::F_NUMERIC_EQ, G::Numeric, None, COMPARES),
        vetted(pg_sys::F_NUMERIC_NE, G::Numeric, None, COMPARES),
        vetted(pg_sys::F_NUMERIC_LT, G::Numeric, None, COMPARES),
        vetted(pg_sys::F_NUMERIC_LE, G::Numeric, None, COMPARES),
        vetted(pg_sys::F_NUMERIC_GT, G::Numeric, None, COMPARES),
        vetted(pg_sys::F_NUMERIC_GE, G::Numeric, None, COMPARES),
        vetted(pg_sys::F_ENUM_EQ, G::Enum, None, ENUMS),
        vetted(pg_sys::F_ENUM_NE, G::Enum, None, ENUMS),
        vetted(pg_sys::F_LOWER_TEXT, G::Text, Collation, CASE),
        vetted(pg_sys::F_UPPER_TEXT, G::Text, Collation, CASE),
        vetted(pg_sys::F_LENGTH_TEXT, G::Text, None, LENGTH),
    ]
};

/// Asked for often, and refused: the function, and what it tells.
pub const REFUSED: &[(u32, &str)] = &[
    (
        pg_sys::F_TEXTREGEXEQ,
        "regexp.c: matching can fail for want of memory or steps, which depends on the text; so can its time, much more than other conditions'",
    ),
    (pg_sys::F_TEXTICREGEXEQ, "as ~"),
    (
        pg_sys::F_TO_TSVECTOR_REGCONFIG_TEXT,
        "to_tsany.c, ts_parse.c: a notice for a word that is too long, and an error for a text that is. Store the tsvector in a generated column, and search that",
    ),
    (
        pg_sys::F_TO_TSVECTOR_TEXT,
        "as to_tsvector(regconfig, text)",
    ),
    (
        pg_sys::F_JSONB_PATH_EXISTS_OPR,
        "jsonpath_exec.c: regular expressions and dates inside of a path",
    ),
    (pg_sys::F_JSONB_PATH_MATCH_OPR, "as @?"),
    (
        pg_sys::F_RANGE_ADJACENT,
        "rangetypes.c: the next whole number or day may be out of range, which is an error",
    ),
    (
        pg_sys::F_INT4PL,
        "int.c: an overflow is an error that tells the value; so for all arithmetic",
    ),
    (
        pg_sys::F_INT4DIV,
        "int.c: a division by zero is an error that tells the value",
    ),
    (
        pg_sys::F_DATE_TRUNC_TEXT_TIMESTAMPTZ,
        "timestamp.c: a time out of range is an error",
    ),
];
