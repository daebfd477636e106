//! A worker's CPU time becomes shares that add up to it.
//!
//! The cheap clock tells how long each account's polls took; the thread's CPU clock tells what the worker really spent. Where
//! the polls took longer (the kernel let somebody else run), they shrink in proportion. Where the worker spent more, the
//! rest is the runtime's: finding and waking tasks, waiting for sockets. That work comes with every poll, so polls share it
//! alike, up to a bound a poll; beyond it the worker woke up for nobody, and that is overhead.

use weir_schema::telemetry::split::split;

use super::figures::Spent;

/// Most of the runtime's own time that is charged to a poll, nanoseconds. A loaded worker has 1.5 us (2026-11); one that
/// sleeps between requests pays for going to sleep and waking up as well.
const RUNTIME_NS_PER_POLL_MAX: u64 = 10_000;

/// CPU time of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) cpu_ns: u64,
    /// Of `cpu_ns`.
    pub(super) waf_ns: u64,
}

/// Shares out `cpu_ns` of a worker; gives the shares in the order of `spent`, and the overhead. All of them together are
/// `cpu_ns`.
pub(super) fn share(cpu_ns: u64, spent: &[Spent]) -> (Vec<Share>, u64) {
    let poll_ns: Vec<u64> = spent.iter().map(|spent| spent.poll_ns).collect();
    let in_polls = poll_ns.iter().fold(0, |sum: u64, ns| sum.saturating_add(*ns));
    let (parts, overhead) = match cpu_ns.checked_sub(in_polls) {
        None => (split(cpu_ns, &poll_ns), 0),
        Some(rest) => {
            let polls: Vec<u64> = spent.iter().map(|spent| spent.polls).collect();
            let count = polls.iter().fold(0, |sum: u64, polls| sum.saturating_add(*polls));
            let shared = rest.min(count.saturating_mul(RUNTIME_NS_PER_POLL_MAX));
            let runtime = split(shared, &polls);
            let parts = poll_ns.iter().zip(runtime).map(|(own, more)| own + more);
            (parts.collect(), rest - shared)
        }
    };
    let shares = parts.into_iter().zip(spent).map(|(cpu_ns, spent)| Share {
        cpu_ns,
        waf_ns: waf_ns(cpu_ns, spent),
    });
    (shares.collect(), overhead)
}

/// The rule engine's time, shrunk as the polls that it is part of.
fn waf_ns(cpu_ns: u64, spent: &Spent) -> u64 {
    if cpu_ns >= spent.poll_ns {
        return spent.waf_ns.min(cpu_ns);
    }
    let exact = u128::from(spent.waf_ns) * u128::from(cpu_ns) / u128::from(spent.poll_ns);
    u64::try_from(exact).unwrap_or(cpu_ns).min(cpu_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(poll_ns: u64, waf_ns: u64, polls: u64) -> Spent {
        Spent {
            poll_ns,
            waf_ns,
            polls,
        }
    }

    #[test]
    fn polls_that_the_kernel_stretched_shrink_in_proportion() {
        let (shares, overhead) = share(100, &[spent(150, 75, 1), spent(50, 0, 9)]);
        assert_eq!(overhead, 0);
        assert_eq!(
            shares,
            [
                Share {
                    cpu_ns: 75,
                    waf_ns: 37
                },
                Share {
                    cpu_ns: 25,
                    waf_ns: 0
                }
            ]
        );
    }

    #[test]
    fn the_runtime_is_shared_by_polls() {
        let (shares, overhead) = share(400, &[spent(150, 150, 1), spent(50, 0, 3)]);
        assert_eq!(overhead, 0);
        assert_eq!(
            shares,
            [
                Share {
                    cpu_ns: 200,
                    waf_ns: 150
                },
                Share {
                    cpu_ns: 200,
                    waf_ns: 0
                }
            ]
        );
    }

    #[test]
    fn waking_up_for_nobody_is_overhead() {
        assert_eq!(share(5_000, &[]), (vec![], 5_000));
        let (shares, overhead) = share(1_000_000, &[spent(30_000, 0, 2)]);
        assert_eq!((shares[0].cpu_ns, overhead), (50_000, 950_000));
    }

    #[test]
    fn shares_and_overhead_are_the_workers_time_exactly() {
        // A linear congruential generator: irregular, and the same each time.
        let mut state = 1_u64;
        let mut next = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..2_000 {
            let cpu_ns = next(2_000_000_000);
            let count = next(40);
            let spent: Vec<Spent> = (0..count)
                .map(|_| {
                    let poll_ns = next(100_000_000);
                    spent(poll_ns, next(poll_ns + 1), next(20_000))
                })
                .collect();
            let (shares, overhead) = share(cpu_ns, &spent);
            assert!(shares.iter().all(|share| share.waf_ns <= share.cpu_ns));
            assert_eq!(
                shares.iter().map(|share| share.cpu_ns).sum::<u64>() + overhead,
                cpu_ns
            );
        }
    }
}
