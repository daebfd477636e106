//! Frames, histograms and splits against slow, obvious oracles.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::counts::Counts;
use weir_schema::telemetry::frame::{Entry, FOLDED, Frame, FrameFault, LossCause, Lost, StatusClass, fold};
use weir_schema::telemetry::histogram::{CELLS, Histogram, bounds_us, cell_of, threshold_us};
use weir_schema::telemetry::record::Outcome;
use weir_schema::telemetry::split::split;

/// Latencies over all magnitudes.
fn latency_us() -> impl Strategy<Value = u32> {
    (0_u32..32, any::<u32>()).prop_map(|(shift, us)| us >> shift)
}

fn latencies_us() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(latency_us(), 1..200)
}

fn histogram(latencies: &[u32]) -> Histogram {
    let mut histogram = Histogram::default();
    for us in latencies {
        histogram.record(*us);
    }
    histogram
}

#[test]
fn cells_cover_every_latency_without_gap_or_overlap() {
    let mut next = 0_u64;
    for cell in 0..CELLS {
        let (low, high) = bounds_us(cell);
        assert_eq!(u64::from(low), next, "cell {cell}");
        assert!(
            high - low <= low / 128,
            "cell {cell} is wider than 1/128 of {low}"
        );
        assert_eq!((cell_of(low), cell_of(high)), (cell, cell));
        next = u64::from(high) + 1;
    }
    assert_eq!(next, 1 << 32);
}

#[test]
fn codes_and_outcomes_are_written_by_their_stable_names() {
    for code in RefusalCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
    }
    for outcome in Outcome::ALL {
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
    }
}

proptest! {
    #[test]
    fn quantiles_are_within_a_128th_above_the_exact_ones(mut latencies in latencies_us(), ppm in 0_u32..=1_000_000) {
        let found = histogram(&latencies).quantile_us(ppm).unwrap();
        latencies.sort_unstable();
        let rank = (latencies.len() as u64 * u64::from(ppm)).div_ceil(1_000_000).max(1);
        let exact = latencies[usize::try_from(rank).unwrap() - 1];
        prop_assert!(found >= exact && found - exact <= exact / 128, "{found} for {exact}");
    }

    #[test]
    fn slower_requests_are_counted_exactly_at_the_bound_of_a_cell(latencies in latencies_us(), us in latency_us()) {
        let histogram = histogram(&latencies);
        let bound = threshold_us(us);
        prop_assert!(bound >= us && bound - us <= us / 128);
        let exact = latencies.iter().filter(|latency| **latency > bound).count() as u64;
        prop_assert_eq!(histogram.above(us), exact);
        prop_assert_eq!(histogram.above(bound), exact);
    }

    #[test]
    fn merging_is_counting_both(a in latencies_us(), b in latencies_us()) {
        let mut merged = histogram(&a);
        merged.merge(&histogram(&b));
        prop_assert_eq!(&merged, &histogram(&[a, b].concat()));
        let text = serde_json::to_string(&merged).unwrap();
        prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), merged);
    }

    #[test]
    fn parts_of_a_split_add_up_and_are_less_than_one_off(
        total in any::<u64>(),
        weights in proptest::collection::vec(prop_oneof![Just(0), 0_u64..10, any::<u64>()], 1..50),
    ) {
        let parts = split(total, &weights);
        prop_assert_eq!(parts.len(), weights.len());
        let whole: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        if whole == 0 {
            prop_assert!(parts.iter().all(|part| *part == 0));
        } else {
            prop_assert_eq!(parts.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(total));
            for (part, weight) in parts.iter().zip(&weights) {
                let floor = (u128::from(total) * u128::from(*weight)).checked_div(whole).unwrap();
                prop_assert!(u128::from(*part) == floor || (u128::from(*part) == floor + 1 && *weight > 0));
            }
        }
    }

    #[test]
    fn folding_keeps_every_sum(
        rows in proptest::collection::vec((0_u8..12, 0_u8..6, 0_u64..100), 0..60),
        entries_max in 1_usize..40,
    ) {
        let entries: Vec<Entry> = rows.iter().map(|(tenant, route, count)| entry(*tenant, *route, *count)).collect();
        let (folded, pairs) = fold(entries.clone(), entries_max);
        prop_assert!(folded.len() <= entries_max);
        prop_assert_eq!(sum(&entries), sum(&folded));
        let distinct: BTreeSet<_> = entries.iter().map(|entry| (&entry.tenant, &entry.route)).collect();
        prop_assert_eq!(pairs == 0, distinct.len() <= entries_max);
        let frame = Frame { entries: folded, ..frame() };
        prop_assert_eq!(Frame { cpu_ns: frame.entries.iter().map(|e| e.cpu_ns).sum(), ..frame }.check(), Ok(()));
    }
}

/// Tenant 0 is none.
fn entry(tenant: u8, route: u8, count: u64) -> Entry {
    let name = if tenant == 0 {
        String::new()
    } else {
        format!("t{tenant}")
    };
    let mut entry = Entry::new(
        &name,
        &if tenant == 0 {
            String::new()
        } else {
            format!("r{route}")
        },
    );
    entry
        .requests
        .add((StatusClass::Successful, Outcome::Answered), count);
    entry.cpu_ns = count * 7;
    for _ in 0..count {
        entry.latency.record(300);
    }
    entry
}

fn sum(entries: &[Entry]) -> Entry {
    let mut sum = Entry::default();
    for entry in entries {
        sum.merge(entry);
    }
    sum
}

fn frame() -> Frame {
    Frame {
        node: "eu-1".to_owned(),
        region: "eu".to_owned(),
        epoch: 1_764_000_000_000,
        seq: 1,
        from_ms: 1_764_000_000_000,
        to_ms: 1_764_000_001_000,
        ..Frame::default()
    }
}

#[test]
fn tenants_with_the_most_requests_keep_their_entry() {
    let entries = vec![entry(1, 1, 1), entry(1, 2, 1), entry(2, 1, 9), entry(3, 1, 5)];
    let (folded, pairs) = fold(entries, 2);
    let names: Vec<_> = folded
        .iter()
        .map(|e| (e.tenant.as_str(), e.requests.total()))
        .collect();
    assert_eq!(names, [(FOLDED, 7), ("t2", 9)]);
    assert_eq!(pairs, 4);
}

type Spoil = fn(&mut Frame);

#[test]
fn a_frame_that_does_not_add_up_is_told() {
    let sound = Frame {
        entries: vec![entry(1, 1, 2)],
        cpu_ns: 20,
        overhead_cpu_ns: 6,
        ..frame()
    };
    assert_eq!(sound.check(), Ok(()));
    let spoilt: [(FrameFault, Spoil); 8] = [
        (FrameFault::Seq, |frame| frame.seq = 0),
        (FrameFault::Times, |frame| frame.to_ms = 1),
        (FrameFault::Name, |frame| {
            frame.entries[0].tenant = "a b".to_owned()
        }),
        (FrameFault::Order, |frame| frame.entries.push(Entry::new("", ""))),
        (FrameFault::Cpu, |frame| frame.cpu_ns += 1),
        (FrameFault::Latency, |frame| frame.entries[0].latency.record(1)),
        (FrameFault::Refusals, |frame| {
            frame.entries[0].refusals.add(RefusalCode::NoRoute, 1)
        }),
        (FrameFault::Lost, |frame| frame.lost.push(lost(2, 1))),
    ];
    for (fault, spoil) in spoilt {
        let mut frame = sound.clone();
        spoil(&mut frame);
        assert_eq!(frame.check(), Err(fault));
    }
}

fn lost(from_seq: u64, to_seq: u64) -> Lost {
    Lost {
        epoch: 5,
        from_seq,
        to_seq,
        requests: Some(10),
        cause: LossCause::SpoolFull,
    }
}

#[test]
fn losses_that_follow_each_other_become_one() {
    let mut range = lost(1, 3);
    assert!(range.extend(&lost(4, 4)));
    assert_eq!((range.to_seq, range.requests), (4, Some(20)));
    assert!(!range.extend(&lost(6, 6)), "5 lies between");
    assert!(!range.extend(&Lost {
        cause: LossCause::Crash,
        ..lost(5, 5)
    }));
}

#[test]
fn a_code_of_a_newer_program_does_not_spoil_a_frame() {
    let mut refused = Entry::new("acme", "");
    refused
        .requests
        .add((StatusClass::ClientError, Outcome::Refused), 3);
    refused.refusals.add(RefusalCode::WafBlocked, 2);
    let frame = Frame {
        entries: vec![refused],
        ..frame()
    };
    let text = serde_json::to_string(&frame).unwrap();
    assert_eq!(serde_json::from_str::<Frame>(&text).unwrap(), frame);
    let newer = text.replace(r#"["waf_blocked",2]"#, r#"["waf_blocked",2],["made_up",1]"#);
    assert_ne!(newer, text);
    let read: Frame = serde_json::from_str(&newer).unwrap();
    assert_eq!(read.entries[0].refusals.total(), 2);
    assert_eq!(read.entries[0].ended(Outcome::Refused), 3);
    assert_eq!(read.check(), Ok(()));
}

#[test]
fn counts_are_pairs_in_any_order() {
    let counts: Counts<u16> = serde_json::from_str("[[3,1],[1,2],[3,4]]").unwrap();
    assert_eq!(serde_json::to_string(&counts).unwrap(), "[[1,2],[3,5]]");
    assert_eq!((counts.get(3), counts.get(2), counts.total()), (5, 0, 7));
}
