//! Lists: a page of rows, how many there are, and where to go on.

use pgrx::pg_sys;

use crate::fault::Fault;
use crate::function::{Answer, null};
use crate::rows::bind::{Unread, bind};
use crate::rows::columns::in_postgres_memory;
use crate::rows::conditions::whole_order;
use crate::rows::count::Counting;
use crate::rows::cursor::{self, Key};
use crate::rows::deleted;
use crate::rows::direct;
use crate::rows::going_on::{go_on, scope};
use crate::rows::include::{Includes, position_or_add};
use crate::rows::json::Json;
use crate::rows::plan::{self, Found};
use crate::rows::query::Query;
use crate::rows::reader::Reader;
use crate::rows::references::Include;
use crate::rows::relation::Relation;
use crate::rows::run_one;
use crate::rows::seal_keys;
use crate::rows::statement::{Shape, Sort, Verb};

/// The list that a query asks for.
pub fn answer(relation: &'static Relation, query: &str) -> Answer {
    let list = List::read(relation, query)?;
    // SAFETY: what is alive here has no destructor.
    Ok(unsafe { list.answer(relation) })
}

/// A row that is asked for, in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub struct One {
    unread: Unread,
    includes: Includes,
}

impl One {
    /// The row with that id, with the fields and includes that a query asks for.
    pub fn read(relation: &'static Relation, id: &[&str], query: &str) -> Result<Self, Fault> {
        let query = Query::parse_of_one(relation, query)?;
        let chosen = Chosen::of(relation, query.fields, &[], &query.includes);
        let shape = Shape {
            columns: chosen.columns(relation),
            ..Shape::of(Verb::Get, &[])
        };
        let unread = bind(relation, shape, Vec::new(), id, &[])?;
        Ok(Self {
            unread: unread.telling(chosen.told),
            includes: Includes::bind(&query.includes, &chosen.places)?,
        })
    }

    /// The row, or NULL.
    ///
    /// # Safety
    /// As `plan::run`.
    pub unsafe fn answer(
        self,
        call: pg_sys::FunctionCallInfo,
        relation: &'static Relation,
    ) -> pg_sys::Datum {
        // SAFETY: the caller's promise.
        unsafe {
            let mut json = Json::new();
            match run_one(relation, self.unread, self.includes, &mut json) {
                true => json.datum(),
                false => null(call),
            }
        }
    }
}

/// The columns that a statement gives, of which the first ones are told.
struct Chosen {
    places: Vec<usize>,
    told: usize,
}

impl Chosen {
    /// Those asked for, or all that can be read, and what the order and the includes need.
    fn of(
        relation: &Relation,
        fields: Option<Vec<usize>>,
        order: &[Sort],
        includes: &[Include],
    ) -> Self {
        let mut places = fields.unwrap_or_else(|| relation.readable.clone());
        let told = places.len();
        let needed = order.iter().map(|sort| sort.field);
        for place in needed.chain(includes.iter().map(|include| include.field)) {
            position_or_add(&mut places, place);
        }
        Self { places, told }
    }

    /// For a shape: `None` for all that can be read.
    fn columns(&self, relation: &Relation) -> Option<Vec<usize>> {
        (self.places != relation.readable).then(|| self.places.clone())
    }
}

unsafe extern "C-unwind" {
    fn palloc(size: usize) -> *mut u8;
}

/// A list that is asked for, in PostgreSQL's memory.
#[derive(Clone, Copy)]
struct List {
    /// `None` for one that goes on from a cursor.
    page: Option<i64>,
    limit: i64,
    /// Statements for the rows, one behind the other.
    ranges: &'static [Unread],
    includes: Includes,
    count: Option<Counting>,
    end: End,
}

/// What a cursor is made of.
#[derive(Clone, Copy)]
struct End {
    /// Columns of the order: where they are in the result, and their fields.
    columns: &'static [(usize, usize)],
    scope: &'static [u8],
    key: Key,
    /// Whoever turns pages by number can do without a cursor.
    can_do_without: bool,
}

impl List {
    fn read(relation: &'static Relation, query: &str) -> Result<Self, Fault> {
        let query = Query::parse(relation, query)?;
        let order = whole_order(relation, &query.sort);
        let mut scope = scope(relation, &order, &query.filter)?;
        if query.is_of_deleted {
            deleted::require(relation)?;
            scope.add(b"deleted");
        }
        let (verb, counted) = if query.is_of_deleted {
            (Verb::ListDeleted, Verb::CountDeleted)
        } else {
            (Verb::List, Verb::Count)
        };
        let chosen = Chosen::of(relation, query.fields, &order, &query.includes);
        let count = query
            .count
            .map(|precision| Counting::read(relation, counted, precision, &query.filter))
            .transpose()?;
        let shape = Shape {
            sort: query.sort,
            columns: chosen.columns(relation),
            ..Shape::of(verb, &query.filter)
        };
        let page = query.page.unwrap_or(1);
        // One more, to know whether there are more.
        let most = query.limit + 1;
        let ranges = match &query.cursor {
            None => {
                let numbers = [most, (page - 1) * query.limit];
                vec![bind(relation, shape, query.filter, &[], &numbers)?]
            }
            Some(cursor) => {
                let key = |number| seal_keys::opening(number).ok().flatten();
                let values = cursor::open(cursor, scope.as_bytes(), key)?;
                go_on(relation, &shape, &order, &query.filter, &values, most)?
            }
        };
        let ranges: Vec<Unread> = ranges
            .into_iter()
            .map(|range| range.telling(chosen.told))
            .collect();
        let place_of = |field| chosen.places.iter().position(|place| *place == field);
        let columns: Vec<(usize, usize)> = order
            .iter()
            .filter_map(|sort| Some((place_of(sort.field)?, sort.field)))
            .collect();
        Ok(Self {
            page: query.cursor.is_none().then_some(page),
            limit: query.limit,
            ranges: in_postgres_memory(&ranges),
            includes: Includes::bind(&query.includes, &chosen.places)?,
            count,
            end: End {
                columns: in_postgres_memory(&columns),
                scope: in_postgres_memory(scope.as_bytes()),
                key: seal_keys::sealing()?,
                can_do_without: query.page.is_some(),
            },
        })
    }

    /// # Safety
    /// As `plan::run`.
    unsafe fn answer(&self, relation: &'static Relation) -> pg_sys::Datum {
        let mut json = Json::new();
        // SAFETY: the caller's promise; nothing here has a destructor, but what seals.
        unsafe {
            json.push(b"{\"data\":[");
            let mut values = Json::new();
            let has_more = self.rows(relation, &mut json, &mut values);
            json.push(b"],");
            if let Some(page) = self.page {
                json.push(b"\"page\":");
                json.number(page);
                json.push(b",");
            }
            json.push(b"\"limit\":");
            json.number(self.limit);
            if let Some(count) = self.count {
                let total = count.count(relation);
                json.push(b",\"total\":");
                json.number(total.number);
                if total.is_estimate {
                    json.push(b",\"totalIsEstimate\":true");
                }
            }
            if has_more {
                self.end.write(&mut json, values.written());
            }
            json.push(b"}");
        }
        json.datum()
    }

    /// Writes the rows, and of the last one what it was sorted by. Whether there are more.
    unsafe fn rows(&self, relation: &'static Relation, json: &mut Json, values: &mut Json) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            let mut page = Page {
                list: self,
                relation,
                json,
                values,
                told: 0,
            };
            if let ([range], true) = (self.ranges, self.includes.are_none()) {
                let bound = range.read(relation);
                let found = direct::walk(bound, relation, self.limit as u64, |row| page.add(row));
                if let Some(number) = found {
                    return number as i64 > self.limit;
                }
            }
            self.rows_of_ranges(relation, &mut page)
        }
    }

    unsafe fn rows_of_ranges(&self, relation: &'static Relation, page: &mut Page<'_>) -> bool {
        // SAFETY: the caller's promise; there is a place for what each range finds.
        unsafe {
            let founds: *mut Found = palloc(size_of::<Found>() * self.ranges.len()).cast();
            let mut number = 0;
            let mut left = self.limit + 1;
            plan::start();
            for range in self.ranges {
                let bound = range.read(relation);
                let limit = bound.values.add(bound.numbers);
                limit.write(pg_sys::Datum::from(left));
                let found = plan::execute(bound, relation);
                founds.add(number).write(found);
                number += 1;
                left -= found.number as i64;
                if left == 0 {
                    break;
                }
            }
            let founds = std::slice::from_raw_parts(founds, number);
            self.includes.load(founds);
            for found in founds {
                let mut reader = Reader::of(relation, self.ranges[0].columns(), *found);
                for row in 0..found.number {
                    if page.told == self.limit {
                        break;
                    }
                    reader.read(row);
                    page.add(&reader);
                }
            }
            plan::finish();
            left == 0
        }
    }
}

/// A page that is being written.
struct Page<'a> {
    list: &'a List,
    relation: &'static Relation,
    json: &'a mut Json,
    /// What the last row was sorted by.
    values: &'a mut Json,
    told: i64,
}

impl Page<'_> {
    /// # Safety
    /// As `Json::row`.
    unsafe fn add(&mut self, row: &Reader) {
        if self.told > 0 {
            self.json.push(b",");
        }
        self.told += 1;
        // SAFETY: the caller's promise.
        unsafe {
            self.json.row(row, self.list.includes);
            if self.told == self.list.limit {
                for &(column, field) in self.list.end.columns {
                    let field = &self.relation.fields[field];
                    self.values.sort_value(field, row.value(column));
                }
            }
        }
    }
}

impl End {
    /// Writes the cursor of the page that ended with these values. TN416 where it would
    /// be too long.
    fn write(&self, json: &mut Json, values: &[u8]) {
        // So that no memory is needed while what seals is alive.
        json.reserve(values.len() * 2 + 256);
        let cursor = cursor::seal(values, self.scope, &self.key);
        let Some(cursor) = cursor else {
            if self.can_do_without {
                return;
            }
            Fault::new("TN416", "a value is too long to go on from it")
                .hint("Sort by something shorter, or turn the pages by number: page=1.")
                .field("sort")
                .raise()
        };
        json.push(b",\"nextCursor\":\"");
        json.push(cursor.as_bytes());
        json.push(b"\"");
    }
}
