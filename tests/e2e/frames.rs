//! Telemetry frames: what they count is what the access log says, whatever happens to the process.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_tests::config::Config;
use weir_tests::h1::H1;
use weir_tests::origin::Origin;
use weir_tests::wait::wait_for;
use weir_tests::weir::Weir;

/// Requests by tenant, route, status class and outcome.
type Table = BTreeMap<(String, String, String, String), u64>;

fn document(origin: &Origin, folder: &Path) -> Config {
    Config::with_origin(origin.address())
        .with_tenant("beta", "beta.test")
        .set("/tenants/1/routes/0/path_prefix", "/known")
        .set(
            "/tenants/0/routes/-",
            json!({ "id": "api", "path_prefix": "/api", "pool": "app" }),
        )
        .set("/node/state_dir", folder.to_str().unwrap())
        .set(
            "/observability/access_log",
            json!({ "file": folder.join("access.log").to_str().unwrap() }),
        )
}

fn ask(client: &mut H1, round: usize) {
    for (host, path, status) in [
        ("acme.test", "/", 200),
        ("acme.test", "/api/x", 200),
        ("beta.test", "/known", 200),
        ("beta.test", "/elsewhere", 404),
        ("nobody.test", "/", 404),
    ] {
        let answer = client.roundtrip(format!("GET {path}?{round} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status, status, "{host} {path}");
    }
}

fn frames(weir: &Weir) -> Vec<Value> {
    let text = weir.admin_get("/frames/batch").text();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("a frame per line")
}

fn counted(frames: &[Value]) -> Table {
    let mut table = Table::new();
    for entry in frames
        .iter()
        .flat_map(|frame| frame["entries"].as_array().unwrap())
    {
        for pair in entry["requests"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let key = (
                text(&entry["tenant"]),
                text(&entry["route"]),
                text(&pair[0][0]),
                text(&pair[0][1]),
            );
            *table.entry(key).or_default() += pair[1].as_u64().unwrap();
        }
    }
    table
}

fn logged(folder: &Path) -> Table {
    let mut table = Table::new();
    let text = std::fs::read_to_string(folder.join("access.log")).unwrap_or_default();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let class = format!("{}xx", line["status"].as_u64().unwrap() / 100);
        *table
            .entry((text("tenant"), text("route"), class, text("outcome")))
            .or_default() += 1;
    }
    table
}

/// The parts of every frame's CPU time are the workers' CPU time.
fn assert_conserved(frames: &[Value]) {
    for frame in frames {
        let parts = frame["entries"].as_array().unwrap().iter();
        let sum: u64 = parts.map(|entry| entry["cpu_ns"].as_u64().unwrap()).sum();
        let overhead = frame["overhead_cpu_ns"].as_u64().unwrap();
        assert_eq!(sum + overhead, frame["cpu_ns"].as_u64().unwrap(), "{frame}");
    }
}

#[test]
fn frames_count_what_the_access_log_says() {
    let (origin, folder) = (Origin::start(), TempDir::new().unwrap());
    let weir = Weir::start_text(&document(&origin, folder.path()).text(), &["--frames", "eu-1"]);
    let mut client = weir.client();
    for round in 0..20 {
        ask(&mut client, round);
    }
    let all = wait_for("all requests in frames", || {
        let all = frames(&weir);
        (counted(&all).values().sum::<u64>() >= 100).then_some(all)
    });
    let log = wait_for("all requests in the log", || {
        let log = logged(folder.path());
        (log.values().sum::<u64>() == 100).then_some(log)
    });
    assert_eq!(counted(&all), log);
    assert_conserved(&all);
    assert!(
        all.iter().zip(1..).all(|(frame, seq)| frame["seq"] == json!(seq)),
        "no gap"
    );
}

#[test]
fn a_drain_keeps_all_and_a_crash_loses_no_more_than_it_names() {
    let (origin, folder) = (Origin::start(), TempDir::new().unwrap());
    let text = document(&origin, folder.path()).text();
    let start = || Weir::start_text(&text, &["--frames", "eu-1"]);
    let mut drained = start();
    ask(&mut drained.client(), 0);
    drained.signal(Signal::TERM);
    assert!(drained.wait_exit().success());

    let mut crashed = start();
    assert_eq!(
        counted(&frames(&crashed)),
        logged(folder.path()),
        "the drained process left all"
    );
    ask(&mut crashed.client(), 1);
    wait_for("the requests in a frame", || {
        (counted(&frames(&crashed)).values().sum::<u64>() == 10).then_some(())
    });
    crashed.signal(Signal::KILL);
    crashed.wait_exit();

    let next = start();
    let lost = wait_for("the crash to be named", || {
        let lost = frames(&next)
            .into_iter()
            .flat_map(|frame| frame["lost"].as_array().cloned().unwrap());
        lost.into_iter().next()
    });
    assert_eq!(
        (&lost["cause"], &lost["requests"]),
        (&json!("crash"), &Value::Null)
    );
    assert_eq!(counted(&frames(&next)).values().sum::<u64>(), 10);
}

#[test]
fn acknowledged_frames_are_gone_and_without_the_option_there_are_none() {
    let origin = Origin::start();
    let text = Config::with_origin(origin.address()).text();
    let weir = Weir::start_text(&text, &["--frames", "eu-1"]);
    let first = wait_for("a frame", || frames(&weir).into_iter().next());
    let (epoch, seq) = (&first["epoch"], &first["seq"]);
    assert_eq!(
        weir.admin_post(&format!("/frames/ack?epoch={epoch}&seq={seq}"), "")
            .status,
        200
    );
    assert!(frames(&weir).iter().all(|frame| frame["seq"] != *seq));
    let off = Weir::start_text(&text, &[]);
    assert_eq!(off.admin_get("/frames").status, 404);
}
