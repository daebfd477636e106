//! `TIME` and its parts, in UTC.

use crate::variables::Var;

/// The text of a variable at a time in milliseconds since 1970; `None` for a variable that is none of these.
pub(super) fn text(var: Var, now_unix_ms: u64) -> Option<String> {
    let seconds = now_unix_ms / 1000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let (year, month, day) = date(days);
    Some(match var {
        Var::Time => format!("{hour:02}:{minute:02}:{second:02}"),
        Var::TimeDay => day.to_string(),
        Var::TimeEpoch => seconds.to_string(),
        Var::TimeHour => hour.to_string(),
        Var::TimeMin => minute.to_string(),
        // From 0, as C counts.
        Var::TimeMon => (month - 1).to_string(),
        Var::TimeSec => second.to_string(),
        // From Sunday, which is 0; the first of January 1970 was a Thursday.
        Var::TimeWday => ((days + 4) % 7).to_string(),
        Var::TimeYear => year.to_string(),
        _ => return None,
    })
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that a leap day is the last of its year, in eras of 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{date, text};
    use crate::variables::Var;

    #[test]
    fn days_have_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(19_782), (2024, 2, 29));
        assert_eq!(date(20_783), (2026, 11, 26));
        let at = |var| text(var, 1_709_210_096_000).unwrap();
        assert_eq!(
            (at(Var::Time), at(Var::TimeWday), at(Var::TimeMon)),
            ("12:34:56".into(), "4".into(), "1".into())
        );
    }
}
