//! How values of a type are ordered, and kept so that the order goes on from one.

use pgrx::pg_sys;

use crate::rows::types::Kind;

/// How a value is kept in a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// In the datum itself.
    ByValue,
    /// Of so many bytes, which the datum points to.
    Fixed(usize),
    /// As the type writes it.
    Text,
    /// The same, where settings of the session may decide how.
    #[default]
    TextBySettings,
}

impl Storage {
    /// Of a type that is no domain.
    pub fn of(oid: pg_sys::Oid, kind: Kind, is_builtin: bool) -> Self {
        let (mut length, mut is_by_value) = (0, false);
        // SAFETY: look-ups in the caches of the catalog.
        let class = unsafe {
            pg_sys::get_typlenbyval(oid, &raw mut length, &raw mut is_by_value);
            pg_sys::get_typtype(oid) as u8
        };
        let is_base = class == pg_sys::TYPTYPE_BASE && !matches!(kind, Kind::Array(_));
        match usize::try_from(length) {
            Ok(_) if is_base && is_builtin && is_by_value => Self::ByValue,
            Ok(length) if is_base && is_builtin => Self::Fixed(length),
            _ if is_base || class == pg_sys::TYPTYPE_ENUM => Self::Text,
            _ => Self::TextBySettings,
        }
    }
}

/// The operators by which a type is sorted and compared, as SQL writes them whatever the
/// search path. One that it doesn't have is empty: `json` has none, `xid` no order.
#[derive(Debug, Clone, Default)]
pub struct Operators {
    pub less: String,
    pub less_or_equal: String,
    pub greater: String,
    pub greater_or_equal: String,
    pub equal: String,
    pub not_equal: String,
    /// Whether several columns can be compared as one row: by PostgreSQL's own operators,
    /// and such as an index is searched by under row-level security. Those that aren't
    /// leakproof may be trusted by themselves (see `trust`), and not in a row.
    pub is_plain: bool,
}

/// PostgreSQL's own.
const LESS: &str = "operator(pg_catalog.<)";

impl Operators {
    pub fn of(oid: pg_sys::Oid) -> Self {
        let wanted = pg_sys::TYPECACHE_LT_OPR | pg_sys::TYPECACHE_GT_OPR | pg_sys::TYPECACHE_EQ_OPR;
        // SAFETY: look-ups in the caches of the catalog.
        let known = unsafe { *pg_sys::lookup_type_cache(oid, wanted as i32) };
        let equal = written(known.eq_opr);
        if equal.is_empty() {
            return Self::default();
        }
        let less = written(known.lt_opr);
        // SAFETY: as above.
        unsafe {
            Self {
                is_plain: less == LESS
                    && pg_sys::get_func_leakproof(pg_sys::get_opcode(known.lt_opr)),
                less,
                less_or_equal: written(negator(known.gt_opr)),
                greater: written(known.gt_opr),
                greater_or_equal: written(negator(known.lt_opr)),
                equal,
                not_equal: written(negator(known.eq_opr)),
            }
        }
    }

    /// Whether lists can be sorted by them.
    pub fn have_order(&self) -> bool {
        !self.less.is_empty() && !self.greater.is_empty()
    }
}

/// `<>` of `=`.
fn negator(operator: pg_sys::Oid) -> pg_sys::Oid {
    if operator == pg_sys::InvalidOid {
        return operator;
    }
    // SAFETY: a look-up in a cache of the catalog.
    unsafe { pg_sys::get_negator(operator) }
}

/// As SQL writes it; empty for none.
fn written(operator: pg_sys::Oid) -> String {
    if operator == pg_sys::InvalidOid {
        return String::new();
    }
    // SAFETY: look-ups in the caches of the catalog; the names are copies of C strings.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::OPEROID as i32,
            pg_sys::Datum::from(operator),
        );
        if tuple.is_null() {
            return String::new();
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_operator>();
        let schema = pg_sys::get_namespace_name((*form).oprnamespace);
        let name = std::ffi::CStr::from_ptr((*form).oprname.data.as_ptr())
            .to_string_lossy()
            .into_owned();
        pg_sys::ReleaseSysCache(tuple);
        if schema.is_null() {
            return String::new();
        }
        let schema = std::ffi::CStr::from_ptr(pg_sys::quote_identifier(schema)).to_string_lossy();
        format!("operator({schema}.{name})")
    }
}
