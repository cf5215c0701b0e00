//! The conditions of a list: `{"status": "todo"}`, `{"createdAt": {"gte": "…"}}`.
//!
//! Only on fields that an index holds: a filter must not read all of a large tenant.

use serde_json::value::RawValue;

use crate::fault::Fault;
use crate::rows::input::{Wrong, array_of, object};
use crate::rows::ordering::Operators;
use crate::rows::query::{find, plain};
use crate::rows::relation::{Field, Relation};
use crate::rows::types::Kind;
use crate::trust;

/// More than a form has fields.
const MAX_CONDITIONS: usize = 32;
/// Each is a search of an index.
const MAX_CHOICES: usize = 100;

/// A field, how it compares, and with what.
#[derive(Clone)]
pub struct Condition {
    pub field: usize,
    pub operator: Operator,
    /// As the type reads it; for `In` an array of them. `None` where there is nothing to compare with.
    pub text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    In,
    Like,
    Ilike,
    IsNull,
    IsNotNull,
}

impl Operator {
    /// How it is written in a query; `is` is two of them.
    const NAMES: [(&'static str, Self); 9] = [
        ("eq", Self::Equal),
        ("ne", Self::NotEqual),
        ("gt", Self::Greater),
        ("gte", Self::GreaterOrEqual),
        ("lt", Self::Less),
        ("lte", Self::LessOrEqual),
        ("in", Self::In),
        ("like", Self::Like),
        ("ilike", Self::Ilike),
    ];

    fn is_for(self, field: &Field) -> bool {
        match self {
            Self::IsNull | Self::IsNotNull => true,
            Self::In if field.array_oid == pgrx::pg_sys::InvalidOid => false,
            Self::Like | Self::Ilike => field.kind == Kind::Text,
            _ => !self.of(&field.operators).is_empty(),
        }
    }

    /// The comparison of a type; empty where it has none.
    pub fn of(self, operators: &Operators) -> &str {
        match self {
            Self::Equal | Self::In => &operators.equal,
            Self::NotEqual => &operators.not_equal,
            Self::Greater => &operators.greater,
            Self::GreaterOrEqual => &operators.greater_or_equal,
            Self::Less => &operators.less,
            Self::LessOrEqual => &operators.less_or_equal,
            Self::Like => "operator(pg_catalog.~~)",
            Self::Ilike => "operator(pg_catalog.~~*)",
            Self::IsNull | Self::IsNotNull => "",
        }
    }

    /// Its name in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Equal | Self::In => "=",
            Self::NotEqual => "<>",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Like => "~~",
            Self::Ilike => "~~*",
            Self::IsNull => "is null",
            Self::IsNotNull => "is not null",
        }
    }

    /// Whether a value comes with it.
    pub fn has_value(self) -> bool {
        !matches!(self, Self::IsNull | Self::IsNotNull)
    }
}

/// TN402 no such filter, TN405 a value that can't be, TN406 no such operator.
pub fn parse(relation: &Relation, json: &str) -> Result<Vec<Condition>, Fault> {
    let mut conditions = Vec::new();
    for (name, raw) in object(json)? {
        let can_filter = |field: &Field| field.is_readable && field.is_filterable;
        let place = find(relation, &name, can_filter, "Filters are")?;
        let field = &relation.fields[place];
        if raw.get().starts_with('{') && field.kind != Kind::Json {
            for (operator, raw) in object(raw.get())? {
                conditions.push(condition(place, field, &operator, &raw)?);
            }
        } else {
            conditions.push(condition(place, field, "eq", &raw)?);
        }
    }
    if conditions.len() > MAX_CONDITIONS {
        return Err(Fault::new(
            "TN406",
            format!("there are more than {MAX_CONDITIONS} filters"),
        ));
    }
    conditions.sort_by_key(|condition| (condition.field, condition.operator));
    Ok(conditions)
}

fn condition(
    place: usize,
    field: &Field,
    operator: &str,
    raw: &RawValue,
) -> Result<Condition, Fault> {
    let text = plain(raw);
    if text.contains('\0') {
        return Err(Wrong::Nul.of(field));
    }
    if operator == "is" {
        let operator = match text.as_str() {
            "null" => Operator::IsNull,
            "notNull" => Operator::IsNotNull,
            _ => return Err(wrong(field, "is", "must be null or notNull")),
        };
        return Ok(Condition {
            field: place,
            operator,
            text: None,
        });
    }
    let known = Operator::NAMES.iter().find(|(name, _)| *name == operator);
    let Some(&(name, operator)) = known.filter(|(_, operator)| operator.is_for(field)) else {
        let names: Vec<&str> = Operator::NAMES
            .iter()
            .filter(|(_, operator)| operator.is_for(field))
            .map(|(name, _)| *name)
            .chain(["is"])
            .collect();
        let shown: String = operator.chars().take(64).collect();
        return Err(wrong(field, &shown, "is no operator of this field")
            .hint(format!("Operators are {}.", names.join(", "))));
    };
    let text = match operator {
        Operator::In => choices(field, raw)?,
        Operator::Like | Operator::Ilike if !trust::is_sound(text.as_bytes()) => {
            return Err(wrong(
                field,
                name,
                "must not end with a single backslash, nor have more than 1000 wildcards",
            ));
        }
        _ => text,
    };
    Ok(Condition {
        field: place,
        operator,
        text: Some(text),
    })
}

/// `a,b` or `["a", "b"]`, as an array of PostgreSQL.
fn choices(field: &Field, raw: &RawValue) -> Result<String, Fault> {
    let texts: Vec<String> = if raw.get().starts_with('[') {
        let items: Vec<&RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| Wrong::Type(field.kind).of(field))?;
        items.into_iter().map(plain).collect()
    } else {
        plain(raw).split(',').map(str::to_owned).collect()
    };
    if texts.is_empty() || texts.len() > MAX_CHOICES {
        return Err(wrong(
            field,
            "in",
            &format!("must name 1 to {MAX_CHOICES} values"),
        ));
    }
    if texts.iter().any(|text| text.contains('\0')) {
        return Err(Wrong::Nul.of(field));
    }
    if field.kind == Kind::Uuid && !texts.iter().all(|text| is_uuid(text)) {
        return Err(Wrong::Type(Kind::Uuid).of(field));
    }
    Ok(array_of(&texts))
}

/// PostgreSQL would also take braces and odd hyphens; one row has one address.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

fn wrong(field: &Field, operator: &str, what: &str) -> Fault {
    Fault::new("TN406", format!("\"{}[{operator}]\" {what}", field.name)).field(field.name.clone())
}
