//! The end of a process: nothing in flight is lost.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use weir_tests::config::Config;
use weir_tests::load::{Load, Plan};
use weir_tests::origin::{Answer, Origin};
use weir_tests::pki::Authority;
use weir_tests::wait::wait_for;
use weir_tests::weir::{Weir, binary, has_ended, run};

use crate::Site;

fn slow_site(change: impl FnOnce(Config) -> Config) -> Site {
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
    wait_for("the request at the origin", || {
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
    let start = Instant::now();
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
    wait_for("readiness to go", || {
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
    wait_for("the request at the origin", || {
        (site.origin.bytes_in() > 0).then_some(())
    });
    let start = Instant::now();
    site.weir.signal(Signal::TERM);
    site.weir.wait_exit();
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn an_idle_connection_may_send_one_more_request_and_is_told_to_close() {
    let mut site = slow_site(|config| config.set("/drain/idle_grace_ms", 3000));
    let (mut idle, mut silent) = (site.weir.client(), site.weir.client());
    assert_eq!((idle.get("/").status, silent.get("/").status), (200, 200));
    let start = Instant::now();
    site.weir.signal(Signal::TERM);
    wait_for("the listener to close", || {
        std::net::TcpStream::connect(site.weir.address("web")).err()
    });
    let last = idle.get("/");
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(silent.closes_within(Duration::from_secs(5)));
    assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(site.weir.wait_exit().success());
}

#[test]
fn a_request_that_has_begun_is_served_whatever_the_grace_time() {
    let mut site = slow_site(|config| config.set("/drain/idle_grace_ms", 0));
    let mut client = site.weir.client();
    client.send("GET / HTTP/1.1\r\nHost: ").unwrap();
    // Its bytes are read once a request behind it on another connection was answered.
    assert_eq!(site.weir.client().get("/").status, 200);
    site.weir.signal(Signal::TERM);
    wait_for("the listener to close", || {
        std::net::TcpStream::connect(site.weir.address("web")).err()
    });
    let response = client.roundtrip("acme.test\r\n\r\n");
    assert_eq!(
        (response.status, response.header("connection")),
        (200, Some("close"))
    );
    assert!(site.weir.wait_exit().success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let origin = Origin::answering(|_| Answer::text("late").delayed(Duration::from_secs(20)));
    let mut site = Site::over(origin, |config| config);
    let mut client = site.weir.client();
    client.send("GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n").unwrap();
    wait_for("the request at the origin", || {
        (site.origin.bytes_in() > 0).then_some(())
    });
    let start = Instant::now();
    site.weir.signal(Signal::TERM);
    wait_for("the drain to begin", || {
        (site.weir.admin_get("/readyz").status == 503).then_some(())
    });
    site.weir.signal(Signal::TERM);
    site.weir.wait_exit();
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

/// A site with a cleartext and a TLS listener.
fn secure_site(authority: &Authority) -> Site {
    let identity = authority.issue(&["acme.test"]);
    let origin = Origin::start();
    let config = Config::with_origin(origin.address()).with_tls("acme.pem", "acme.key");
    let files = [
        ("acme.pem", identity.cert_pem.as_str()),
        ("acme.key", identity.key_pem.as_str()),
    ];
    let weir = Weir::start_with_files(&config, &files);
    Site { origin, weir }
}

#[test]
fn ten_upgrades_under_load_fail_no_request_and_the_old_processes_end() {
    let authority = Authority::new("test authority");
    let mut site = secure_site(&authority);
    let plan = Plan {
        web: site.weir.address("web"),
        websecure: site.weir.address("websecure"),
        targets: &["/"],
        judge: |_, answer| {
            let whole = answer.status == 200 && answer.body == "ok";
            whole.then_some(()).ok_or_else(|| format!("{answer:?}"))
        },
    };
    let load = Load::start(&plan, &authority);
    let mut processes = vec![site.weir.pid()];
    for round in 1..=10 {
        let (code, said) = site.weir.upgrade();
        assert_eq!(code, Some(0), "upgrade {round}: {said}");
        processes.push(wait_for("a successor", || {
            site.weir.successors().get(round - 1).copied()
        }));
        load.wait_answers(200);
    }
    let counts = load.finish();
    println!("answers over ten upgrades: {counts:?}");
    assert!(site.weir.wait_exit().success());
    let last = processes.pop().expect("the last process");
    for pid in processes {
        wait_for("an old process to end", || has_ended(pid).then_some(()));
    }
    assert!(!has_ended(last));
    assert_eq!(site.weir.client().get("/").status, 200);
}

#[test]
fn sigusr2_hands_over_and_the_successor_answers_on_the_admin_endpoint() {
    let mut site = slow_site(|config| config);
    let (web, admin) = (site.weir.address("web"), site.weir.address("admin"));
    site.weir.signal(Signal::USR2);
    let successor = wait_for("a successor", || site.weir.successors().pop());
    assert!(site.weir.wait_exit().success());
    assert_ne!(successor, site.weir.pid());
    assert_eq!(
        (site.weir.address("web"), site.weir.address("admin")),
        (web, admin)
    );
    assert_eq!(site.weir.admin_get("/readyz").status, 200);
    assert_eq!(site.weir.client().get("/").status, 200);
}

#[test]
fn an_upgrade_keeps_the_version_that_is_served() {
    let mut site = slow_site(|config| config);
    let suspended = Config::with_origin(site.origin.address()).set("/tenants/0/state", "suspended");
    let generation = site.weir.reload(&suspended)["generation"].clone();
    // The file says otherwise: an upgrade does not read it.
    let (code, said) = site.weir.upgrade();
    assert_eq!(code, Some(0), "{said}");
    assert!(site.weir.wait_exit().success());
    assert_eq!(site.weir.client().get("/").status, 403);
    assert_eq!(site.weir.admin_get("/config").json()["generation"], generation);
}

#[test]
fn an_upgrade_that_cannot_serve_says_why_and_the_old_process_serves_on() {
    let origin = Origin::start();
    let config = Config::with_origin(origin.address())
        .set("/rule_sets", json!([ { "id": "own", "files": ["own.conf"] } ]))
        .set("/tenants/0/waf/rule_set", "own");
    let sound = "SecAction \"id:1,phase:1,pass\"\n";
    let weir = Weir::start_with_files(&config, &[("own.conf", sound)]);
    let site = Site { origin, weir };
    assert_eq!(site.weir.client().get("/").status, 200);
    site.weir
        .write("own.conf", "SecRule ARGS \"@rx (\" \"id:1,phase:2,deny\"\n");
    let (code, said) = site.weir.upgrade();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("own.conf") && said.contains("serves on"), "{said}");
    assert_eq!(site.weir.client().get("/").status, 200);
    assert_eq!(site.weir.admin_get("/readyz").status, 200);
    assert_eq!(site.weir.successors(), []);
    site.weir.write("own.conf", sound);
    assert_eq!(site.weir.upgrade().0, Some(0), "the next try may succeed");
}

#[test]
fn the_new_binary_is_the_one_that_the_path_leads_to_now() {
    let folder = tempfile::TempDir::new().unwrap();
    let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
    for copy in [&old, &new] {
        std::fs::copy(binary(), copy).unwrap();
    }
    let link = folder.path().join("current");
    let lead_to = |target: &std::path::Path| {
        let fresh = folder.path().join("fresh");
        std::os::unix::fs::symlink(target, &fresh).unwrap();
        std::fs::rename(&fresh, &link).unwrap();
    };
    lead_to(&old);
    let origin = Origin::start();
    let weir = Weir::start_program(&link, &Config::with_origin(origin.address()));
    let mut site = Site { origin, weir };
    for broken in [std::path::Path::new("/bin/false"), &folder.path().join("missing")] {
        lead_to(broken);
        let (code, said) = site.weir.upgrade();
        assert_eq!(code, Some(1), "{said}");
        assert_eq!(site.weir.client().get("/").status, 200, "the old one serves on");
    }
    lead_to(&new);
    std::fs::remove_file(&old).unwrap();
    let (code, said) = site.weir.upgrade();
    assert_eq!(code, Some(0), "{said}");
    let successor = wait_for("a successor", || site.weir.successors().pop());
    let runs = std::fs::read_link(format!("/proc/{}/exe", successor.as_raw_nonzero())).unwrap();
    assert_eq!(runs, new);
    assert!(site.weir.wait_exit().success());
    assert_eq!(site.weir.client().get("/").status, 200);
}

#[test]
fn a_supervisor_learns_that_it_serves_which_process_counts_and_that_it_ends() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let supervisor = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    supervisor
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let next = || {
        let mut bytes = [0; 64];
        let count = supervisor.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    let origin = Origin::start();
    let mut weir = Weir::start_supervised(&Config::with_origin(origin.address()), &path);
    assert_eq!(next(), "READY=1");
    assert_eq!(weir.upgrade().0, Some(0));
    assert_eq!(next(), "READY=1", "the new process");
    let successor = wait_for("a successor", || weir.successors().pop());
    assert_eq!(next(), format!("MAINPID={}", successor.as_raw_nonzero()));
    assert!(weir.wait_exit().success());
    rustix::process::kill_process(successor, Signal::TERM).unwrap();
    assert_eq!(next(), "STOPPING=1");
}

#[test]
fn a_tunnel_lives_on_in_the_old_process_until_the_drain_ends() {
    let origin = Origin::answering(|_| Answer::websocket_echo());
    let mut site = Site::over(origin, |config| {
        config
            .set("/tenants/0/routes/0/upgrade", true)
            .set("/drain/timeout_ms", 3000)
    });
    let mut socket = site.weir.client();
    let upgraded = socket
        .roundtrip("GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(upgraded.status, 101);
    assert_eq!(site.weir.upgrade().0, Some(0));
    socket.send("ping").unwrap();
    assert_eq!(socket.take_bytes(4), b"ping");
    assert!(socket.closes_within(Duration::from_secs(8)));
    assert!(site.weir.wait_exit().success());
}

#[test]
fn a_command_that_reaches_no_proxy_says_so() {
    let dead = weir_tests::socket::Dead::start();
    let address = dead.address().to_string();
    let (code, said) = run(&["proxy", "--upgrade", "--admin", &address]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&address), "{said}");
}
