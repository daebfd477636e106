//! How much of an error budget is spent, and how fast. Comparisons and sums are of integers and exact.

use super::counts::Counts;
use super::objective::{Kind, MILLION, Target};

/// An error budget over its 30 days: the 719 to 720 newest hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Events.
    pub events: u64,
    /// The bad ones: what is spent.
    pub bad: u64,
    /// Bad events that the target allows for so many events, rounded down.
    pub allowed: u64,
    /// Share of the budget that is spent, in millionths, rounded down: over a million when it is overspent.
    pub spent_ppm: u64,
}

impl Budget {
    /// Of what happened in the 30 days.
    pub fn new(counts: &Counts, kind: Kind, target: Target) -> Self {
        let bad = bad(counts, kind);
        Self {
            events: counts.events,
            bad,
            allowed: narrow(u128::from(counts.events) * u128::from(target.bad_ppm()) / u128::from(MILLION)),
            spent_ppm: over_budget(counts.events, bad, target, MILLION),
        }
    }

    /// Bad events that are still allowed; negative when it is overspent.
    pub fn left(&self) -> i64 {
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        signed(self.allowed) - signed(self.bad)
    }
}

/// Whether events are bad at more than `tenths` / 10 times the rate that would spend the budget in exactly its time.
pub fn burns_faster(counts: &Counts, kind: Kind, target: Target, tenths: u64) -> bool {
    let bad = bad(counts, kind);
    bad > 0
        && u128::from(bad) * u128::from(10 * MILLION)
            > u128::from(tenths) * u128::from(target.bad_ppm()) * u128::from(counts.events)
}

/// The burn rate in thousandths, rounded down; 0 without events.
pub fn burn_milli(counts: &Counts, kind: Kind, target: Target) -> u64 {
    over_budget(counts.events, bad(counts, kind), target, 1000)
}

/// The bad events of one kind.
pub(super) fn bad(counts: &Counts, kind: Kind) -> u64 {
    counts.bad.get(kind.index()).copied().unwrap_or(0)
}

/// The ratio of bad events over the ratio that is allowed, times `scale`.
fn over_budget(events: u64, bad: u64, target: Target, scale: u64) -> u64 {
    let allowed = u128::from(events) * u128::from(target.bad_ppm());
    let spent = u128::from(bad) * u128::from(MILLION) * u128::from(scale);
    narrow(spent.checked_div(allowed).unwrap_or(0))
}

fn narrow(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::Tier;

    fn counts(events: u64, bad: u64) -> Counts {
        Counts {
            events,
            bad: [bad, 0],
        }
    }

    #[test]
    fn a_budget_is_spent_and_overspent() {
        let target = Tier::Starter.objectives().availability;
        let half = Budget::new(&counts(1_000_000, 500), Kind::Availability, target);
        assert_eq!((half.allowed, half.spent_ppm, half.left()), (1000, 500_000, 500));
        let over = Budget::new(&counts(1_999, 3), Kind::Availability, target);
        assert_eq!((over.allowed, over.spent_ppm, over.left()), (1, 1_500_750, -2));
        let idle = Budget::new(&Counts::default(), Kind::Availability, target);
        assert_eq!((idle.allowed, idle.spent_ppm, idle.left()), (0, 0, 0));
    }

    #[test]
    fn a_burn_rate_at_its_limit_is_not_over_it() {
        let target = Tier::Starter.objectives().availability;
        let at = counts(10_000, 144);
        assert!(!burns_faster(&at, Kind::Availability, target, 144));
        assert!(burns_faster(
            &counts(10_000, 145),
            Kind::Availability,
            target,
            144
        ));
        assert!(burns_faster(&counts(9_999, 144), Kind::Availability, target, 144));
        assert_eq!(burn_milli(&at, Kind::Availability, target), 14_400);
        assert!(!burns_faster(&at, Kind::Latency, target, 1));
    }

    #[test]
    fn the_largest_counts_do_not_overflow() {
        let target = Tier::Starter.objectives().availability;
        let all = counts(u64::MAX, u64::MAX);
        assert!(burns_faster(&all, Kind::Availability, target, 144));
        assert_eq!(burn_milli(&all, Kind::Availability, target), 1_000_000);
        assert_eq!(
            Budget::new(&all, Kind::Availability, target).spent_ppm,
            1_000_000_000
        );
    }
}
