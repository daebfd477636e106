//! Tables and times for people.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// Spaces between columns.
const GAP: usize = 2;

/// A column: its title, and its cell of a thing.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) cell: fn(&Value) -> String,
}

impl Column {
    pub(super) const fn new(title: &'static str, cell: fn(&Value) -> String) -> Self {
        Self { title, cell }
    }
}

/// A table that is written in parts; its columns never become narrower.
pub(super) struct Table {
    columns: &'static [Column],
    widths: Vec<usize>,
    begun: bool,
}

impl Table {
    pub(super) fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            widths: columns
                .iter()
                .map(|column| column.title.chars().count())
                .collect(),
            begun: false,
        }
    }

    /// The next lines, with the titles before the first.
    pub(super) fn part(&mut self, items: &[Value]) -> String {
        let rows: Vec<Vec<String>> = items
            .iter()
            .map(|item| {
                let cells = self.columns.iter().map(|column| plain(&(column.cell)(item)));
                cells
                    .map(|cell| if cell.is_empty() { "-".to_owned() } else { cell })
                    .collect()
            })
            .collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            let titles: Vec<String> = self
                .columns
                .iter()
                .map(|column| column.title.to_owned())
                .collect();
            self.line(&titles, &mut text);
        }
        rows.iter().for_each(|row| self.line(row, &mut text));
        text
    }

    fn line(&self, cells: &[String], text: &mut String) {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(&self.widths) {
            let width = width + GAP;
            // A text always takes it.
            let _ = write!(line, "{cell:width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Without characters that a terminal obeys.
pub(super) fn plain(text: &str) -> String {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if hidden(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// A member as text; empty when there is none.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

/// Unix time in milliseconds as RFC 3339 has it, to the second, in UTC.
pub(super) fn time(value: &Value) -> String {
    let Some(unix_ms) = value.as_u64() else {
        return String::new();
    };
    let unix_s = unix_ms / 1000;
    let (year, month, day) = date(unix_s / 86_400);
    let (hour, minute, second) = (unix_s / 3600 % 24, unix_s / 60 % 60, unix_s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap day is their
/// last, in eras of 400 years, which all have the same days.
fn date(unix_day: u64) -> (u64, u64, u64) {
    // From 0000-03-01 to 1970-01-01.
    let day = unix_day.saturating_add(719_468);
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day_of_year - (153 * month_from_march + 2) / 5 + 1)
}

/// A time span of milliseconds.
pub(super) fn span(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1000, ms / 100 % 10),
        10_000..600_000 => format!("{} s", ms / 1000),
        600_000..36_000_000 => format!("{} min", ms / 60_000),
        36_000_000..864_000_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// A number of things.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Now, Unix time in milliseconds.
pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[
        Column::new("ID", |item| text(&item["id"])),
        Column::new("NOTE", |item| text(&item["note"])),
    ];

    #[test]
    fn columns_are_aligned_also_over_parts_and_nothing_is_a_dash() {
        let mut table = Table::new(COLUMNS);
        let first = table.part(&[json!({"id": "eu-1", "note": "a\u{1b}[31mb"}), json!({"id": "é"})]);
        assert_eq!(first, "ID    NOTE\neu-1  a\u{fffd}[31mb\né     -\n");
        assert_eq!(table.part(&[json!({"id": "us", "note": 7})]), "us    7\n");
        assert_eq!(Table::new(COLUMNS).part(&[]), "ID  NOTE\n");
    }

    #[test]
    fn times_are_in_utc_and_spans_have_a_unit() {
        assert_eq!(time(&json!(951_782_400_999_u64)), "2000-02-29T00:00:00Z");
        assert_eq!(time(&json!(u64::MAX)).len(), "584556019-04-03T14:25:51Z".len());
        assert_eq!(time(&Value::Null), "");
        assert_eq!(
            [0, 1_250, 61_000, 601_000, 90_000_000, 2_000_000_000].map(span),
            ["0.0 s", "1.2 s", "61 s", "10 min", "25 h", "23 d"]
        );
    }
}
