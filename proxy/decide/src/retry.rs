//! When a request may be tried again, how often, and after what wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is known of a failed try.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Method as sent; case matters (RFC 9110 section 9.1).
    pub method: &'a [u8],
    /// A byte of the request was written.
    pub written_any: bool,
    /// The upstream says that it did nothing: GOAWAY below our stream, or REFUSED_STREAM (RFC 9113 section 8.7).
    pub proven_unprocessed: bool,
    /// A byte of the response was passed on.
    pub response_started: bool,
    /// What was sent of the body can be sent again.
    pub body_replayable: bool,
    /// The client sent `Idempotency-Key`, and the route takes its word.
    pub idempotency_key_opt_in: bool,
}

/// Whether trying again cannot do anything twice, or may (RFC 9110 section 9.2.2).
pub fn may_retry(attempt: &Attempt<'_>) -> bool {
    if attempt.response_started {
        return false;
    }
    if !attempt.written_any {
        return true;
    }
    attempt.body_replayable
        && (attempt.proven_unprocessed || is_idempotent(attempt.method) || attempt.idempotency_key_opt_in)
}

fn is_idempotent(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE"
    )
}

/// What is known of the endpoint that would be tried next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// It is another one than the one that failed, and requests go to it.
    pub open: bool,
    /// As `open`, and its last answers were good.
    pub trusted: bool,
}

/// What another try costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// One of the retries, and one of the budget after a wait.
    Budget,
    /// Nothing: it is the first that an endpoint gets of the request.
    Move,
    /// One of the retries.
    Retry,
}

/// The budget guards against storms: retries that add load to what fails under load. A connection that could not be made
/// loads nobody and has taken its endpoint out of the choice, so a move elsewhere is free. So is trying where the last answers
/// were good, since the first that fails there ends it; in a full outage no endpoint is like that. A timeout is a sign of
/// load in any case. `stale` is an old connection that had ended, which says nothing about the request.
pub fn cost(written_any: bool, stale: bool, timeout: bool, next: Next) -> Cost {
    if !written_any && next.open {
        Cost::Move
    } else if stale || (next.trusted && !timeout) {
        Cost::Retry
    } else {
        Cost::Budget
    }
}

/// Seconds over which requests earn retries.
const WINDOW_S: u64 = 10;
const COUNT_BITS: u32 = 22;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// Retries allowed as a share of the requests of the last 10 seconds, with a floor per second.
///
/// Each second is one word of second, requests and retries (20, 22 and 22 bits), so memory is fixed and nothing is saved
/// up for longer than the window. Threads that ask at the same instant can each pass the check: the excess is below their
/// number.
#[derive(Debug)]
pub struct Budget {
    percent: u64,
    min_per_s: u64,
    seconds: [AtomicU64; WINDOW_S as usize],
}

#[derive(Clone, Copy)]
struct Second {
    second: u64,
    requests: u64,
    retries: u64,
}

impl Second {
    fn unpack(word: u64) -> Self {
        let requests = (word >> COUNT_BITS) & COUNT_MAX;
        Self {
            second: word >> (2 * COUNT_BITS),
            requests,
            retries: word & COUNT_MAX,
        }
    }

    fn pack(self) -> u64 {
        let counts = (self.requests.min(COUNT_MAX) << COUNT_BITS) | self.retries.min(COUNT_MAX);
        (self.second << (2 * COUNT_BITS)) | counts
    }
}

/// Seconds count from 1, so that an unused word is never the present, and wrap after 12 days.
fn second_of(now_ns: u64) -> u64 {
    (now_ns / 1_000_000_000) % ((1 << 20) - 1) + 1
}

impl Budget {
    /// A budget of `percent` of the requests, and at least `min_per_s` retries each second.
    pub fn new(percent: u8, min_per_s: u32) -> Self {
        Self {
            percent: u64::from(percent),
            min_per_s: u64::from(min_per_s),
            seconds: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Counts a first try.
    pub fn record_request(&self, now_ns: u64) {
        self.add(now_ns, 1, 0);
    }

    /// Takes one retry, if one is left.
    pub fn try_retry(&self, now_ns: u64) -> bool {
        let now = second_of(now_ns);
        let (mut requests, mut retries, mut retries_now) = (0, 0, 0);
        for word in &self.seconds {
            let second = Second::unpack(word.load(Ordering::Relaxed));
            let age = now.checked_sub(second.second);
            if second.second != 0 && age.is_some_and(|age| age < WINDOW_S) {
                requests += second.requests;
                retries += second.retries;
                retries_now += if age == Some(0) { second.retries } else { 0 };
            }
        }
        let allowed = retries_now < self.min_per_s || (retries + 1) * 100 <= requests * self.percent;
        if allowed {
            self.add(now_ns, 0, 1);
        }
        allowed
    }

    fn add(&self, now_ns: u64, requests: u64, retries: u64) {
        let now = second_of(now_ns);
        let Some(word) = self.seconds.get((now % WINDOW_S) as usize) else {
            return;
        };
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let mut second = Second::unpack(word);
            if second.second != now {
                second = Second {
                    second: now,
                    requests: 0,
                    retries: 0,
                };
            }
            second.requests += requests;
            second.retries += retries;
            Some(second.pack())
        });
    }
}

/// The wait before retry number `retry_no` (from 0): uniform between zero and a bound that doubles from `base` to `max`.
pub fn backoff(base: Duration, max: Duration, retry_no: u8, random: u64) -> Duration {
    let factor = 1_u32.checked_shl(u32::from(retry_no)).unwrap_or(u32::MAX);
    let bound = base.saturating_mul(factor).min(max);
    let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    let scaled = (u128::from(random) * (u128::from(nanos) + 1)) >> 64;
    Duration::from_nanos(u64::try_from(scaled).unwrap_or(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn gate_table() {
        // written, unprocessed, started, replayable, key
        let table: &[(&[u8], [bool; 5], bool)] = &[
            (b"POST", [false, false, false, false, false], true),
            (b"POST", [true, false, false, true, false], false),
            (b"POST", [true, true, false, true, false], true),
            (b"POST", [true, true, false, false, false], false),
            (b"POST", [true, false, false, true, true], true),
            (b"POST", [true, false, false, false, true], false),
            (b"POST", [true, false, true, true, true], false),
            (b"PATCH", [true, false, false, true, false], false),
            (b"get", [true, false, false, true, false], false),
            (b"GET", [true, false, false, true, false], true),
            (b"GET", [true, false, true, true, false], false),
            (b"GET", [false, false, true, true, false], false),
            (b"GET", [true, true, true, true, false], false),
            (b"GET", [true, false, false, false, false], false),
            (b"HEAD", [true, false, false, true, false], true),
            (b"OPTIONS", [true, false, false, true, false], true),
            (b"TRACE", [true, false, false, true, false], true),
            (b"PUT", [true, false, false, true, false], true),
            (b"DELETE", [true, false, false, true, false], true),
        ];
        for (
            method,
            [
                written_any,
                proven_unprocessed,
                response_started,
                body_replayable,
                key,
            ],
            expected,
        ) in table
        {
            let attempt = Attempt {
                method,
                written_any: *written_any,
                proven_unprocessed: *proven_unprocessed,
                response_started: *response_started,
                body_replayable: *body_replayable,
                idempotency_key_opt_in: *key,
            };
            assert_eq!(may_retry(&attempt), *expected, "{attempt:?}");
        }
    }

    #[test]
    fn cost_table() {
        const NOWHERE: Next = Next {
            open: false,
            trusted: false,
        };
        const OPEN: Next = Next {
            open: true,
            trusted: false,
        };
        const TRUSTED: Next = Next {
            open: true,
            trusted: true,
        };
        // written, stale, timeout
        let table = [
            ([false, false, false], [Cost::Budget, Cost::Move, Cost::Move]),
            ([true, false, false], [Cost::Budget, Cost::Budget, Cost::Retry]),
            ([true, true, false], [Cost::Retry, Cost::Retry, Cost::Retry]),
            ([true, false, true], [Cost::Budget, Cost::Budget, Cost::Budget]),
        ];
        for ([written, stale, timeout], expected) in table {
            let costs = [NOWHERE, OPEN, TRUSTED].map(|next| cost(written, stale, timeout, next));
            assert_eq!(costs, expected, "{written} {stale} {timeout}");
        }
    }

    #[test]
    fn a_full_outage_costs_a_fifth() {
        let budget = Budget::new(20, 0);
        let mut retries = 0;
        for at in 0..10_000_u64 {
            let now = 5 * SECOND + at * SECOND / 1000;
            budget.record_request(now);
            retries += u32::from(budget.try_retry(now)) + u32::from(budget.try_retry(now));
        }
        assert!((1950..=2000).contains(&retries), "{retries}");
    }

    #[test]
    fn the_floor_holds_without_requests_and_old_requests_earn_nothing() {
        let budget = Budget::new(20, 3);
        assert_eq!((0..10).filter(|_| budget.try_retry(SECOND)).count(), 3);
        assert_eq!((0..10).filter(|_| budget.try_retry(2 * SECOND)).count(), 3);
        let budget = Budget::new(20, 0);
        (0..100).for_each(|_| budget.record_request(SECOND));
        assert!(!budget.try_retry(11 * SECOND));
        (0..5).for_each(|_| budget.record_request(11 * SECOND));
        assert!(budget.try_retry(11 * SECOND) && !budget.try_retry(11 * SECOND));
    }

    #[test]
    fn backoff_doubles_up_to_its_bound() {
        let (base, max) = (Duration::from_millis(25), Duration::from_millis(250));
        for (retry_no, bound_ms) in [(0, 25), (1, 50), (3, 200), (4, 250), (200, 250)] {
            assert_eq!(
                backoff(base, max, retry_no, u64::MAX),
                Duration::from_millis(bound_ms)
            );
            assert_eq!(backoff(base, max, retry_no, 0), Duration::ZERO);
            let middle = backoff(base, max, retry_no, u64::MAX / 2);
            assert!(middle.abs_diff(Duration::from_millis(bound_ms) / 2) < Duration::from_micros(1));
        }
    }
}
