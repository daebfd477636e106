//! The table against exact buckets, one per key.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use weir_schema::config::checked::Rate;

use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

fn rate(requests: u32, window_ms: u64, burst: u32) -> GcraParams {
    let count = |count| NonZeroU32::new(count).unwrap();
    GcraParams::new(&Rate {
        requests: count(requests),
        window: Duration::from_millis(window_ms),
        burst: count(burst),
    })
}

fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn check(key: u64, rate: GcraParams) -> Check<'static> {
    Check {
        key_hash: mix(key),
        rate,
        code: RefusalCode::LimitKey,
        name: "k",
    }
}

fn admits(table: &Table, checks: &[Check<'_>], now: u64) -> bool {
    table.admit(checks, now).refused().is_none()
}

#[test]
fn a_burst_then_the_rate() {
    let (table, key) = (Table::new(64), check(1, rate(10, 1000, 5)));
    let start = 1000 * SECOND;
    assert_eq!((0..20).filter(|_| admits(&table, &[key], start)).count(), 5);
    let refused = table.admit(&[key], start).refused().unwrap();
    assert_eq!(
        (refused.retry_after_s, refused.index, refused.code),
        (1, 0, RefusalCode::LimitKey)
    );
    assert!(!admits(&table, &[key], start + 99 * MS));
    assert!(admits(&table, &[key], start + 101 * MS));
    assert!(!admits(&table, &[key], start + 101 * MS));
    assert_eq!(
        (0..20)
            .filter(|_| admits(&table, &[key], start + 60 * SECOND))
            .count(),
        5
    );
}

#[test]
fn a_refusal_charges_nothing() {
    let table = Table::new(64);
    let (wide, narrow) = (check(1, rate(100, 1000, 100)), check(2, rate(1, 60_000, 1)));
    assert!(admits(&table, &[wide, narrow], SECOND));
    for _ in 0..500 {
        let admission = table.admit(&[wide, narrow], SECOND);
        assert_eq!(
            admission
                .refused()
                .map(|refused| (refused.index, refused.retry_after_s)),
            Some((1, 60))
        );
        assert_eq!(admission.states()[0].remaining, 99);
    }
    assert_eq!((0..200).filter(|_| admits(&table, &[wide], SECOND)).count(), 99);
}

#[test]
fn a_key_twice_in_one_request_is_taken_back() {
    let (table, key) = (Table::new(64), check(1, rate(1, 1000, 3)));
    assert!(admits(&table, &[key, key], SECOND));
    assert!(!admits(&table, &[key, key], SECOND), "one is left, two are asked");
    assert!(admits(&table, &[key], SECOND), "the one is still there");
    assert!(!admits(&table, &[key], SECOND));
}

#[test]
fn times_that_wrap_neither_refuse_nor_admit_wrongly() {
    let (table, key) = (Table::new(64), check(1, rate(1, 1000, 2)));
    let day = 86_400 * SECOND;
    for gap_days in [0, 1, 3, 6, 7, 13, 20, 26, 30, 40, 52, 53, 60, 104, 200] {
        let mut now = SECOND;
        let table = if gap_days == 0 { &table } else { &Table::new(64) };
        for _ in 0..8 {
            assert_eq!(
                (0..5).filter(|_| admits(table, &[key], now)).count(),
                2,
                "after {gap_days} days"
            );
            now += gap_days * day + 5 * SECOND;
        }
    }
    // Another key keeps the table busy while this one rests.
    for day_no in 0..120 {
        admits(&table, &[check(2, rate(1, 1000, 2))], day_no * day);
    }
    assert_eq!((0..5).filter(|_| admits(&table, &[key], 120 * day)).count(), 2);
}

/// 10 times more keys than slots, with a moving clock: keys at their limit are not admitted more often than exact
/// buckets would, but for 1 in 10,000.
#[test]
fn a_flood_of_keys_does_not_free_those_at_their_limit() {
    let table = Table::new(8192);
    let limit = rate(10, 1000, 10);
    let mut exact: HashMap<u64, (u64, u64)> = HashMap::new();
    let (mut now, mut flood, mut wrong, mut asked) = (SECOND, 1_000_000_u64, 0_u32, 0_u32);
    for round in 0..400_000_u64 {
        now += 20_000;
        let heavy = mix(round) % 400;
        let admitted = admits(&table, &[check(heavy, limit)], now);
        let (at, level) = exact.entry(heavy).or_insert((now, 10 * SECOND / 10));
        *level = (*level + (now - *at)).min(SECOND);
        *at = now;
        let allowed = *level >= SECOND / 10;
        if admitted {
            *level = level.saturating_sub(SECOND / 10);
        }
        asked += 1;
        wrong += u32::from(admitted && !allowed);
        flood += 1;
        admits(&table, &[check(flood % 81_920 + 1_000_000, limit)], now);
    }
    assert!(table.evictions() > 0, "the flood must fill the table");
    assert!(
        u64::from(wrong) * 10_000 <= u64::from(asked),
        "{wrong} of {asked} wrongly admitted"
    );
}

#[test]
fn threads_together_admit_no_more_than_the_burst() {
    let table = Table::new(64);
    let (one, all) = (rate(1, 3_600_000, 50), rate(1, 3_600_000, 120));
    let admitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|key| {
                let table = &table;
                let checks = [check(key, one), check(99, all)];
                scope.spawn(move || (0..200).filter(|_| admits(table, &checks, SECOND)).count())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 120);
}

proptest::proptest! {
    /// Whole ticks per request, so that the model needs no rounding.
    #[test]
    fn one_key_is_exactly_a_token_bucket(
        burst in 1_u32..20,
        steps in proptest::collection::vec((0_u64..400, 1_u8..6), 1..120),
    ) {
        let limit = GcraParams { per_request: 100, burst: 100 * u64::from(burst), quota: 1, window_s: 1 };
        let table = Table::new(8);
        let (mut now, mut level) = (1_000_u64, limit.burst);
        for (gap, asks) in steps {
            now += gap;
            level = (level + gap).min(limit.burst);
            for _ in 0..asks {
                let admission = table.admit(&[check(1, limit)], now << 8);
                let expected = level >= 100;
                if expected {
                    level -= 100;
                }
                proptest::prop_assert_eq!(admission.refused().is_none(), expected);
                proptest::prop_assert_eq!(admission.states()[0].remaining, level / 100);
            }
        }
    }
}
