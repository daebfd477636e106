//! The end of a process: nothing in flight is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use weir_tests::origin::{Answer, Origin};

use crate::Site;

fn slow_site(change: impl FnOnce(weir_tests::config::Config) -> weir_tests::config::Config) -> Site {
    let origin = Origin::answering(|seen| match seen.target.as_str() {
        "/slow" => Answer::text("done").delayed(Duration::from_secs(1)),
        _ => Answer::text("ok"),
    });
    Site::over(origin, change)
}

#[test]
fn sigterm_ends_what_is_in_flight_and_then_the_process() {
    let mut site = slow_site(|config| config);
    let mut client = site.weir.client();
    client
        .send("GET /slow HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        .unwrap();
    weir_tests::wait::wait_for("the request at the origin", || {
        (site.origin.bytes_in() > 0).then_some(())
    });
    site.weir.signal(Signal::TERM);
    let response = client.response().expect("the request in flight is answered");
    assert_eq!((response.status, response.text().as_str()), (200, "done"));
    assert!(client.closes_within(Duration::from_secs(3)));
    assert!(site.weir.wait_exit().success());
}

#[test]
fn an_idle_process_ends_at_once() {
    let mut site = slow_site(|config| config);
    let mut idle = site.weir.client();
    assert_eq!(idle.get("/").status, 200);
    let start = std::time::Instant::now();
    site.weir.signal(Signal::TERM);
    assert!(site.weir.wait_exit().success());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(idle.closes_within(Duration::from_secs(1)));
}

#[test]
fn readiness_goes_false_before_the_listeners_close() {
    let site = slow_site(|config| config.set("/drain/readiness_delay_ms", 1500));
    assert_eq!(site.weir.admin_get("/readyz").status, 200);
    site.weir.signal(Signal::TERM);
    weir_tests::wait::wait_for("readiness to go", || {
        (site.weir.admin_get("/readyz").status == 503).then_some(())
    });
    assert_eq!(
        site.weir.client().get("/").status,
        200,
        "still served while load balancers look away"
    );
    assert_eq!(site.weir.admin_get("/livez").status, 200);
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let origin = Origin::answering(|_| Answer::text("late").delayed(Duration::from_secs(20)));
    let mut site = Site::over(origin, |config| config.set("/drain/timeout_ms", 500));
    let mut client = site.weir.client();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n").unwrap();
    weir_tests::wait::wait_for("the request at the origin", || {
        (site.origin.bytes_in() > 0).then_some(())
    });
    let start = std::time::Instant::now();
    site.weir.signal(Signal::TERM);
    site.weir.wait_exit();
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn a_hand_over_under_load_fails_no_request() {
    // The new process finds its sockets by the address in the document, so the port must be known beforehand.
    let free = || {
        std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let (web, admin) = (free(), free());
    let mut site = Site::with(|config| {
        config
            .set("/listeners/0/address", web.to_string())
            .set("/admin/address", admin.to_string())
    });
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = [true, true, false, false].map(|keep_alive| {
            scope.spawn({
                let stop = &stop;
                move || send_until(web, keep_alive, stop)
            })
        });
        site.weir.signal(Signal::USR2);
        let successor = weir_tests::wait::wait_for("a successor", || site.weir.successor());
        assert_ne!(successor, site.weir.pid());
        assert!(site.weir.wait_exit().success());
        std::thread::sleep(Duration::from_millis(200));
        stop.store(true, Ordering::Release);
        for client in load {
            assert!(client.join().expect("a client saw a failed request") > 0);
        }
    });
    assert_eq!(weir_tests::h1::H1::connect(web).get("/").status, 200);
}

/// Sends GETs until told to stop, on one connection for as long as the server keeps it or on a new one each.
fn send_until(web: std::net::SocketAddr, keep_alive: bool, stop: &AtomicBool) -> u32 {
    let mut client = weir_tests::h1::H1::connect(web);
    let mut count = 0;
    while !stop.load(Ordering::Acquire) {
        let response = client.get("/");
        assert_eq!(response.status, 200);
        count += 1;
        let ends = response
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if ends || !keep_alive {
            client = weir_tests::h1::H1::connect(web);
        }
    }
    count
}
