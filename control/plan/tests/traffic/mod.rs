//! Traffic for the SLO engine: one tenant, and random numbers that a seed repeats.

use weir_plan::slo::engine::Since;
use weir_plan::slo::{Counts, Engine, Labels, Sample, SeriesId, Tier};

/// An engine with one tenant that begins at `start_s`.
pub(crate) fn engine_with(tier: Tier, start_s: u64) -> (Engine, SeriesId) {
    let mut engine = Engine::new(1);
    let labels = Labels {
        tenant: Some("t".into()),
        tier: Some(tier),
        ..Labels::default()
    };
    let since = Since {
        second: start_s,
        counts: Counts::default(),
    };
    let id = engine.add(labels, tier.objectives(), since).unwrap();
    (engine, id)
}

/// Events of a second.
pub(crate) fn sample(series: SeriesId, second: u64, events: u64, bad: [u64; 2]) -> Sample {
    Sample {
        series,
        second,
        counts: Counts { events, bad },
    }
}

/// xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    /// Begins with a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.unit() * end as f64) as u64
    }

    /// Time to the next of events that come once in a unit of time on average.
    pub(crate) fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }
}
