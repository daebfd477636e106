//! Latencies in few cells: those of [`weir_schema::telemetry::histogram`], `1 << SHIFT` of them taken together, at most
//! `CELLS_MAX`. What finds no cell is counted in a slower one: a quantile is never shown better than it is.

use weir_schema::telemetry::histogram::{Histogram, bounds_us};

/// Latencies of some requests.
#[derive(Clone, Debug, Default)]
pub(in crate::dashboard) struct Latency<const SHIFT: u16, const CELLS_MAX: usize>(Vec<(u16, u32)>);

/// Of a region: no more than 1/32 above the exact one.
pub(in crate::dashboard) type Fine = Latency<2, 832>;
/// Of one tenant: no more than 1/8 above the exact one while the latencies of a slot lie within a factor of 32.
pub(in crate::dashboard) type Coarse = Latency<4, 40>;

impl<const SHIFT: u16, const CELLS_MAX: usize> Latency<SHIFT, CELLS_MAX> {
    fn count(&mut self, cell: u16, count: u32) {
        let place = self.0.partition_point(|(known, _)| *known < cell);
        if self.0.get(place).is_some_and(|(known, _)| *known == cell) || self.0.len() >= CELLS_MAX {
            let last = self.0.len().saturating_sub(1);
            if let Some((known, sum)) = self.0.get_mut(place.min(last)) {
                *known = (*known).max(cell);
                *sum = sum.saturating_add(count);
            }
        } else {
            self.0.insert(place, (cell, count));
        }
    }

    /// Adds what a frame counted.
    pub(super) fn add(&mut self, histogram: &Histogram) {
        for (cell, count) in histogram.cells.iter() {
            self.count(cell >> SHIFT, u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    /// Adds others.
    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(cell, count)| self.count(*cell, *count));
    }

    /// The quantile `ppm / 1,000,000`, microseconds; none without requests.
    pub(in crate::dashboard) fn quantile_us(&self, ppm: u64) -> Option<u32> {
        let total: u64 = self.0.iter().map(|(_, count)| u64::from(*count)).sum();
        let rank = (u128::from(total) * u128::from(ppm)).div_ceil(1_000_000).max(1);
        let mut seen = 0_u128;
        let found = self.0.iter().find(|(_, count)| {
            seen += u128::from(*count);
            seen >= rank
        });
        found.map(|(cell, _)| bounds_us((cell << SHIFT) + ((1 << SHIFT) - 1)).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<const SHIFT: u16, const MAX: usize>(us: impl Iterator<Item = u32>) -> Latency<SHIFT, MAX> {
        let mut histogram = Histogram::default();
        us.for_each(|us| histogram.record(us));
        let mut latency = Latency::default();
        latency.add(&histogram);
        latency
    }

    #[test]
    fn quantiles_are_near_the_exact_ones_and_never_below() {
        let fine: Fine = of(1..=10_000);
        for (ppm, exact) in [(500_000, 5000_u32), (990_000, 9900), (1_000_000, 10_000)] {
            let shown = fine.quantile_us(ppm).unwrap();
            assert!(
                (exact..=exact + exact / 32 + 1).contains(&shown),
                "{ppm}: {shown}"
            );
        }
        assert_eq!(Fine::default().quantile_us(500_000), None);
    }

    #[test]
    fn cells_are_bounded_and_what_is_over_counts_as_slower() {
        let coarse: Coarse = of((1..3000).map(|step| step * 1000));
        assert!(coarse.0.len() <= 40);
        assert!(coarse.quantile_us(1_000_000).unwrap() >= 2_999_000);
        assert!(coarse.quantile_us(500_000).unwrap() >= 1_500_000);
        let mut sum = Coarse::default();
        (0..100).for_each(|_| sum.merge(&coarse));
        assert!(sum.0.len() <= 40);
    }
}
