//! The date that every answer carries: RFC 9110 sections 5.6.7 and 6.6.1.

const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
/// From March on: a leap day is then the last day of its year.
const MONTHS: [&[u8; 3]; 12] = [
    b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec", b"Jan", b"Feb",
];
const DAY_S: u64 = 86_400;
/// Days from the first of March of year 0 to the first of January 1970.
const EPOCH_DAYS: u64 = 719_468;
/// Days of 400, of 100 and of 4 years.
const CYCLE_DAYS: u64 = 146_097;
const CENTURY_DAYS: u64 = 36_524;
const FOUR_YEARS_DAYS: u64 = 1_461;
/// The last second of the year 9999, which has the last year of four digits.
const UNIX_S_MAX: u64 = 253_402_300_799;

/// `unix_s`, seconds since 1970, as an `IMF-fixdate`, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn http_date(unix_s: u64) -> [u8; 29] {
    let unix_s = unix_s.min(UNIX_S_MAX);
    let days = unix_s / DAY_S;
    let second = unix_s % DAY_S;
    let (year, month, day) = civil(days);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    put(&mut text, 0, name(&WEEKDAYS, days % 7));
    put(&mut text, 5, &two_digits(day));
    put(&mut text, 8, name(&MONTHS, month));
    put(&mut text, 12, &two_digits(year / 100));
    put(&mut text, 14, &two_digits(year % 100));
    put(&mut text, 17, &two_digits(second / 3600));
    put(&mut text, 20, &two_digits(second / 60 % 60));
    put(&mut text, 23, &two_digits(second % 60));
    text
}

/// Year, month from 1 for January, and day from 1, of a number of days since 1970 in the proleptic Gregorian calendar.
#[must_use]
pub fn calendar_date(unix_days: u64) -> (u64, u64, u64) {
    let (year, month_from_march, day) = civil(unix_days);
    (year, (month_from_march + 2) % 12 + 1, day)
}

/// Year, month from 0 for March, and day from 1, of the proleptic Gregorian calendar.
fn civil(unix_days: u64) -> (u64, u64, u64) {
    let days = unix_days + EPOCH_DAYS;
    let in_cycle = days % CYCLE_DAYS;
    // Leap days before this one are taken out; the last day of each period is itself one.
    let leaps = in_cycle / (FOUR_YEARS_DAYS - 1) + in_cycle / (CYCLE_DAYS - 1);
    let year_in_cycle = (in_cycle - leaps + in_cycle / CENTURY_DAYS) / 365;
    let day_of_year = in_cycle - (365 * year_in_cycle + year_in_cycle / 4 - year_in_cycle / 100);
    // Months from March have 31, 30, 31, 30, 31 days over and over: 153 in five.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = days / CYCLE_DAYS * 400 + year_in_cycle + u64::from(month >= 10);
    (year, month, day)
}

fn name<'a>(names: &[&'a [u8; 3]], index: u64) -> &'a [u8; 3] {
    usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index).copied())
        .unwrap_or(b"???")
}

fn two_digits(number: u64) -> [u8; 2] {
    let digit = |n: u64| b'0' + u8::try_from(n % 10).unwrap_or_default();
    [digit(number / 10), digit(number)]
}

fn put(text: &mut [u8; 29], at: usize, bytes: &[u8]) {
    if let Some(place) = text.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix_s, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_704_067_199, "Sun, 31 Dec 2023 23:59:59 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&http_date(unix_s)), Ok(text), "{unix_s}");
        }
    }

    #[test]
    fn days_follow_each_other_without_a_gap() {
        let mut before = civil(0);
        for days in 1..400_000 {
            let now = civil(days);
            let next_day = now == (before.0, before.1, before.2 + 1);
            let first = now.2 == 1 && before.2 >= 28 && now.1 == (before.1 + 1) % 12;
            let year = before.0 + u64::from(before.1 == 9 && now.1 == 10);
            assert!(next_day || (first && now.0 == year), "{before:?} then {now:?}");
            before = now;
        }
    }
}
