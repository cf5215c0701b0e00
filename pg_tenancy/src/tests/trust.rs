//! Trusted operators: the index is used, and nobody sees more than before.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// A table with a column of many a type, and an index for each. Two tenants of
    /// 3,000 rows; one title of the second is "secret".
    fn library() -> [Tenant; 2] {
        let tenants = [tenant("acme"), tenant("globex")];
        run(
            "create extension if not exists pg_trgm;
             create schema shop;
             create type shop.state as enum ('new', 'sold');
             create table shop.books (
                 id int primary key, title text, words tsvector generated always as (to_tsvector('simple', title)) stored,
                 price numeric, state shop.state, tags text[], facts jsonb, sale daterange, series int);
             create table shop.authors (id int primary key, book_id int references shop.books, name text)",
        );
        run("select tenancy.isolate_table('shop.books'), tenancy.isolate_table('shop.authors')");
        for (number, tenant) in tenants.iter().enumerate() {
            let first = number * 3000;
            run(&format!(
                "insert into shop.books (tenant_id, id, title, price, state, tags, facts, sale, series)
                 select '{0}', {first} + n, 'title ' || md5(n::text), n, case when n % 100 = 0 then 'sold' else 'new' end::shop.state,
                     array['tag' || n], jsonb_build_object('isbn', n), daterange('2026-01-01'::date + n, '2026-01-01'::date + n + 1), n % 7
                 from generate_series(1, 3000) as n;
                 insert into shop.authors (tenant_id, id, book_id, name)
                 select '{0}', {first} + n, {first} + n, 'author ' || n from generate_series(1, 3000) as n",
                tenant.id
            ));
        }
        run(
            "update shop.books set title = 'secret', price = 42000.5 where id = 4000;
             create index on shop.books using gin (title gin_trgm_ops);
             create index on shop.books using gin (words);
             create index on shop.books (price);
             create index on shop.books (state);
             create index on shop.books using gin (tags);
             create index on shop.books using gin (facts);
             create index on shop.books using gist (sale);
             create index on shop.books (lower(title));
             analyze shop.books;
             analyze shop.authors;
             create function shop.spy(text) returns boolean language plpgsql cost 0.000001 as $$
             begin
                 if $1 = 'secret' then raise exception 'seen'; end if;
                 return true;
             end $$;
             create function shop.peek(text) returns text language sql immutable as $$ select ($1::int)::text $$;
             grant usage on schema shop to public;
             set local pg_tenancy.explain = 'allow'"
        );
        tenants
    }

    fn trust(groups: &str) {
        run("reset role");
        run(&format!(
            "set local pg_tenancy.trusted_operators = '{groups}'"
        ));
    }

    fn plan(query: &str) -> String {
        text(&format!(
            "select string_agg(l, E'\\n') from tests.plan({}) as l",
            pgrx::spi::quote_literal(query)
        ))
    }

    /// Conditions, the group that makes their index usable, and the index.
    const SEARCHES: [(&str, &str, &str); 9] = [
        ("title ilike '%c4ca4238a%'", "pattern", "books_title_idx"),
        // As a page of a list goes on from the last one.
        (
            "row(series, id) < row(6, 2000) and title ilike '%c4ca4238a%'",
            "pattern",
            "books_title_idx",
        ),
        (
            "words @@ 'c4ca4238a0b923820dcc509a6f75849b'::tsquery",
            "text_search",
            "books_words_idx",
        ),
        ("price = 17", "numeric", "books_price_idx"),
        ("state = 'sold'", "enum", "books_state_idx"),
        ("tags && '{tag17}'", "array", "books_tags_idx"),
        ("facts @> '{\"isbn\": 17}'", "jsonb", "books_facts_idx"),
        (
            "sale && '[2026-02-01,2026-02-02)'::daterange",
            "range",
            "books_sale_idx",
        ),
        (
            "lower(title) = 'title c4ca4238a0b923820dcc509a6f75849b'",
            "text",
            "books_lower_idx",
        ),
    ];

    #[pg_test]
    fn an_index_is_used_once_its_operator_is_trusted() {
        let [acme, _] = library();
        for (condition, group, index) in SEARCHES {
            let query = format!("select id from shop.books where {condition}");
            run("reset role");
            let by_hand = plan(&format!("{query} and tenant_id = '{}'", acme.id));
            assert!(by_hand.contains(index), "not even by hand: {by_hand}");
            for (groups, is_used) in [("", false), (group, true), ("all", true)] {
                trust(groups);
                become_app_of(&acme);
                let plan = plan(&query);
                assert_eq!(
                    plan.contains(index),
                    is_used,
                    "{condition}, {groups}:\n{plan}"
                );
                assert!(plan.contains("current_tenant_id()"), "{condition}:\n{plan}");
            }
        }
    }

    #[pg_test]
    fn the_rows_are_the_same_with_trust_and_without() {
        let [acme, globex] = library();
        let joins = "from shop.books as b left join shop.authors as a on a.book_id = b.id and a.name ilike '%1%'";
        let queries = [
            "select count(*) from shop.books".to_owned(),
            format!("select count(*) {joins}"),
            format!("select count(a.id) {joins} where b.price < 100.5"),
            format!("select count(*) {joins} where a.id is null"),
            "select count(*) from shop.authors as a right join shop.books as b on a.book_id = b.id and b.price > 2990".to_owned(),
            "select count(*) from shop.books as b join (shop.authors as a join shop.books as c on c.id = a.id) on a.book_id = b.id where c.title ilike '%a%'".to_owned(),
            "select count(*) from shop.books as b full join shop.authors as a on a.id = b.id and b.price > 5".to_owned(),
            "select count(*) from shop.books as b join shop.authors as a using (id) where b.price < 7".to_owned(),
            "select count(*) from shop.books where exists (select from shop.authors as a where a.book_id = books.id) and price < 50".to_owned(),
            "select sum(c) from (select count(*) as c from shop.books group by series having series < 3) as s".to_owned(),
        ];
        let counted = queries.map(|query| {
            let counts = [(&acme, ""), (&acme, "all"), (&globex, ""), (&globex, "all")]
                .map(|(who, groups)| count_of(who, groups, &query));
            assert_eq!(counts[0], counts[1], "{query}");
            assert_eq!(counts[2], counts[3], "{query}");
            counts[0]
        });
        assert!(counted.iter().all(|count| *count > 0), "{counted:?}");
    }

    /// A transaction has one tenant, but a superuser's session may try several, each
    /// in a savepoint: here in a block that always fails, with the number in its error.
    fn count_of(tenant: &Tenant, groups: &str, query: &str) -> i64 {
        run("reset role");
        let block = format!(
            "do $do$ declare n bigint; begin
                 set local pg_tenancy.trusted_operators = '{groups}';
                 set local role tenancy_gateway;
                 perform tenancy.set_tenant_context('{}');
                 set local role tenancy_app;
                 {} into n;
                 raise exception using errcode = 'P0001', message = n;
             end $do$",
            tenant.id, query
        );
        let said = complaint(&block);
        let number = said.rsplit(": ").next().and_then(|last| last.parse().ok());
        number.unwrap_or_else(|| panic!("{query}: {said}"))
    }

    #[pg_test]
    fn no_function_sees_another_tenants_rows() {
        let [acme, _] = library();
        trust("all");
        become_app_of(&acme);
        for condition in [
            "shop.spy(title)",
            "shop.spy(title) and title ilike '%e%'",
            "case when shop.spy(title) then title ilike '%e%' end",
            "title ilike '%e%' and shop.spy(lower(title)) and price > 0",
            "shop.spy(title) or price = 17",
            "case when price > 0 then shop.spy(title) end",
            "shop.spy(coalesce(title, '')) is not false",
            "(title = any (array['x'])) is not null and shop.spy(title)",
            "1 / (price - 42000.5) is not null",
            "title::int is not null",
            "title ~ '(' ",
        ] {
            let query = format!("select count(*) from shop.books where id > 0 and {condition}");
            let ended = complaint_or_none(&query);
            // Of acme's own rows: none is "secret", none costs that much.
            let is_own =
                ended.is_empty() || ended.starts_with("22P02") || ended.starts_with("2201B");
            assert!(is_own, "{condition}: {ended}");
            assert!(!ended.contains("secret"), "{condition}: {ended}");
        }
        for query in [
            "select count(*) from (select shop.spy(title) as is_ok, id from shop.books) as s where is_ok",
            "select count(*) from (select * from shop.books where title ilike '%e%' offset 0) as s where shop.spy(title)",
            "with c as (select title from shop.books where price > 0) select count(*) from c where shop.spy(title)",
            "select count(*) from shop.books as b, lateral (select shop.spy(b.title) as is_ok) as l where is_ok and b.price > 0",
            "select count(*) from shop.books as b join shop.authors as a on a.book_id = b.id and shop.spy(b.title) where b.price > 0",
            "select count(*) from shop.books as b left join shop.authors as a on shop.spy(b.title) and a.id = b.id",
            "select series, count(*) from shop.books where price > 0 group by series, title having shop.spy(title) limit 1",
            "select count(*) from shop.books where price > 0 and exists (select from shop.authors as a where a.id = books.id and shop.spy(books.title))",
            "update shop.books set price = price where shop.spy(title) and price > 0",
            "delete from shop.books where not shop.spy(title) and price > 0",
        ] {
            assert_eq!(complaint_or_none(query), "", "{query}");
        }
    }

    fn complaint_or_none(query: &str) -> String {
        Spi::get_one_with_args::<String>("select tests.complaint($1)", &[query.into()])
            .expect("an answer")
            .unwrap_or_default()
    }

    /// `like 'secret\'` fails on texts that begin with "secret", and on no other.
    #[pg_test]
    fn a_pattern_cannot_ask_about_another_tenant() {
        let [acme, _] = library();
        trust("all");
        become_app_of(&acme);
        // Asked by a constant, the boundary goes first.
        for operator in ["like", "ilike", "not like", "not ilike"] {
            let query =
                format!("select count(*) from shop.books where title {operator} E'secret\\\\'");
            assert_eq!(outcome(&query), "00000", "{query}");
        }
        // Asked by a parameter it finds nothing, whatever there is, in generic plans and in
        // others; nor does it tell what another condition has found.
        for mode in ["force_generic_plan", "force_custom_plan"] {
            run(&format!("set local plan_cache_mode = {mode}"));
            for (other, pattern) in [
                ("true", "secret\\"),
                ("true", "nothing\\"),
                ("title = 'secret'", "\\"),
                ("title = 'secret'", "\\\\\\"),
            ] {
                let query = format!(
                    "do $do$ declare p text := '{pattern}'; begin
                         perform from shop.books where {other} and title like p;
                         if found then raise exception 'found'; end if; end $do$"
                );
                assert_eq!(complaint_or_none(&query), "", "{mode} {other} {pattern}");
            }
            let query = "do $do$ declare p text := '%C4CA4238A%'; found int; begin
                 select count(*) into found from shop.books where title ilike p;
                 if found <> 1 then raise exception '%', found; end if; end $do$";
            assert_eq!(complaint_or_none(query), "", "{mode}");
        }
        let many = "%a".repeat(17);
        let query = format!("select count(*) from shop.books where title like '{many}'");
        assert!(!plan(&query).contains("books_title_idx"));
        assert_eq!(outcome(&query), "00000");
    }

    /// Each of these told of another tenant's rows once: by a function that is put in
    /// another's place, by a column that isn't seen, by an error that is raised for a row.
    #[pg_test]
    fn what_runs_is_what_was_looked_at() {
        let [acme, _] = library();
        run("create schema own;
             grant usage on schema own to public;
             create function own.spy(text, text) returns boolean language plpgsql immutable cost 0.0001 as $$
             begin
                 if $1 operator(pg_catalog.=) 'secret' then raise exception 'seen'; end if;
                 return $1 operator(pg_catalog.=) $2;
             end $$;
             create operator own.<~> (procedure = textne, leftarg = text, rightarg = text,
                 negator = operator(own.<=~>), restrict = neqsel);
             create operator own.<=~> (procedure = own.spy, leftarg = text, rightarg = text,
                 negator = operator(own.<~>), restrict = eqsel);
             create operator own.<<~ (procedure = text_lt, leftarg = text, rightarg = text,
                 commutator = operator(own.>>~), restrict = scalarltsel);
             create operator own.>>~ (procedure = own.spy, leftarg = text, rightarg = text,
                 commutator = operator(own.<<~), restrict = scalargtsel);
             create operator own.= (procedure = own.spy, leftarg = text, rightarg = text);
             create type own.word as (x text);
             create function own.to_word(text) returns own.word language plpgsql immutable cost 0.0001 as $$
             begin
                 if $1 = 'secret' then raise exception 'seen'; end if;
                 return row($1);
             end $$;
             create cast (text as own.word) with function own.to_word(text);
             create collation own.alike (provider = icu, locale = 'und', deterministic = false);
             update shop.books set tags = '{secret}' where title = 'secret';
             -- So that the planner's statistics know it, too.
             insert into shop.books (tenant_id, id, title, price) select b.tenant_id, 100000 + n, 'secret', 1
             from shop.books as b, generate_series(1, 3000) as n where b.id = 4000;
             analyze shop.books");
        trust("all");
        become_app_of(&acme);
        for mode in ["force_generic_plan", "force_custom_plan"] {
            run(&format!("set local plan_cache_mode = {mode}"));
            for condition in [
                "not (title operator(own.<~>) 'x')",
                "not (title operator(own.<~>) any (array['x', 'q']))",
                "title operator(own.<~>) 'x'",
                "'x' operator(own.<<~) title",
                "'x' operator(own.<<~) title and price > 0",
                "tags::own.word[] is null",
                "tags::own.word[] is null and price > 0",
                "title = 'secret' and title like 'x' collate own.alike",
                "title = 'secret' and price > 0 and title ilike p collate own.alike",
                "title = 'secret' and 1 / zero = price",
                "price = 1 and (title < 'secreu' or 1 / zero = 1)",
            ] {
                let query = format!(
                    "do $do$ declare p text := 'x'; zero int := 0; begin
                         perform from shop.books where {condition}; end $do$"
                );
                let ended = complaint_or_none(&query);
                // Of acme's own rows an error may well come, and of constants always.
                let is_own = ended.is_empty()
                    || condition.contains("(title < 'secreu' or")
                    || mode == "force_custom_plan" && condition.contains("1 / zero");
                assert!(
                    is_own && !ended.contains("seen"),
                    "{mode} {condition}: {ended}"
                );
            }
            run("set local search_path = own, pg_catalog");
            let query = "select id from shop.books where case title when 'q' then true else false end and price > 0";
            assert_eq!(complaint_or_none(query), "", "{mode}");
            run("reset search_path");
        }
    }

    #[pg_test]
    fn a_plan_made_with_trust_goes_with_it() {
        let [acme, _] = library();
        trust("all");
        become_app_of(&acme);
        run("set local plan_cache_mode = force_generic_plan;
             prepare search as select id from shop.books where price = 17");
        assert!(plan_of_prepared().contains("books_price_idx"));
        trust("");
        become_role("tenancy_app");
        assert!(!plan_of_prepared().contains("books_price_idx"));
        run("deallocate search");
    }

    fn plan_of_prepared() -> String {
        text("select string_agg(l, E'\\n') from tests.plan('execute search') as l")
    }

    #[pg_test]
    fn other_tables_under_row_level_security_keep_postgresqls_rules() {
        let [acme, _] = library();
        run(
            "create table shop.plain (id int, price numeric, owner text);
             insert into shop.plain select n, n, 'x' from generate_series(1, 3000) as n;
             create index on shop.plain (price);
             alter table shop.plain enable row level security;
             create policy p on shop.plain using (owner = current_user);
             grant select on shop.plain to tenancy_app;
             analyze shop.plain",
        );
        trust("all");
        become_app_of(&acme);
        let plan = plan("select * from shop.plain where price = 17");
        assert!(!plan.contains("plain_price_idx"), "{plan}");
    }

    #[pg_test]
    fn the_dba_trusts_looks_and_takes_back() {
        take_turn();
        assert_eq!(
            number("select count(*) from tenancy.operator_trust() where trusted"),
            0
        );
        assert_eq!(text("select tenancy.trust_operators()"), "all");
        assert!(number("select count(*) from tenancy.operator_trust() where trusted") > 30);
        assert_eq!(
            number(
                "select count(*) from tenancy.operator_trust() where reason is null or operators is null and trusted and function not in ('lower(text)'::regprocedure, 'upper(text)'::regprocedure, 'length(text)'::regprocedure)"
            ),
            0
        );
        assert_eq!(
            number("select count(*) from tenancy.lint() where rule = 'trust_forgotten'"),
            0
        );
        // As in a restored database.
        run("set local pg_tenancy.trusted_operators = ''");
        let fix = text("select fix from tenancy.lint() where rule = 'trust_forgotten'");
        assert_eq!(fix, "select tenancy.trust_operators('{all}')");
        run(&fix);
        assert_eq!(
            number("select count(*) from tenancy.lint() where rule = 'trust_forgotten'"),
            0
        );
        assert_eq!(text("select tenancy.trust_operators('{}')"), "");
        assert_eq!(
            number("select count(*) from tenancy.operator_trust_chosen"),
            0
        );

        for groups in ["{regex}", "{all,NULL}", "{pattern,~}"] {
            let said = complaint(&format!("select tenancy.trust_operators('{groups}')"));
            assert!(said.starts_with("TN803"), "{said}");
        }
        assert_eq!(
            outcome("set local pg_tenancy.trusted_operators = 'everything'"),
            "22023"
        );
        become_role("tenancy_admin");
        assert_eq!(outcome("select tenancy.trust_operators()"), "42501");
        assert_eq!(
            outcome("set local pg_tenancy.trusted_operators = 'all'"),
            "42501"
        );
    }
}
