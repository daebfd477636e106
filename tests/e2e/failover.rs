//! Endpoints that die, vanish, flap and come back under load: what clients and origins see of it.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use weir_tests::config::Config;
use weir_tests::h1::H1;
use weir_tests::origin::{Answer, Origin};
use weir_tests::origin_process::{OriginProcess, serve_if_asked};
use weir_tests::socket::{Dead, Silent};
use weir_tests::wait::wait_within;
use weir_tests::weir::Weir;

use crate::Site;

const CHILD: &str = "failover::origin_process";

#[test]
#[ignore = "the body of an origin process, started by other tests"]
fn origin_process() {
    serve_if_asked();
}

pub(crate) fn over(endpoints: &[SocketAddr]) -> Config {
    let list: Vec<String> = endpoints.iter().map(SocketAddr::to_string).collect();
    Config::with_origin(endpoints[0]).set("/pools/0/endpoints", json!(list))
}

/// One request of a load.
#[derive(Clone, Debug)]
struct Asked {
    at: Instant,
    took: Duration,
    status: u16,
}

/// Runs `clients` that send idempotent requests on connections of their own until `scene` ends.
fn under_load(weir: &Weir, clients: usize, scene: impl FnOnce()) -> Vec<Asked> {
    let (stop, asked) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let address = weir.address("web");
    std::thread::scope(|scope| {
        for client in 0..clients {
            let (stop, asked) = (&stop, &asked);
            scope.spawn(move || {
                let mut connection = H1::connect(address);
                let mut number = 0_u32;
                while !stop.load(Ordering::Acquire) {
                    number += 1;
                    let method = ["GET", "PUT", "DELETE"][number as usize % 3];
                    let at = Instant::now();
                    let response = connection.roundtrip(format!(
                        "{method} / HTTP/1.1\r\nHost: acme.test\r\nx-id: {client}-{number}\r\nContent-Length: 3\r\n\r\nabc"
                    ));
                    let (took, status) = (at.elapsed(), response.status);
                    if response.header("connection") == Some("close") {
                        connection = H1::connect(address);
                    }
                    asked.lock().unwrap().push(Asked { at, took, status });
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }
        scene();
        stop.store(true, Ordering::Release);
    });
    asked.into_inner().unwrap()
}

fn failed(asked: &[Asked]) -> Vec<&Asked> {
    asked.iter().filter(|one| one.status != 200).collect()
}

fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

fn ejections(weir: &Weir) -> f64 {
    ["answers", "connect"]
        .map(|cause| {
            weir.metric(&format!(
                "weir_upstream_ejections_total{{cause=\"{cause}\",pool=\"app\"}}"
            ))
        })
        .iter()
        .sum()
}

#[test]
fn an_endpoint_that_is_killed_costs_no_idempotent_request_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| OriginProcess::start(folder.path(), name, CHILD, false));
    let weir = Weir::start(&over(&[one.address(), two.address()]));
    let asked = under_load(&weir, 4, || {
        for victim in [&one, &two] {
            pause(500);
            victim.kill();
            pause(1500);
            victim.revive();
            let before = victim.ledger().len();
            wait_within(
                Duration::from_secs(4),
                "the endpoint to get requests again",
                || (victim.ledger().len() > before + 20).then_some(()),
            );
        }
    });
    assert!(
        failed(&asked).is_empty(),
        "{} of {}: {:?}",
        failed(&asked).len(),
        asked.len(),
        failed(&asked)
    );
    assert!(asked.len() > 200, "{}", asked.len());
}

#[test]
fn a_black_hole_costs_the_first_requests_one_timeout_and_nobody_else() {
    let (hole, origin) = (Silent::start(), Origin::start());
    let weir = Weir::start(&over(&[hole.address(), origin.address()]));
    let start = Instant::now();
    let asked = under_load(&weir, 8, || pause(4000));
    assert!(failed(&asked).is_empty(), "{:?}", failed(&asked));
    let slow = |after: Duration| {
        let late = asked.iter().filter(move |one| one.at - start > after);
        late.filter(|one| one.took > Duration::from_millis(300)).count()
    };
    let longest = asked.iter().map(|one| one.took).max().unwrap();
    assert!(longest < Duration::from_millis(1600), "{longest:?}");
    assert_eq!(
        slow(Duration::from_secs(1)),
        0,
        "out within a second, and no request tries it later"
    );
    assert!(slow(Duration::ZERO) <= 8, "{}", slow(Duration::ZERO));
}

#[test]
fn http2_endpoints_that_refuse_or_vanish_are_passed_over_too() {
    let (dead, hole) = (Dead::start(), Silent::start());
    let inner = Site::with(|config| config.set("/listeners/0/protocols", json!(["h2"])));
    let endpoints = [dead.address(), hole.address(), inner.weir.address("web")];
    let weir = Weir::start(&over(&endpoints).set("/pools/0/protocol", "h2"));
    let start = Instant::now();
    let asked = under_load(&weir, 4, || pause(2500));
    assert!(failed(&asked).is_empty(), "{:?}", failed(&asked));
    let late = asked
        .iter()
        .filter(|one| one.at - start > Duration::from_millis(1200));
    let slow: Vec<_> = late.filter(|one| one.took > Duration::from_millis(300)).collect();
    assert!(slow.is_empty(), "{slow:?}");
}

#[test]
fn a_flapping_endpoint_is_left_alone_for_longer_and_longer() {
    let folder = tempfile::tempdir().unwrap();
    let [steady, flapping] =
        ["steady", "flapping"].map(|name| OriginProcess::start(folder.path(), name, CHILD, false));
    let weir = Weir::start(&over(&[steady.address(), flapping.address()]));
    let asked = under_load(&weir, 4, || {
        for _ in 0..8 {
            pause(500);
            flapping.kill();
            pause(300);
            flapping.revive();
        }
    });
    assert!(failed(&asked).is_empty(), "{:?}", failed(&asked));
    let moves = ejections(&weir);
    assert!((1.0..=4.0).contains(&moves), "{moves} ejections for 8 crashes");
}

/// Asks until requests succeed ten times in a row; gives how long that took.
fn recovery(weir: &Weir) -> Duration {
    let start = Instant::now();
    let (mut client, mut good) = (weir.client(), 0);
    wait_within(Duration::from_secs(5), "ten good answers in a row", || {
        good = if client.get("/").status == 200 {
            good + 1
        } else {
            0
        };
        (good == 10).then_some(())
    });
    start.elapsed()
}

#[test]
fn a_full_outage_is_told_at_once_with_few_attempts_and_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let origins = ["one", "two", "three"].map(|name| OriginProcess::start(folder.path(), name, CHILD, false));
    let weir = Weir::start(&over(&origins.each_ref().map(OriginProcess::address)));
    assert_eq!(weir.client().get("/").status, 200);
    origins.iter().for_each(OriginProcess::kill);
    let start = Instant::now();
    let asked = under_load(&weir, 4, || pause(3000));
    let seconds = start.elapsed().as_secs_f64();
    assert!(asked.iter().all(|one| one.status == 502));
    let longest = asked.iter().map(|one| one.took).max().unwrap();
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    let attempts = weir.metric("weir_upstream_requests_total{pool=\"app\",result=\"connect\"}");
    // The floor of three retries a second, and the moves of the requests that found the endpoints dead.
    let most = 1.2 * asked.len() as f64 + 3.0 * seconds + 12.0;
    assert!(
        attempts <= most && asked.len() > 200,
        "{attempts} for {}",
        asked.len()
    );
    let refusal = weir.client().get("/");
    assert_eq!(refusal.code(), "upstream_connect");
    let wait: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    origins[1].revive();
    let took = recovery(&weir);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn origins_that_fail_every_request_see_a_fifth_more_than_was_asked() {
    let origins = [0; 3].map(|_| Origin::answering(|_| Answer::raw("").then_close()));
    let weir = Weir::start(&over(&origins.each_ref().map(Origin::address)));
    let start = Instant::now();
    let asked = under_load(&weir, 4, || pause(3000));
    let seconds = start.elapsed().as_secs_f64();
    assert!(asked.iter().all(|one| one.status == 502));
    let attempts: usize = origins.iter().map(|origin| origin.seen().len()).sum();
    let most = 1.2 * asked.len() as f64 + 3.0 * seconds + 12.0;
    assert!(
        (attempts as f64) <= most && asked.len() > 100,
        "{attempts} for {}",
        asked.len()
    );
}
