//! PostgreSQL's times as ISO 8601 writes them.
//!
//! PostgreSQL counts microseconds, and days, from 2000-01-01. Years before 1 and
//! after 9999 and the infinities have no ISO form of four digits: those are
//! left to PostgreSQL's own output.

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A day and a time within it.
pub struct Instant {
    day: Day,
    micros: i64,
}

pub struct Day {
    year: i64,
    month: i64,
    day: i64,
}

/// The time `micros` microseconds after 2000-01-01T00:00:00.
pub fn instant(micros: i64) -> Option<Instant> {
    Some(Instant {
        day: civil(micros.div_euclid(MICROS_PER_DAY))?,
        micros: micros.rem_euclid(MICROS_PER_DAY),
    })
}

/// The day `days` after 2000-01-01.
pub fn day(days: i32) -> Option<Day> {
    civil(days.into())
}

/// The proleptic Gregorian calendar, counted in eras of 400 years that begin on
/// a first of March, so that the leap day is the last of its year.
fn civil(days_from_2000: i64) -> Option<Day> {
    const DAYS_PER_ERA: i64 = 146_097;
    // From 0000-03-01 to 2000-01-01.
    let days = days_from_2000 + 730_425;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_from_march = (5 * day_of_year + 2) / 153;
    let month = if months_from_march < 10 {
        months_from_march + 3
    } else {
        months_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (1..=9999).contains(&year).then_some(Day {
        year,
        month,
        day: day_of_year - (153 * months_from_march + 2) / 5 + 1,
    })
}

/// A text of digits that is filled from the left. `write!` took twenty times as long, and
/// a page of twenty rows has forty times.
struct Digits<const LENGTH: usize> {
    text: [u8; LENGTH],
    at: usize,
}

impl<const LENGTH: usize> Digits<LENGTH> {
    fn new() -> Self {
        Self {
            text: [b'0'; LENGTH],
            at: 0,
        }
    }

    /// A number that has so many digits at most, with zeros before it.
    fn number(&mut self, number: i64, digits: usize) {
        let mut rest = number.unsigned_abs();
        for place in self.text[self.at..self.at + digits].iter_mut().rev() {
            *place = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.at += digits;
    }

    fn then(&mut self, sign: u8) {
        self.text[self.at] = sign;
        self.at += 1;
    }

    fn day(&mut self, day: &Day) {
        self.number(day.year, 4);
        self.then(b'-');
        self.number(day.month, 2);
        self.then(b'-');
        self.number(day.day, 2);
    }
}

impl Day {
    pub fn digits(&self) -> [u8; 10] {
        let mut digits = Digits::<10>::new();
        digits.day(self);
        digits.text
    }
}

impl Instant {
    pub fn digits(&self) -> [u8; 26] {
        self.write::<26>().text
    }

    /// The same with a `Z` behind it.
    pub fn utc(&self) -> [u8; 27] {
        let mut digits = self.write::<27>();
        digits.then(b'Z');
        digits.text
    }

    fn write<const LENGTH: usize>(&self) -> Digits<LENGTH> {
        let (seconds, micros) = (self.micros / 1_000_000, self.micros % 1_000_000);
        let mut digits = Digits::new();
        digits.day(&self.day);
        digits.then(b'T');
        digits.number(seconds / 3600, 2);
        digits.then(b':');
        digits.number(seconds / 60 % 60, 2);
        digits.then(b':');
        digits.number(seconds % 60, 2);
        digits.then(b'.');
        // Always six digits, so that times sort as text.
        digits.number(micros, 6);
        digits
    }
}
