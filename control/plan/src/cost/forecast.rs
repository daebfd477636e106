//! What a month will cost: a plain forecast that a person can recompute, with its interval.
//!
//! The days to come, and today at least, cost what a day of the last complete ones cost on average (28 at most, 3 at least,
//! also those of the month before). The interval is 1.96 standard deviations of their sum either way, 95 % for independent
//! days: `s * sqrt(k * (1 + k / n))` with `n` days seen, `k` days to come and `s` the deviation of the days seen, so that the
//! uncertainty of the average counts too. With few days seen it is too narrow, and it knows no weekdays, trends or seasons.

use serde::Serialize;

use super::money::Money;

/// Complete days that a forecast needs.
pub const DAYS_MIN: usize = 3;
/// Complete days that it looks at.
pub const DAYS_MAX: usize = 28;

/// The expected cost of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// What is most likely.
    pub expected: Money,
    /// Lower end of the interval of 95 %, never below what is spent.
    pub low: Money,
    /// Upper end.
    pub high: Money,
}

/// Variances are of 10^-6 units: those of nano-units would not fit.
const NANOS_IN_STEP: i128 = 1000;

/// Forecasts a month from the totals of complete days (the latest last), what its complete days cost (`closed`), today's
/// cost so far and how many days come after today. `None` with fewer than [`DAYS_MIN`] complete days.
pub fn forecast(complete: &[Money], closed: Money, today: Money, days_left: u32) -> Option<Forecast> {
    let seen = complete.get(complete.len().saturating_sub(DAYS_MAX)..)?;
    if seen.len() < DAYS_MIN {
        return None;
    }
    let (n, k) = (seen.len() as i128, i128::from(days_left) + 1);
    let sum: Money = seen.iter().copied().sum();
    let mean = sum.as_nanos() / n;
    let rest = mean.saturating_mul(k - 1);
    let expected = closed + Money::nanos(today.as_nanos().max(mean)) + Money::nanos(rest);
    let squares = seen.iter().fold(0_i128, |sum, day| {
        let off = (day.as_nanos() - mean) / NANOS_IN_STEP;
        sum.saturating_add(off.saturating_mul(off))
    });
    let variance = squares.saturating_mul(k).saturating_mul(n + k) / (n * (n - 1));
    let half = Money::nanos(variance.unsigned_abs().isqrt() as i128 * NANOS_IN_STEP * 196 / 100);
    Some(Forecast {
        expected,
        low: (expected - half).max(closed + today),
        high: expected + half,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_days_go_on() {
        let days = [Money::units(10); 5];
        let forecast = forecast(&days, Money::units(50), Money::units(4), 25).unwrap();
        let all = Money::units(310);
        assert_eq!((forecast.expected, forecast.low, forecast.high), (all, all, all));
        assert_eq!(super::forecast(&days[..2], Money::ZERO, Money::ZERO, 25), None);
    }

    #[test]
    fn the_interval_is_of_the_sum_of_the_days_to_come() {
        // Deviation of 8, 10, 12 is 2; ten days to come: 1.96 * 2 * sqrt(10 * (1 + 10 / 3)).
        let days = [8, 10, 12].map(Money::units);
        let forecast = forecast(&days, Money::units(30), Money::ZERO, 9).unwrap();
        assert_eq!(forecast.expected, Money::units(130));
        let half = (forecast.high - forecast.expected).as_nanos();
        assert!((half - 25_804_597_000).abs() < 10_000, "{half}");
        assert_eq!(forecast.low, Money::nanos(130_000_000_000 - half));
    }

    #[test]
    fn a_costly_today_and_what_is_spent_count() {
        let days = [1, 1, 40].map(Money::units);
        let forecast = forecast(&days, Money::units(42), Money::units(100), 0).unwrap();
        assert_eq!(
            (forecast.expected, forecast.low),
            (Money::units(142), Money::units(142))
        );
    }

    /// Independent days: the month ends inside the interval about 95 times in 100.
    #[test]
    fn the_interval_holds_for_independent_days() {
        let mut seed = 7_u64;
        let mut day = || {
            // Knuth's constants; the high bits are good enough for a test.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            Money::nanos(i128::from(seed >> 33) + 1_000_000_000)
        };
        let mut inside = 0;
        for _ in 0..2000 {
            let days: Vec<Money> = (0..30).map(|_| day()).collect();
            let closed: Money = days[..12].iter().copied().sum();
            let total: Money = days.iter().copied().sum();
            let forecast = forecast(&days[..12], closed, Money::ZERO, 17).unwrap();
            inside += u32::from(forecast.low <= total && total <= forecast.high);
        }
        assert!((1820..=1940).contains(&inside), "{inside} of 2000");
    }
}
