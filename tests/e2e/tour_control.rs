//! The README's tour of control, with the real `weir up`: make a tenant, push, watch it converge, see what it used and how it
//! stands, and go back.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_tests::h1::H1;
use weir_tests::operator::Operator;
use weir_tests::wait::{wait_for, wait_within};
use weir_tests::weir::binary;

/// `weir up` and the processes that it started.
struct Up {
    child: Child,
    events: std::sync::Arc<std::sync::Mutex<Vec<Value>>>,
}

impl Up {
    fn start(data_dir: &Path) -> Self {
        let mut child = Command::new(binary())
            .args([
                "up",
                "--output",
                "json",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
            ])
            .args(["--api", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start weir up");
        let events = std::sync::Arc::<std::sync::Mutex<Vec<Value>>>::default();
        let (out, heard) = (
            child.stdout.take().expect("piped"),
            std::sync::Arc::clone(&events),
        );
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    heard.lock().expect("no panic under the lock").push(event);
                }
            }
        });
        Self { child, events }
    }

    /// The newest event that has these fields.
    fn event(&self, fields: &Value) -> Option<Value> {
        let events = self.events.lock().expect("no panic under the lock");
        let wanted = fields.as_object().expect("fields");
        let mut newest = events.iter().rev();
        newest
            .find(|event| wanted.iter().all(|(key, value)| event[key] == *value))
            .cloned()
    }

    fn address(&self, listener: &str) -> String {
        let event = wait_within(
            std::time::Duration::from_secs(60),
            &format!("{listener} to listen"),
            || self.event(&json!({"event": "listening", "listener": listener})),
        );
        event["address"].as_str().expect("an address").to_owned()
    }

    fn pid(&self, process: &str) -> Pid {
        let event = wait_for(&format!("{process} to start"), || {
            self.event(&json!({"event": "started", "process": process}))
        });
        let pid = event["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw).expect("a process")
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Its children end with it.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn status(address: &str, host: &str) -> u16 {
    let mut client = H1::connect(address.parse().expect("an address"));
    client
        .roundtrip(format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .status
}

#[test]
fn the_tour_of_control_works_as_the_readme_says() {
    let data = TempDir::new().unwrap();
    let up = Up::start(data.path());
    let web = up.address("web");
    let operator = Operator::of(
        format!("http://{}", up.address("api")),
        &data.path().join("control"),
    );
    assert_eq!(
        status(&web, "shop.test"),
        200,
        "the demo origin, by the tenant for every host"
    );

    // A tenant of its own, pushed and served.
    let file = data.path().join("shop.json");
    let shop = json!({"tenant": {"id": "shop", "hosts": ["shop.test"], "routes": [{"id": "all", "pool": "upstream"}]}});
    std::fs::write(&file, shop.to_string()).unwrap();
    operator
        .run(&[
            "tenants",
            "create",
            "shop",
            "--file",
            file.to_str().unwrap(),
            "--wait",
        ])
        .ends(0);
    wait_for("a pending tenant to answer 503", || {
        (status(&web, "shop.test") == 503).then_some(())
    });
    operator.run(&["tenants", "activate", "shop", "--wait"]).ends(0);
    wait_for("the tenant to be served", || {
        (status(&web, "shop.test") == 200).then_some(())
    });
    let proxies = operator.json(&["proxies", "list"]).to_string();
    assert!(proxies.contains("local"), "{proxies}");

    // What it used, and how it stands.
    for _ in 0..20 {
        assert_eq!(status(&web, "shop.test"), 200);
    }
    wait_for("usage of the tenant", || {
        let usage = operator.run(&["usage", "--output", "json"]).out;
        usage.contains("shop").then_some(())
    });
    wait_for("its objectives", || {
        let slo = operator.run(&["slo", "--output", "json"]).out;
        slo.contains("shop").then_some(())
    });

    // A crash of either is mended, and takes nothing back.
    for process in ["control", "proxy"] {
        let before = up.pid(process);
        kill_process(before, Signal::KILL).expect("kill it");
        wait_for(&format!("{process} to run again"), || {
            up.event(&json!({"event": "restarted"}))
        });
        wait_within(std::time::Duration::from_secs(60), "an answer again", || {
            std::panic::catch_unwind(|| status(&up.address("web"), "shop.test"))
                .ok()
                .filter(|status| *status == 200)
        });
    }
    let versions = || operator.run(&["versions", "list", "--output", "json"]);
    wait_within(std::time::Duration::from_secs(60), "control to answer", || {
        (versions().code == Some(0)).then_some(())
    });

    // And back to the first version, which had no shop of its own.
    operator.run(&["tenants", "suspend", "shop", "--wait"]).ends(0);
    wait_for("a suspended tenant to answer 403", || {
        (status(&up.address("web"), "shop.test") == 403).then_some(())
    });
    operator.run(&["rollback", "1", "--wait"]).ends(0);
    wait_for("the first version", || {
        (status(&up.address("web"), "shop.test") == 200).then_some(())
    });
    let events = operator.run(&["events", "--output", "json"]).out;
    for action in ["tenant.create", "tenant.suspend", "version.rollback"] {
        assert!(events.contains(action), "{action} is not in {events}");
    }
}
