//! Trusted operators, fed with hostile values: a result, and never an error or a
//! notice, for no value that a column of the type can hold.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    const TEXTS: &str = "('{}'::text), ('x'), (' '), (repeat('a', 100000)), (repeat('%_\\', 3000)), (E'\\\\'), (E'a\\\\'), \
        ('ıİßﬁŉǰΐ'), (U&'\\0001'), (U&'\\+01F600'), (U&'\\+10FFFF'), (U&'\\FFFE'), (repeat(U&'e\\0301', 5000)), (E'\\n\\r\\t'), ('ΑΣ'), (null)";
    const NUMBERS: &str = "(0::numeric), (-0.0), ('NaN'), ('Infinity'), ('-Infinity'), (1e131000), (-1e131000), (1e-16000), (null)";
    const DOCUMENTS: &str = "('null'::jsonb), ('1'), ('\"\"'), ('[]'), ('{}'), ('{\"a\": null}'), ('{\"a\": {\"a\": [1, [2, {\"a\": 1e1000}]]}}'), \
        ('[[[[1]]]]'), ((repeat('[', 3000) || repeat(']', 3000))::jsonb), (to_jsonb(repeat('a', 100000))), (null)";
    const WORDS: &str = "(''::tsvector), ('a:1A b:2,16383'), ('''x y'':3'), (to_tsvector('simple', repeat('a b ', 20000))), (null)";
    const TAGS: &str = "('{}'::text[]), ('{NULL}'), ('{a,b,NULL}'), ('{{a},{b}}'), ('[-5:-4]={a,b}'), (array_fill('a'::text, '{1,1,1,1,1,1}')), (null)";
    const DAYS: &str = "('empty'::daterange), ('(,)'), ('[-infinity,infinity]'), ('[4713-01-01 BC,5874897-12-31)'), ('[2026-01-01,2026-01-02)'), (null)";

    /// Each value against each, by that condition: how many conditions were met.
    fn feed(values: &str, condition: &str) -> i64 {
        let query = format!(
            "select count(*) filter (where {condition}) from (values {values}) as a (a), (values {values}) as b (b)"
        );
        assert_eq!(outcome(&query), "00000", "{condition}");
        number(&query)
    }

    #[pg_test]
    fn texts() {
        for condition in [
            "lower(a) = lower(b)",
            "upper(a) = upper(b)",
            "length(a) = length(b)",
            "lower(a collate \"C\") = upper(b collate \"C\")",
        ] {
            assert!(feed(TEXTS, condition) > 0, "{condition}");
        }
        for pattern in ["%", "_%", "a%a%a%b", "\\%", "%\\\\", "İ%", "%é%"] {
            for operator in ["like", "ilike", "not like", "not ilike"] {
                feed(
                    TEXTS,
                    &format!("a {operator} E'{}'", pattern.replace('\\', "\\\\")),
                );
                feed(
                    TEXTS,
                    &format!(
                        "a::char(200) {operator} E'{}'",
                        pattern.replace('\\', "\\\\")
                    ),
                );
            }
        }
        // As many wildcards as are let through.
        let many = "%a".repeat(16);
        assert!(feed(TEXTS, &format!("a like '{many}'")) > 0);
    }

    #[pg_test]
    fn numbers() {
        for operator in ["=", "<>", "<", "<=", ">", ">="] {
            assert!(feed(NUMBERS, &format!("a {operator} b")) > 0, "{operator}");
        }
    }

    #[pg_test]
    fn documents() {
        for condition in [
            "a @> b",
            "a <@ b",
            "a ? 'a'",
            "a ?| '{a,b}'",
            "a ?& '{a}'",
            "a -> 'a' = b",
            "a ->> 'a' is not null",
        ] {
            assert!(
                feed(DOCUMENTS, condition) > 0 || condition == "a -> 'a' = b",
                "{condition}"
            );
        }
    }

    #[pg_test]
    fn words_to_search() {
        for query in ["a", "a & !b", "a <-> b", "a:* | ''x y''", "!(a & (b | !a))"] {
            feed(WORDS, &format!("a @@ '{query}'::tsquery"));
            feed(WORDS, &format!("'{query}'::tsquery @@ a"));
        }
        assert!(feed(WORDS, "a @@ 'a'::tsquery") > 0);
    }

    #[pg_test]
    fn arrays() {
        for condition in ["a && b", "a @> b", "a <@ b", "a = b"] {
            assert!(feed(TAGS, condition) > 0, "{condition}");
        }
    }

    #[pg_test]
    fn ranges() {
        for condition in [
            "a && b",
            "a @> b",
            "a <@ b",
            "a = b",
            "a @> '2026-01-01'::date",
            "'infinity'::date <@ a",
        ] {
            assert!(feed(DAYS, condition) > 0, "{condition}");
        }
    }

    /// What is vetted is a function that exists, with an operator or a name that the
    /// tests above feed.
    #[pg_test]
    fn no_vetted_function_is_leakproof_already_or_missing() {
        let idle = maybe(
            "select string_agg(t.function::text, ' ') from tenancy.operator_trust() as t
             join pg_proc as p on p.oid = t.function where t.\"group\" is not null and p.proleakproof",
        );
        assert_eq!(idle, None);
    }
}
