//! Which endpoint of a pool a request goes to.

use std::sync::atomic::{AtomicUsize, Ordering};

use weir_schema::config::checked::Balance;

/// What a choice needs to know of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// Share beside the others'; 0 counts as 1.
    pub weight: u16,
    /// Requests that it is working on.
    pub in_flight: u32,
    /// Whether requests may go to it.
    pub healthy: bool,
}

impl EndpointView {
    fn weight(&self) -> u64 {
        u64::from(self.weight.max(1))
    }
}

/// The position of the endpoint to try, `None` when none is healthy.
///
/// `exclude` is the endpoint that just failed: it is taken again only when no other is healthy. `cursor` is the state of
/// round robin and untouched by the others; `random` is uniform over all of `u64`.
pub fn pick(
    policy: Balance,
    endpoints: &[EndpointView],
    cursor: &AtomicUsize,
    random: u64,
    exclude: Option<usize>,
) -> Option<usize> {
    let others = endpoints
        .iter()
        .enumerate()
        .any(|(at, endpoint)| endpoint.healthy && Some(at) != exclude);
    let exclude = exclude.filter(|_| others);
    let open = || {
        endpoints
            .iter()
            .enumerate()
            .filter(move |(at, endpoint)| endpoint.healthy && Some(*at) != exclude)
    };
    match policy {
        Balance::LeastRequest => least_request(open, random),
        Balance::RoundRobin => by_weight(
            open(),
            spread(cursor, open().map(|(_, endpoint)| endpoint.weight()).sum()),
        ),
        Balance::WeightedRandom => by_weight(
            open(),
            below(random, open().map(|(_, endpoint)| endpoint.weight()).sum()),
        ),
    }
}

/// Two at random, then the one with fewer requests for its weight, this one counted (Mitzenmacher 2001).
fn least_request<'a, I: Iterator<Item = (usize, &'a EndpointView)>>(
    open: impl Fn() -> I,
    random: u64,
) -> Option<usize> {
    let count = open().count() as u64;
    if count < 2 {
        return open().next().map(|(at, _)| at);
    }
    let first = below(random << 32, count);
    let mut second = below(random & !0xffff_ffff, count - 1);
    if second >= first {
        second += 1;
    }
    let (first_at, first) = open().nth(usize::try_from(first).ok()?)?;
    let (second_at, second) = open().nth(usize::try_from(second).ok()?)?;
    let load = |endpoint: &EndpointView| u64::from(endpoint.in_flight) + 1;
    let second_is_freer = load(second) * first.weight() < load(first) * second.weight();
    Some(if second_is_freer { second_at } else { first_at })
}

/// Steps through `0..total` so that each value comes once per round and neighbours come far apart: a step near the golden
/// section of `total` and prime to it. Over a round each endpoint gets exactly its weight, evenly spread.
fn spread(cursor: &AtomicUsize, total: u64) -> u64 {
    if total < 2 {
        return 0;
    }
    let turn = cursor.fetch_add(1, Ordering::Relaxed) as u64 % total;
    // 0.618 of the total; totals are at most endpoints x 1000, so the products fit.
    let mut step = (total.saturating_mul(618) / 1000).max(1);
    while gcd(step, total) != 1 {
        step += 1;
    }
    turn.wrapping_mul(step) % total
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Maps a uniform `u64` to `0..total`.
fn below(random: u64, total: u64) -> u64 {
    u64::try_from((u128::from(random) * u128::from(total)) >> 64).unwrap_or(0)
}

fn by_weight<'a>(mut open: impl Iterator<Item = (usize, &'a EndpointView)>, mut point: u64) -> Option<usize> {
    open.find_map(|(at, endpoint)| match point.checked_sub(endpoint.weight()) {
        Some(left) => {
            point = left;
            None
        }
        None => Some(at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Balance; 3] = [
        Balance::LeastRequest,
        Balance::RoundRobin,
        Balance::WeightedRandom,
    ];

    fn endpoints(weights: &[u16]) -> Vec<EndpointView> {
        weights
            .iter()
            .map(|weight| EndpointView {
                weight: *weight,
                in_flight: 0,
                healthy: true,
            })
            .collect()
    }

    /// SplitMix64, seeded: the tests repeat.
    fn randoms(count: usize) -> impl Iterator<Item = u64> {
        (1..=count as u64).map(|n| {
            let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        })
    }

    #[test]
    fn unhealthy_endpoints_get_nothing_and_the_failed_one_is_avoided() {
        for policy in ALL {
            let cursor = AtomicUsize::new(0);
            let mut views = endpoints(&[1, 1, 1]);
            views[1].healthy = false;
            for random in randoms(200) {
                assert_eq!(pick(policy, &views, &cursor, random, Some(0)), Some(2));
                assert_ne!(pick(policy, &views, &cursor, random, None), Some(1));
            }
            views[2].healthy = false;
            assert_eq!(
                pick(policy, &views, &cursor, 7, Some(0)),
                Some(0),
                "the last one standing is tried again"
            );
            views[0].healthy = false;
            assert_eq!(pick(policy, &views, &cursor, 7, None), None);
            assert_eq!(pick(policy, &[], &cursor, 7, None), None);
        }
    }

    #[test]
    fn round_robin_gives_exact_shares_evenly_spread() {
        for weights in [
            &[1, 1][..],
            &[1, 1, 1],
            &[5, 1, 1],
            &[1000, 1],
            &[3, 7, 10],
            &[2, 4, 6],
        ] {
            let (cursor, views) = (AtomicUsize::new(0), endpoints(weights));
            let total: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
            let mut counts = vec![0; weights.len()];
            for _ in 0..total {
                counts[pick(Balance::RoundRobin, &views, &cursor, 0, None).unwrap()] += 1;
            }
            assert_eq!(
                counts,
                weights
                    .iter()
                    .map(|weight| usize::from(*weight))
                    .collect::<Vec<_>>()
            );
        }
        let (cursor, views) = (AtomicUsize::new(0), endpoints(&[100, 100]));
        let picks: Vec<_> = (0..200)
            .map(|_| pick(Balance::RoundRobin, &views, &cursor, 0, None))
            .collect();
        let longest = picks.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap();
        assert!(longest <= 2, "{longest} in a row to one of two equals");
    }

    #[test]
    fn weighted_random_follows_weights() {
        let (cursor, views) = (AtomicUsize::new(0), endpoints(&[1, 3]));
        let hits = randoms(40_000)
            .filter(|random| pick(Balance::WeightedRandom, &views, &cursor, *random, None) == Some(1));
        let share = hits.count() as f64 / 40_000.0;
        assert!((share - 0.75).abs() < 0.01, "{share}");
    }

    #[test]
    fn least_request_prefers_the_idle_and_keeps_loads_level() {
        let cursor = AtomicUsize::new(0);
        let mut two = endpoints(&[1, 1]);
        two[0].in_flight = 5;
        assert!(
            randoms(100).all(|random| pick(Balance::LeastRequest, &two, &cursor, random, None) == Some(1))
        );
        let mut heavy = endpoints(&[10, 1]);
        heavy[0].in_flight = 5;
        assert!(
            randoms(100).all(|random| pick(Balance::LeastRequest, &heavy, &cursor, random, None) == Some(0))
        );
        // Balls into bins: of two choices the fullest bin is within a few of the mean; of one it is not.
        let mut many = endpoints(&[1; 50]);
        for random in randoms(50_000) {
            let at = pick(Balance::LeastRequest, &many, &cursor, random, None).unwrap();
            many[at].in_flight += 1;
        }
        let (least, most) = (
            many.iter().map(|e| e.in_flight).min().unwrap(),
            many.iter().map(|e| e.in_flight).max().unwrap(),
        );
        assert!(most <= 1005 && least >= 985, "{least}..{most}");
    }
}
