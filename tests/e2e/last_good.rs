//! Versions that served are kept, and serve again when the document cannot.

use std::path::Path;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use weir_tests::config::Config;
use weir_tests::origin::Origin;
use weir_tests::wait::wait_for;
use weir_tests::weir::Weir;

fn document(origin: &Origin, state: &Path) -> Config {
    Config::with_origin(origin.address()).set("/node/state_dir", state.to_str().unwrap())
}

fn suspended(config: Config) -> Config {
    config.set("/tenants/0/state", "suspended")
}

fn broken(config: Config) -> Config {
    config.set("/tenants/0/routes/0/pool", "nowhere")
}

fn ends(mut weir: Weir) {
    weir.signal(Signal::TERM);
    assert!(weir.wait_exit().success());
}

/// Serves the document once, so that it is kept.
fn serve_once(config: &Config) {
    let weir = Weir::start(config);
    assert_eq!(weir.client().get("/").status, 200);
    kept(&weir);
    ends(weir);
}

/// Waits until the first version is on disk: that happens after the process says that it is ready.
fn kept(weir: &Weir) {
    let config = weir.admin_get("/config").json();
    let folder = config["config"]["node"]["state_dir"].as_str().unwrap().to_owned();
    wait_for("the version to be kept", || {
        let folder = Path::new(&folder);
        (folder.join("current.json").exists() && !folder.join("boots").exists()).then_some(())
    });
}

fn degraded(weir: &Weir) -> f64 {
    weir.metric("weir_config_degraded")
}

#[test]
fn a_broken_document_at_the_start_is_replaced_by_the_last_that_served_and_that_is_told() {
    let (origin, state) = (Origin::start(), TempDir::new().unwrap());
    let good = document(&origin, state.path());
    serve_once(&good);
    let weir = Weir::start(&broken(good.clone()));
    assert_eq!(weir.client().get("/").status, 200);
    let log = weir.log();
    assert!(
        log.contains("\"event\":\"degraded\"") && log.contains("nowhere"),
        "{log}"
    );
    let readyz = weir.admin_get("/readyz");
    assert_eq!(readyz.status, 200, "it serves");
    assert!(
        readyz.text().contains("degraded") && readyz.text().contains("nowhere"),
        "{}",
        readyz.text()
    );
    assert!(degraded(&weir) > 0.5);
    weir.reload(&good);
    assert!(degraded(&weir) < 0.5);
    assert_eq!(weir.admin_get("/readyz").text(), "ready\n");
}

#[test]
fn a_broken_document_without_a_version_that_served_does_not_start() {
    let (origin, state) = (Origin::start(), TempDir::new().unwrap());
    let (status, log) = Weir::refused(&broken(document(&origin, state.path())));
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("nowhere"), "{log}");
}

#[test]
fn a_text_that_is_no_document_starts_on_the_folder_of_the_command() {
    let (origin, state) = (Origin::start(), TempDir::new().unwrap());
    serve_once(&document(&origin, state.path()));
    let weir = Weir::start_text(
        "{ not a document",
        &["--state-dir", state.path().to_str().unwrap()],
    );
    assert_eq!(weir.client().get("/").status, 200);
    assert!(degraded(&weir) > 0.5);
}

#[test]
fn the_newest_that_is_whole_is_taken() {
    let (origin, state) = (Origin::start(), TempDir::new().unwrap());
    let good = document(&origin, state.path());
    let weir = Weir::start(&good);
    kept(&weir);
    weir.reload(&suspended(good.clone()));
    ends(weir);
    let weir = Weir::start(&broken(good.clone()));
    assert_eq!(weir.client().get("/").status, 403, "the newest");
    ends(weir);
    let current = state.path().join("current.json");
    let text = std::fs::read_to_string(&current).unwrap();
    for damaged in [
        text.replace("suspended", "suspendet"),
        text[..text.len() / 2].to_owned(),
        String::new(),
    ] {
        std::fs::write(&current, damaged).unwrap();
        let weir = Weir::start(&broken(good.clone()));
        assert_eq!(weir.client().get("/").status, 200, "the one before");
        ends(weir);
    }
}

#[test]
fn a_version_whose_files_are_gone_gives_way_to_the_one_before() {
    let (origin, state) = (Origin::start(), TempDir::new().unwrap());
    let good = document(&origin, state.path());
    let weir = Weir::start(&good);
    kept(&weir);
    weir.write("own.conf", "SecAction \"id:1,phase:1,pass\"\n");
    let with_rules = good.set("/tenants/0/waf/rules", json!(["own.conf"]));
    weir.reload(&with_rules);
    ends(weir);
    // The new process has another folder: the file is in neither its own nor the kept version's.
    let weir = Weir::start(&with_rules);
    assert_eq!(weir.client().get("/").status, 200);
    assert!(weir.log().contains("own.conf"), "{}", weir.log());
    assert!(degraded(&weir) > 0.5);
}

#[test]
fn three_failed_starts_within_a_minute_step_back() {
    let (origin, state) = (Origin::start(), TempDir::new().unwrap());
    let good = document(&origin, state.path());
    serve_once(&good);
    let taken = json!({ "id": "taken", "address": origin.address().to_string() });
    let failing = good.set("/listeners/-", taken);
    for attempt in 1..=3 {
        let (status, log) = Weir::refused(&failing);
        assert_eq!(status.code(), Some(3), "start {attempt}: {log}");
        assert!(log.contains("taken"), "{log}");
    }
    let weir = Weir::start(&failing);
    assert_eq!(weir.client().get("/").status, 200);
    assert!(degraded(&weir) > 0.5);
    assert!(weir.log().contains("\"event\":\"degraded\""), "{}", weir.log());
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_version_that_serves() {
    let (origin, state) = (Origin::start(), TempDir::new().unwrap());
    let good = document(&origin, state.path());
    for round in 0..4 {
        let weir = Weir::start(&good);
        kept(&weir);
        std::thread::scope(|scope| {
            let (weir, origin, state) = (&weir, &origin, state.path());
            let (answered, first) = std::sync::mpsc::channel();
            let reloads = scope.spawn(move || {
                for number in 0..200 {
                    let quota = json!({ "requests": 1_000_000 + number, "window_ms": 1000 });
                    let next = good_with(origin, state, quota);
                    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        weir.admin_post("/reload", &next.text()).status
                    }));
                    if asked.is_err() {
                        return number;
                    }
                    // Nobody listens after the first.
                    let _ = answered.send(());
                }
                200
            });
            first
                .recv_timeout(std::time::Duration::from_secs(10))
                .expect("a first reload");
            std::thread::sleep(std::time::Duration::from_millis(30 + 70 * round));
            weir.signal(Signal::KILL);
            assert!(reloads.join().unwrap() > 0, "some reloads before the end");
        });
        drop(weir);
        let weir = Weir::start(&broken(good.clone()));
        assert_eq!(weir.client().get("/").status, 200);
        ends(weir);
    }
}

fn good_with(origin: &Origin, state: &Path, quota: serde_json::Value) -> Config {
    document(origin, state).set("/tenants/0/limits/tenant", quota)
}

#[test]
fn a_folder_that_cannot_be_written_costs_no_traffic_and_is_told() {
    let (origin, folder) = (Origin::start(), TempDir::new().unwrap());
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let weir = Weir::start(&document(&origin, &file.join("below")));
    assert_eq!(weir.client().get("/").status, 200);
    wait_for("the event", || {
        weir.log().contains("last_known_good_not_kept").then_some(())
    });
}
