use std::collections::BTreeSet;

use weir_schema::telemetry::frame::StatusClass;
use weir_schema::telemetry::record::Outcome;

use super::*;

const NOW_S: u64 = 1_800_000_000;

fn entry(tenant: &str, route: &str, requests: u64, refused: u64) -> Entry {
    let mut entry = Entry::new(tenant, route);
    entry
        .requests
        .add((StatusClass::Successful, Outcome::Answered), requests);
    entry
        .requests
        .add((StatusClass::ClientError, Outcome::Refused), refused);
    entry.refusals.add(RefusalCode::GeoBlocked, refused);
    (0..requests).for_each(|_| entry.latency.record(2000));
    entry.cpu_ns = 1000 * requests;
    entry
}

fn count(live: &Live, frame: &Frame, now_ms: u64) {
    live.count(&frame.region, frame, now_ms);
}

fn frame(region: &str, second: u64, entries: Vec<Entry>) -> Frame {
    Frame {
        node: "n".to_owned(),
        region: region.to_owned(),
        from_ms: second * 1000,
        to_ms: (second + 1) * 1000,
        entries,
        ..Frame::default()
    }
}

fn only(names: &[&str]) -> Names {
    Names::Only(
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>(),
    )
}

#[test]
fn a_minute_and_ten_minutes_show_what_lies_in_them() {
    let live = Live::new(0);
    for age in (0..900).rev() {
        let second = NOW_S - 3 - age;
        count(
            &live,
            &frame("eu", second, vec![entry("a", "r", 2, 1)]),
            (second + 1) * 1000,
        );
    }
    let minute = live.totals(&Scope::ALL, Span::Minute, NOW_S);
    let seconds = live.covered_s(Span::Minute, NOW_S);
    assert!(
        (3 * (seconds - 1)..=3 * seconds).contains(&minute.usage.requests),
        "{minute:?}"
    );
    assert_eq!(
        minute.refusals.get(RefusalCode::GeoBlocked) * 3,
        minute.usage.requests
    );
    assert!((2000..2063).contains(&minute.latency.unwrap().p99_us));
    let ten = live.totals(&Scope::ALL, Span::TenMinutes, NOW_S).usage.requests;
    let seconds = live.covered_s(Span::TenMinutes, NOW_S);
    assert!((3 * (seconds - 1)..=3 * seconds).contains(&ten));
    let series = live.seconds(&Scope::ALL, NOW_S).unwrap();
    assert_eq!(series.len(), 60);
    assert!(
        series[..59].iter().all(|second| second.requests == 3),
        "{series:?}"
    );
    let later = live.totals(&Scope::ALL, Span::TenMinutes, NOW_S + 1000);
    assert_eq!((later.usage.requests, later.latency), (0, None));
}

#[test]
fn a_token_sees_its_tenants_and_regions_only() {
    let live = Live::new(0);
    for region in ["eu", "us"] {
        let entries = vec![entry("a", "r", 1, 0), entry("b", "r", 10, 5)];
        count(&live, &frame(region, NOW_S - 3, entries), NOW_S * 1000);
    }
    let seen = |tenants: Names, regions: Names| {
        let scope = Scope { tenants, regions };
        let mut names = Vec::new();
        live.tenants(&scope, Span::Minute, NOW_S, false, |name, _| {
            names.push(name.to_string())
        });
        names.sort();
        let totals = live.totals(&scope, Span::Minute, NOW_S);
        let mut routes = 0;
        live.routes(&scope, NOW_S, |_, _, sum| routes += sum.requests);
        assert_eq!(routes, totals.usage.requests);
        let regions: Vec<String> = live.regions(&scope, Span::Minute, NOW_S).into_keys().collect();
        (totals.usage.requests, names.join(","), regions.join(","))
    };
    let told = |requests, names: &str, regions: &str| (requests, names.to_owned(), regions.to_owned());
    assert_eq!(seen(Names::All, Names::All), told(32, "a,b", "eu,us"));
    assert_eq!(seen(Names::All, only(&["eu"])), told(16, "a,b", "eu"));
    assert_eq!(seen(only(&["a"]), Names::All), told(2, "a", "eu,us"));
    assert_eq!(seen(only(&["b"]), only(&["us"])), told(15, "b", "us"));
    assert_eq!(seen(only(&[]), Names::All), told(0, "", ""));
}

#[test]
fn frames_from_the_past_count_where_they_belong_and_wrong_clocks_do_no_harm() {
    let live = Live::new(0);
    let count_at = |second| {
        count(
            &live,
            &frame("eu", second, vec![entry("a", "r", 1, 0)]),
            NOW_S * 1000,
        )
    };
    count_at(NOW_S - 3);
    count_at(NOW_S - 300);
    count_at(NOW_S - 5000);
    count_at(NOW_S + 1_000_000);
    count_at(0);
    let requests = |span| live.totals(&Scope::ALL, span, NOW_S).usage.requests;
    assert_eq!((requests(Span::Minute), requests(Span::TenMinutes)), (2, 3));
    count(&live, &frame("eu", u64::MAX / 1000 - 1, vec![]), NOW_S * 1000);
}

#[test]
fn regions_routes_and_cells_are_bounded_and_nothing_is_lost_from_the_totals() {
    let live = Live::new(0);
    for region in 0..REGIONS_MAX + 10 {
        let name = format!("r{region}");
        count(
            &live,
            &frame(&name, NOW_S - 3, vec![entry("a", "r", 1, 0)]),
            NOW_S * 1000,
        );
    }
    let all = live.regions(&Scope::ALL, Span::Minute, NOW_S);
    assert_eq!(all.len(), REGIONS_MAX + 1);
    assert_eq!(all[FOLDED].requests, 10);
    let routes = (0..100).map(|route| entry("b", &format!("route{route:03}"), 1, 0));
    count(&live, &frame("r0", NOW_S - 3, routes.collect()), NOW_S * 1000);
    let mut folded = 0;
    live.routes(&Scope::ALL, NOW_S, |_, route, sum| {
        folded += if route == FOLDED { sum.requests } else { 0 };
    });
    assert_eq!(folded, 36);
    for part in 0..7 {
        let tenants = (0..10_000).map(|place| entry(&format!("t{part}-{place}"), "", 1, 0));
        count(&live, &frame("r1", NOW_S - 3, tenants.collect()), NOW_S * 1000);
    }
    let bounds = live.bounds();
    assert!(bounds.cells <= CELLS_MAX + REGIONS_MAX + 1, "{bounds:?}");
    assert_eq!(bounds.folded, 70_000 - (CELLS_MAX as u64 - 66), "{bounds:?}");
    let total = live.totals(&Scope::ALL, Span::Minute, NOW_S).usage.requests;
    assert_eq!(total, 74 + 100 + 70_000);
}

#[test]
fn what_is_silent_is_forgotten() {
    let live = Live::new(0);
    count(
        &live,
        &frame("eu", NOW_S, vec![entry("a", "r", 1, 0)]),
        NOW_S * 1000,
    );
    assert_eq!((live.bounds().cells, live.bounds().routes), (1, 1));
    let later = NOW_S + 100;
    count(&live, &frame("eu", later, vec![]), later * 1000);
    assert_eq!((live.bounds().cells, live.bounds().routes), (1, 0));
    let later = NOW_S + 1000;
    count(&live, &frame("eu", later, vec![]), later * 1000);
    assert_eq!(live.bounds().cells, 0);
}
