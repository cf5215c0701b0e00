//! What comes after a row, in the order of a list.
//!
//! Told as ranges, one behind the other, each of which is one stretch of an index
//! that leads with the columns of the order. So a page is read from where the last
//! one ended, and the rows before it are not. With NULLs, or with columns that rise
//! beside some that fall, there is more than one: `or` would find the same rows by
//! reading all.
//!
//! NULLs are where PostgreSQL has them: last where a column rises, first where it falls.

/// A column of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The place of its field.
    pub field: usize,
    pub is_descending: bool,
    pub is_nullable: bool,
    /// Whether it compares by PostgreSQL's own operators, and so in a row with others.
    pub is_plain: bool,
}

/// A condition on what comes after. Those with a value take that of the last row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    Same(usize),
    IsNull(usize),
    IsNotNull(usize),
    /// Compared as one row.
    Behind {
        fields: Vec<usize>,
        is_descending: bool,
    },
}

impl Step {
    /// The fields whose values it takes.
    pub fn with_value(&self) -> &[usize] {
        match self {
            Self::Same(field) => std::slice::from_ref(field),
            Self::IsNull(_) | Self::IsNotNull(_) => &[],
            Self::Behind { fields, .. } => fields,
        }
    }
}

/// All of a range's conditions hold for its rows.
pub type Range = Vec<Step>;

/// The ranges after a row of which is known where it has NULL, in their order.
pub fn ranges(order: &[Column], is_null: &[bool]) -> Vec<Range> {
    let mut ranges = Vec::new();
    add(order, is_null, &Range::new(), &mut ranges);
    ranges
}

/// Those among the rows for which `before` holds.
fn add(order: &[Column], is_null: &[bool], before: &Range, ranges: &mut Vec<Range>) {
    let (Some((column, rest)), Some((&has_null, nulls))) =
        (order.split_first(), is_null.split_first())
    else {
        return;
    };
    let and = |step| before.iter().cloned().chain([step]).collect::<Range>();

    let is_one_row = !has_null && column.is_plain && rest.iter().all(|next| next.joins(column));
    if is_one_row {
        ranges.push(and(column.behind(rest)));
    } else {
        let same = if has_null {
            Step::IsNull(column.field)
        } else {
            Step::Same(column.field)
        };
        add(rest, nulls, &and(same), ranges);
        if !has_null {
            ranges.push(and(column.behind(&[])));
        }
    }
    if !column.is_nullable {
        return;
    }
    match (column.is_descending, has_null) {
        (false, false) => ranges.push(and(Step::IsNull(column.field))),
        (true, true) => ranges.push(and(Step::IsNotNull(column.field))),
        _ => {}
    }
}

impl Column {
    /// Whether it can follow that one in a comparison of rows.
    fn joins(&self, first: &Self) -> bool {
        !self.is_nullable && self.is_plain && self.is_descending == first.is_descending
    }

    fn behind(&self, rest: &[Self]) -> Step {
        let fields = [self].into_iter().chain(rest);
        Step::Behind {
            fields: fields.map(|column| column.field).collect(),
            is_descending: self.is_descending,
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn column(field: usize, is_descending: bool, is_nullable: bool) -> Column {
        Column {
            field,
            is_descending,
            is_nullable,
            is_plain: true,
        }
    }

    fn behind(fields: &[usize], is_descending: bool) -> Step {
        Step::Behind {
            fields: fields.to_vec(),
            is_descending,
        }
    }

    #[test]
    fn columns_that_go_one_way_are_one_range() {
        let order = [column(3, true, false), column(0, true, false)];
        assert_eq!(
            ranges(&order, &[false, false]),
            [vec![behind(&[3, 0], true)]]
        );
    }

    #[test]
    fn columns_that_go_two_ways_are_a_range_each() {
        let order = [column(3, true, false), column(0, false, false)];
        assert_eq!(
            ranges(&order, &[false, false]),
            [
                vec![Step::Same(3), behind(&[0], false)],
                vec![behind(&[3], true)],
            ]
        );
    }

    #[test]
    fn nulls_are_last_where_a_column_rises_and_first_where_it_falls() {
        let rising = [column(3, false, true), column(0, false, false)];
        assert_eq!(
            ranges(&rising, &[false, false]),
            [vec![behind(&[3, 0], false)], vec![Step::IsNull(3)]]
        );
        assert_eq!(
            ranges(&rising, &[true, false]),
            [vec![Step::IsNull(3), behind(&[0], false)]]
        );
        let falling = [column(3, true, true), column(0, true, false)];
        assert_eq!(
            ranges(&falling, &[false, false]),
            [vec![behind(&[3, 0], true)]]
        );
        assert_eq!(
            ranges(&falling, &[true, false]),
            [
                vec![Step::IsNull(3), behind(&[0], true)],
                vec![Step::IsNotNull(3)],
            ]
        );
    }

    /// Every row of small tables is met once and in order, whatever the order and
    /// wherever one goes on from.
    #[test]
    fn the_ranges_after_a_row_are_the_rest_of_the_list() {
        type Row = [Option<u8>; 3];
        let values = [None, Some(1), Some(2)];
        let all: Vec<Row> = values
            .iter()
            .flat_map(|&a| values.iter().map(move |&b| (a, b)))
            .flat_map(|(a, b)| (1..=2).map(move |key| [a, b, Some(key)]))
            .collect();
        for directions in 0..8u8 {
            let falls = |place: usize| directions & (1 << place) != 0;
            for plain in 0..8u8 {
                let order: Vec<Column> = (0..3)
                    .map(|place| Column {
                        is_plain: plain & (1 << place) != 0,
                        ..column(place, falls(place), place < 2)
                    })
                    .collect();
                // NULL is greater than all.
                let rank = |row: &Row| -> Vec<i16> {
                    let rank = |place: usize| {
                        let value = row[place].map_or(9, i16::from);
                        if falls(place) { -value } else { value }
                    };
                    (0..3).map(rank).collect()
                };
                let mut list = all.clone();
                list.sort_by_key(rank);
                for (at, last) in list.iter().enumerate() {
                    let holds = |step: &Step, row: &Row| match step {
                        Step::Same(place) => row[*place].is_some() && row[*place] == last[*place],
                        Step::IsNull(place) => row[*place].is_none(),
                        Step::IsNotNull(place) => row[*place].is_some(),
                        Step::Behind {
                            fields,
                            is_descending,
                        } => {
                            // As SQL does: the first that differs decides, NULL is no answer.
                            let first = fields.iter().find(|place| row[**place] != last[**place]);
                            first.is_some_and(|&place| match (row[place], last[place]) {
                                (Some(here), Some(there)) => (here < there) == *is_descending,
                                _ => false,
                            })
                        }
                    };
                    let found: Vec<Row> = ranges(&order, &last.map(|value| value.is_none()))
                        .iter()
                        .flat_map(|range| {
                            let rows = list.iter().copied();
                            rows.filter(|row| range.iter().all(|step| holds(step, row)))
                        })
                        .collect();
                    assert_eq!(found, list[at + 1..], "{order:?} after {last:?}");
                }
            }
        }
    }
}
