//! Lists: sorted, filtered and cut to fields.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// Ten things of acme, numbered, and as many of somebody else.
    fn things() {
        let [globex, acme] = [tenant("globex"), tenant("acme")];
        run(
            "create schema shop;
             create type shop.size as enum ('s', 'm', 'l');
             create table shop.things (id int primary key, name text, price numeric(6, 2), size shop.size, code varchar(3),
                 sold_on date, is_new boolean, key uuid, point point, facts jsonb, hidden text, plain text);
             create index on shop.things (name);
             create index on shop.things (price, size);
             create index on shop.things (sold_on, code);
             create index on shop.things (is_new);
             create index on shop.things (key);
             create index on shop.things (hidden);
             create index on shop.things using gist (point);
             create index on shop.things using gin (facts)",
        );
        run("select tenancy.isolate_table('shop.things')");
        run("revoke select on shop.things from tenancy_app;
             grant select (tenant_id, id, name, price, size, code, sold_on, is_new, key, point, facts, plain) on shop.things to tenancy_app");
        for (first, tenant) in [(0, &acme), (100, &globex)] {
            run(&format!(
                "insert into shop.things (tenant_id, id, name, price, size, code, sold_on, is_new, key, facts)
                 select '{}', {first} + n, 'thing ' || n % 3, case when n < 9 then n * 1.5 end,
                     (enum_range(null::shop.size))[1 + n % 3], 'c' || n, '2026-01-01'::date + n, n % 2 = 0,
                     ('01890000-0000-7000-8000-00000000000' || n)::uuid, jsonb_build_object('n', n)
                 from generate_series(0, 9) as n",
                tenant.id
            ));
        }
        become_app_of(&acme);
    }

    fn page(query: &str) -> serde_json::Value {
        answer(&format!(
            "select tenancy.list_rows('shop.things', {})",
            pgrx::spi::quote_literal(query)
        ))
    }

    fn ids(query: &str) -> Vec<i64> {
        let page = page(query);
        let rows = page["data"].as_array().expect("rows");
        rows.iter()
            .map(|row| row["id"].as_i64().expect("an id"))
            .collect()
    }

    #[pg_test]
    fn a_list_is_sorted_as_asked_and_then_by_the_key() {
        things();
        for (sort, expected) in [
            ("id", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            ("-id", [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
            ("name", [0, 3, 6, 9, 1, 4, 7, 2, 5, 8]),
            ("-name", [8, 5, 2, 7, 4, 1, 9, 6, 3, 0]),
            ("name,-id", [9, 6, 3, 0, 7, 4, 1, 8, 5, 2]),
            // NULLs last when rising, first when falling, as an index has them.
            ("price", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            ("-price", [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
            ("-size,isNew", [5, 8, 2, 7, 1, 4, 9, 3, 6, 0]),
        ] {
            assert_eq!(ids(&format!(r#"{{"sort":"{sort}"}}"#)), expected, "{sort}");
        }
        // The order is one from page to page.
        let pages: Vec<i64> = (1..=4)
            .flat_map(|page| {
                ids(&format!(
                    r#"{{"sort":"-name","limit":"3","page":"{page}"}}"#
                ))
            })
            .collect();
        assert_eq!(pages, [8, 5, 2, 7, 4, 1, 9, 6, 3, 0]);
    }

    #[pg_test]
    fn a_list_is_filtered_by_operators() {
        things();
        for (filter, expected) in [
            (r#""id":{"gt":"7"}"#, &[9, 8][..]),
            (r#""id":{"gte":"7","lt":9}"#, &[8, 7]),
            (r#""id":{"ne":"3","lte":"4"}"#, &[4, 2, 1, 0]),
            (r#""id":{"eq":"3"}"#, &[3]),
            (r#""id":{"in":"3,1,77,3"}"#, &[3, 1]),
            (r#""id":{"in":[2,"1"]}"#, &[2, 1]),
            (r#""size":{"in":"s,l"},"id":{"lt":3}"#, &[2, 0]),
            (r#""size":{"gt":"s"},"id":{"lt":3}"#, &[2, 1]),
            (r#""price":{"is":"null"}"#, &[9]),
            (r#""price":{"is":"notNull","gte":"10.5"}"#, &[8, 7]),
            (r#""price":"1.50""#, &[1]),
            (r#""name":{"like":"%2"}"#, &[8, 5, 2]),
            (
                r#""name":{"ilike":"THING _","like":"%0"},"id":{"gt":3}"#,
                &[9, 6],
            ),
            // A pattern may be longer than what the column takes.
            (r#""code":{"like":"c%%%%%%7"}"#, &[7]),
            (r#""soldOn":{"gte":"2026-01-09"}"#, &[9, 8]),
            (r#""isNew":{"ne":"true"},"id":{"lt":4}"#, &[3, 1]),
            (
                r#""key":{"in":"01890000-0000-7000-8000-000000000004"}"#,
                &[4],
            ),
            (r#""name":{"in":"a\"b,thing 1"},"id":{"lt":3}"#, &[1]),
        ] {
            assert_eq!(
                ids(&format!(r#"{{"filter":{{{filter}}}}}"#)),
                expected,
                "{filter}"
            );
        }
        let counted =
            page(r#"{"filter":{"id":{"gt":"3"}},"sort":"name","limit":"2","count":"exact"}"#);
        assert_eq!(counted["total"], 6);
    }

    #[pg_test]
    fn a_list_is_cut_to_the_fields_that_are_asked_for() {
        things();
        let page = text(
            r#"select tenancy.list_rows('shop.things', '{"fields":"name,id","limit":"1"}')::text"#,
        );
        assert!(
            page.starts_with(r#"{"data":[{"name":"thing 0","id":9}],"#),
            "{page}"
        );
        let with_tenant =
            answer(r#"select tenancy.list_rows('shop.things', '{"fields":"tenantId","limit":1}')"#);
        assert_eq!(
            with_tenant["data"][0].as_object().map(serde_json::Map::len),
            Some(1)
        );
    }

    #[pg_test]
    fn what_a_list_cannot_do_is_told_by_name() {
        things();
        for (query, begins) in [
            (r#"{"sort":"plain"}"#, "TN402 plain"),
            (r#"{"sort":"hidden"}"#, "TN402 hidden"),
            (r#"{"sort":"tenantId"}"#, "TN402 tenantId"),
            (r#"{"sort":"point"}"#, "TN402 point"),
            (r#"{"sort":""}"#, "TN402 "),
            (r#"{"sort":"name desc"}"#, "TN402 name desc"),
            (r#"{"sort":"name,"}"#, "TN402 "),
            (r#"{"sort":"--name"}"#, "TN402 -name"),
            (r#"{"sort":"name,-name"}"#, "TN406 sort"),
            (r#"{"sort":"name,price,size,soldOn,isNew"}"#, "TN406 sort"),
            (r#"{"fields":"hidden"}"#, "TN402 hidden"),
            (r#"{"fields":"id,id"}"#, "TN406 fields"),
            (r#"{"fields":""}"#, "TN402 "),
            (r#"{"fields":"*"}"#, "TN402 *"),
            (r#"{"filter":{"plain":{"gt":"x"}}}"#, "TN402 plain"),
            (r#"{"filter":{"id":{"near":"x"}}}"#, "TN406 id"),
            (r#"{"filter":{"id":{"":"x"}}}"#, "TN406 id"),
            (r#"{"filter":{"id":{"like":"1"}}}"#, "TN406 id"),
            (r#"{"filter":{"point":{"gt":"(1,1)"}}}"#, "TN406 point"),
            (r#"{"filter":{"id":{"gt":"x"}}}"#, "TN405 id"),
            (r#"{"filter":{"id":{"in":"1,x"}}}"#, "TN405 id"),
            (r#"{"filter":{"id":{"in":[]}}}"#, "TN406 id"),
            (r#"{"filter":{"id":{"is":"empty"}}}"#, "TN406 id"),
            (r#"{"filter":{"name":{"like":"a\\"}}}"#, "TN406 name"),
            (
                r#"{"filter":{"key":{"in":"{01890000-0000-7000-8000-000000000004}"}}}"#,
                "TN405 key",
            ),
            (r#"{"filter":{"name":{"in":"a\u0000"}}}"#, "TN405 name"),
            (r#"{"filter":{"id":{"gt":"1","gt":"2"}}}"#, "TN405 gt"),
        ] {
            let call = format!(
                "select tenancy.list_rows('shop.things', {})",
                pgrx::spi::quote_literal(query)
            );
            let said = complaint(&call);
            assert!(said.starts_with(begins), "{query}: {said}");
            assert!(
                !said.contains("hidden") || query.contains("hidden"),
                "{said}"
            );
        }
        let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
        let query = format!(r#"{{"filter":{{"id":{{"in":"{}"}}}}}}"#, many.join(","));
        assert!(
            complaint(&format!(
                "select tenancy.list_rows('shop.things', '{query}')"
            ))
            .starts_with("TN406 id")
        );
    }
}
