//! Days and months of the Gregorian calendar in UTC, by which charges are kept.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds in a day.
pub const DAY_MS: u64 = 86_400_000;

/// A day in UTC; in JSON `2026-11-25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(u32);

impl Day {
    /// Last day that is understood: 9999-12-31.
    const LAST: u32 = 2_932_896;

    /// The day of a unix time in milliseconds.
    pub fn of_ms(unix_ms: u64) -> Self {
        Self(u32::try_from(unix_ms / DAY_MS).map_or(Self::LAST, |days| days.min(Self::LAST)))
    }

    /// The day of a date; `None` when there is no such date since 1970 and before 10000.
    pub fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let month = Month::new(year, month)?;
        (1..=month.days())
            .contains(&day)
            .then(|| Self(month.first().0 + day - 1))
    }

    /// Reads `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts.as_slice() else {
            return None;
        };
        let number = |text: &str, length: usize| {
            let fits = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
            fits.then(|| text.parse().ok())?
        };
        Self::new(number(year, 4)?, number(month, 2)?, number(day, 2)?)
    }

    /// Unix time of its start, milliseconds.
    pub fn start_ms(self) -> u64 {
        u64::from(self.0) * DAY_MS
    }

    /// The next day; the last one's is itself.
    pub fn next(self) -> Self {
        Self((self.0 + 1).min(Self::LAST))
    }

    /// Its month.
    pub fn month(self) -> Month {
        Month::of(self)
    }

    /// Its number in the month, from 1.
    pub fn number(self) -> u32 {
        self.0 - self.month().first().0 + 1
    }

    /// Days since 1970-01-01.
    pub const fn since_1970(self) -> u32 {
        self.0
    }

    /// Its start as ISO 8601: `2026-11-25T00:00:00Z`.
    pub fn start_text(self) -> String {
        format!("{self}T00:00:00Z")
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:02}", self.month(), self.number())
    }
}

/// A month in UTC; in JSON `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Month {
    year: u32,
    month: u32,
}

impl Month {
    /// A month from 1970 on; `None` for a number outside 1 to 12 or a year outside 1970 to 9999.
    pub fn new(year: u32, month: u32) -> Option<Self> {
        ((1970..=9999).contains(&year) && (1..=12).contains(&month)).then_some(Self { year, month })
    }

    /// Reads `YYYY-MM`.
    pub fn parse(text: &str) -> Option<Self> {
        Day::parse(&format!("{text}-01")).map(Day::month)
    }

    /// The civil date of a day number, from the algorithm of Howard Hinnant's "chrono-compatible low-level date
    /// algorithms": eras of 400 years that start in March.
    fn of(day: Day) -> Self {
        let shifted = day.0 + 719_468;
        let of_era = shifted % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        let year = year_of_era + shifted / 146_097 * 400 + u32::from(month <= 2);
        Self { year, month }
    }

    /// Its first day.
    pub fn first(self) -> Day {
        let year = self.year - u32::from(self.month <= 2);
        let from_march = if self.month > 2 {
            self.month - 3
        } else {
            self.month + 9
        };
        let of_year = (153 * from_march + 2) / 5;
        let of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + of_year;
        Day(year / 400 * 146_097 + of_era - 719_468)
    }

    /// How many days it has.
    pub const fn days(self) -> u32 {
        match self.month {
            2 if self.year.is_multiple_of(4)
                && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400)) =>
            {
                29
            }
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// The first day after it.
    pub fn end(self) -> Day {
        Day(self.first().0 + self.days())
    }

    /// Its days in order.
    pub fn each_day(self) -> impl Iterator<Item = Day> {
        (self.first().0..self.end().0).map(Day)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

macro_rules! as_text {
    ($name:ident, $expected:literal) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom(concat!("expected ", $expected)))
            }
        }
    };
}
as_text!(Day, "a date YYYY-MM-DD");
as_text!(Month, "a month YYYY-MM");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_has_the_date_that_follows_the_one_before() {
        let mut day = Day::new(1970, 1, 1).unwrap();
        assert_eq!(day.start_ms(), 0);
        for year in 1970..=2110 {
            for month in 1..=12 {
                let month = Month::new(year, month).unwrap();
                assert_eq!(
                    (month.first(), month.each_day().count() as u32),
                    (day, month.days())
                );
                for number in 1..=month.days() {
                    assert_eq!((day.month(), day.number()), (month, number));
                    day = day.next();
                }
            }
        }
        assert_eq!(day.to_string(), "2111-01-01");
    }

    #[test]
    fn known_dates_and_wrong_ones() {
        assert_eq!(Day::of_ms(1_764_083_119_000).to_string(), "2025-11-25");
        assert_eq!(Day::parse("9999-12-31"), Some(Day(Day::LAST)));
        assert_eq!(Day::of_ms(u64::MAX), Day(Day::LAST));
        assert_eq!(Month::parse("2024-02").unwrap().days(), 29);
        for wrong in [
            "2026-2-01",
            "2026-13-01",
            "2026-02-30",
            "1969-12-31",
            "2026-01-01T",
            "+026-01-01",
            "2026-01",
        ] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
    }
}
