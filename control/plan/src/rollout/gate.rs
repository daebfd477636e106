//! What counts as harm: more errors, more blocked requests or more CPU per request than before, by more than chance.

use serde::{Deserialize, Serialize};

use super::Seen;

/// What proxies did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Requests that ended.
    pub requests: u64,
    /// Of them, those answered with 5xx, or cut by an upstream.
    pub errors: u64,
    /// Of them, those that the WAF refused.
    pub blocked: u64,
    /// CPU time, nanoseconds.
    pub cpu_ns: u64,
}

impl Sums {
    /// Adds.
    pub fn add(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.errors = self.errors.saturating_add(more.errors);
        self.blocked = self.blocked.saturating_add(more.blocked);
        self.cpu_ns = self.cpu_ns.saturating_add(more.cpu_ns);
    }
}

/// Bounds on harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gates {
    /// Requests on the version before any gate is looked at.
    pub requests_min: u64,
    /// By how much the share of errors may grow, per ten thousand.
    pub errors_more_per_10k: u64,
    /// By how much the share of blocked requests may grow, per ten thousand.
    pub blocked_more_per_10k: u64,
    /// What CPU per request may become, percent of what it was.
    pub cpu_percent_max: u64,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            requests_min: 100,
            errors_more_per_10k: 100,
            blocked_more_per_10k: 200,
            cpu_percent_max: 180,
        }
    }
}

/// Why a version was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Trip {
    /// More blocked requests.
    Blocked {
        /// Where.
        region: String,
        /// Share before, per ten thousand.
        before_per_10k: u64,
        /// Share on the version, per ten thousand.
        after_per_10k: u64,
    },
    /// More CPU per request.
    Cpu {
        /// Where.
        region: String,
        /// Before, nanoseconds per request.
        before_ns: u64,
        /// On the version, nanoseconds per request.
        after_ns: u64,
    },
    /// More errors.
    Errors {
        /// Where.
        region: String,
        /// Share before, per ten thousand.
        before_per_10k: u64,
        /// Share on the version, per ten thousand.
        after_per_10k: u64,
    },
    /// A proxy took too long.
    NoAnswer {
        /// Where.
        region: String,
        /// How long, milliseconds.
        waited_ms: u64,
    },
    /// Proxies refused it.
    Refused {
        /// Where.
        region: String,
        /// How many.
        proxies: u32,
    },
}

impl Gates {
    /// Whether what was seen is harm.
    pub(super) fn trip(&self, region: &str, seen: &Seen) -> Option<Trip> {
        if seen.refused > 0 {
            return Some(Trip::Refused {
                region: region.to_owned(),
                proxies: seen.refused,
            });
        }
        let (before, after) = (seen.before, seen.after);
        if after.requests < self.requests_min.max(1) {
            return None;
        }
        let shares = |count: fn(&Sums) -> u64, more: u64| {
            let (was, is) = (
                per_10k(count(&before), before.requests),
                per_10k(count(&after), after.requests),
            );
            let grew = is > was.saturating_add(more)
                && beyond_chance((count(&before), before.requests), (count(&after), after.requests));
            grew.then_some((was, is))
        };
        if let Some((before_per_10k, after_per_10k)) = shares(|sums| sums.errors, self.errors_more_per_10k) {
            return Some(Trip::Errors {
                region: region.to_owned(),
                before_per_10k,
                after_per_10k,
            });
        }
        // Without a time before there is no share of blocked requests and no CPU that would be normal.
        if before.requests < self.requests_min.max(1) {
            return None;
        }
        if let Some((before_per_10k, after_per_10k)) = shares(|sums| sums.blocked, self.blocked_more_per_10k)
        {
            return Some(Trip::Blocked {
                region: region.to_owned(),
                before_per_10k,
                after_per_10k,
            });
        }
        // CPU of few requests says little: caches are cold after a swap.
        if after.requests < self.requests_min.saturating_mul(5) {
            return None;
        }
        let (before_ns, after_ns) = (before.cpu_ns / before.requests, after.cpu_ns / after.requests);
        let bound_ns = u128::from(before_ns) * u128::from(self.cpu_percent_max) / 100;
        (before_ns > 0 && u128::from(after_ns) > bound_ns).then(|| Trip::Cpu {
            region: region.to_owned(),
            before_ns,
            after_ns,
        })
    }
}

fn per_10k(count: u64, of: u64) -> u64 {
    if of == 0 {
        return 0;
    }
    u64::try_from(u128::from(count) * 10_000 / u128::from(of)).unwrap_or(u64::MAX)
}

/// Two-proportion z-test with pooled variance, one-sided, at z = 4 (a chance of 3 in 100,000). Squared, in integers: (p2 - p1)^2
/// > 16 p (1 - p) (1/n1 + 1/n2).
fn beyond_chance(before: (u64, u64), after: (u64, u64)) -> bool {
    let ((x1, n1), (x2, n2)) = (before, after);
    if n1 == 0 {
        // Nothing to compare with: what grew beyond the bound counts.
        return true;
    }
    let [x1, n1, x2, n2] = [x1, n1, x2, n2].map(|value| value as f64);
    let (p1, p2, p) = (x1 / n1, x2 / n2, (x1 + x2) / (n1 + n2));
    let difference = p2 - p1;
    difference > 0.0 && difference * difference > 16.0 * p * (1.0 - p) * (1.0 / n1 + 1.0 / n2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(before: Sums, after: Sums) -> Seen {
        Seen {
            connected: 1,
            serving: 1,
            refused: 0,
            before,
            after,
        }
    }

    fn sums(requests: u64, errors: u64, blocked: u64, cpu_us: u64) -> Sums {
        Sums {
            requests,
            errors,
            blocked,
            cpu_ns: requests * cpu_us * 1000,
        }
    }

    fn tripped(before: Sums, after: Sums) -> Option<Trip> {
        Gates::default().trip("eu", &seen(before, after))
    }

    #[test]
    fn chance_and_too_few_requests_are_no_harm() {
        let quiet = sums(6000, 6, 12, 20);
        assert_eq!(tripped(quiet, sums(99, 99, 0, 20)), None);
        assert_eq!(tripped(quiet, sums(1000, 5, 8, 30)), None);
        assert_eq!(
            tripped(sums(100, 1, 0, 20), sums(100, 4, 0, 20)),
            None,
            "4 of 100 beside 1 of 100"
        );
        assert_eq!(
            tripped(sums(6000, 600, 0, 20), sums(1000, 110, 0, 20)),
            None,
            "it was bad before"
        );
    }

    #[test]
    fn each_gate_trips_on_its_own() {
        let quiet = sums(6000, 6, 12, 20);
        assert!(matches!(
            tripped(quiet, sums(300, 15, 0, 20)),
            Some(Trip::Errors { .. })
        ));
        assert!(matches!(
            tripped(quiet, sums(300, 0, 30, 20)),
            Some(Trip::Blocked { .. })
        ));
        assert!(matches!(
            tripped(quiet, sums(500, 0, 0, 50)),
            Some(Trip::Cpu { .. })
        ));
        assert!(matches!(
            tripped(Sums::default(), sums(300, 150, 0, 20)),
            Some(Trip::Errors { .. })
        ));
        assert_eq!(
            tripped(Sums::default(), sums(300, 0, 300, 900)),
            None,
            "nothing to compare with"
        );
    }
}
