//! Alerts of the SLO engine at a real Alertmanager: it takes them, groups them, inhibits them, and lets them end.
#![allow(clippy::print_stderr)] // what was not checked is said

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use weir_plan::slo::window::RULES;
use weir_plan::slo::{Alert, Kind, Labels, Tier, alertmanager};
use weir_tests::h1::H1;
use weir_tests::wait::wait_for;

/// What docs/slo.md recommends, with a receiver that tells nobody.
const CONFIG: &str = r#"
route:
  receiver: none
  group_by: [revision, region]
  group_wait: 0s
receivers:
- name: none
inhibit_rules:
- source_matchers: [severity="page"]
  target_matchers: [severity="ticket"]
  equal: [tenant, region, upstream, objective]
- source_matchers: [tenant="", region!="", severity="page"]
  target_matchers: [tenant!=""]
  equal: [region, objective]
- source_matchers: [tenant="", region="", severity="page"]
  target_matchers: [tenant!=""]
  equal: [objective]
"#;

/// A running Alertmanager; it ends with this value.
struct Alertmanager {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    /// Starts it; none where it is not installed, which fails in CI.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("alertmanager.yml"), CONFIG).expect("a file");
        let process = Command::new("prometheus-alertmanager")
            .args(["--config.file=alertmanager.yml", "--storage.path=data"])
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut process) = process else {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "prometheus-alertmanager is missing: .ci/setup installs it"
            );
            eprintln!("not checked: prometheus-alertmanager is not installed (.ci/setup installs it)");
            return None;
        };
        let mut log = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let mut said = Vec::new();
        let address = log.by_ref().map_while(Result::ok).find_map(|line| {
            said.push(line.clone());
            let address = line
                .split("address=")
                .nth(1)
                .filter(|_| line.contains("Listening on"))?;
            address.split_whitespace().next()?.parse().ok()
        });
        // It must not block on a full pipe.
        std::thread::spawn(move || log.for_each(drop));
        Some(Self {
            process,
            address: address.unwrap_or_else(|| panic!("it does not say where it listens: {said:#?}")),
            _folder: folder,
        })
    }

    fn post(&self, alerts: &[Alert]) {
        let body = alertmanager::payload(alerts, "http://127.0.0.1:9902", now_s()).to_string();
        let request = format!(
            "POST /api/v2/alerts HTTP/1.1\r\nhost: am\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = H1::connect(self.address).roundtrip(request.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn read(&self, path: &str) -> Vec<Value> {
        let answer = H1::connect(self.address).get(path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().as_array().cloned().expect("a list")
    }

    /// Tenant and severity of the alerts in that state.
    fn alerts(&self, state: &str) -> Vec<(String, String)> {
        let alerts = self.read("/api/v2/alerts");
        let in_state = alerts.iter().filter(|alert| alert["status"]["state"] == state);
        let mut found: Vec<_> = in_state.map(name).collect();
        found.sort();
        found
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn name(alert: &Value) -> (String, String) {
    let label = |name: &str| alert["labels"][name].as_str().unwrap_or("-").to_owned();
    (label("tenant"), label("severity"))
}

fn now_s() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

fn alert(tenant: Option<&str>, region: &str, rule: usize) -> Alert {
    Alert {
        labels: Arc::new(Labels {
            tenant: tenant.map(Into::into),
            tier: tenant.map(|_| Tier::Starter),
            region: Some(region.into()),
            upstream: None,
        }),
        objective: Kind::Availability,
        rule: &RULES[rule],
        revision: 12,
        started_s: now_s() - 60,
        ended_s: None,
        burn_milli: [20_000, 30_000],
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = expected
        .iter()
        .map(|(tenant, severity)| ((*tenant).to_owned(), (*severity).to_owned()));
    owned.collect()
}

#[test]
fn alertmanager_groups_and_inhibits_what_the_engine_says() {
    let Some(alertmanager) = Alertmanager::start() else {
        return;
    };
    wait_for("Alertmanager", || {
        let ready = H1::connect(alertmanager.address).get("/-/ready");
        (ready.status == 200).then_some(())
    });
    // A page and a ticket of a tenant, a ticket of another, in two regions.
    let mut alerts = vec![
        alert(Some("a"), "eu", 0),
        alert(Some("a"), "eu", 3),
        alert(Some("b"), "us", 2),
    ];
    alertmanager.post(&alerts);
    wait_for("the ticket to be inhibited", || {
        (alertmanager.alerts("suppressed") == pairs(&[("a", "ticket")])).then_some(())
    });
    assert_eq!(
        alertmanager.alerts("active"),
        pairs(&[("a", "page"), ("b", "ticket")])
    );
    let groups = wait_for("two groups", || {
        let groups = alertmanager.read("/api/v2/alerts/groups");
        (groups.len() == 2).then_some(groups)
    });
    assert_eq!(
        groups[0]["labels"],
        serde_json::json!({ "region": "eu", "revision": "12" })
    );
    assert_eq!(groups[0]["alerts"].as_array().map(Vec::len), Some(2));
    // All of a region is worse: its tenants are silent.
    alerts.push(alert(None, "eu", 0));
    alertmanager.post(&alerts);
    wait_for("the tenant's page to be inhibited", || {
        let suppressed = alertmanager.alerts("suppressed");
        (suppressed == pairs(&[("a", "page"), ("a", "ticket")])).then_some(())
    });
    assert_eq!(
        alertmanager.alerts("active"),
        pairs(&[("-", "page"), ("b", "ticket")])
    );
    // What ended is gone.
    for alert in &mut alerts {
        alert.ended_s = Some(now_s() - 1);
    }
    alertmanager.post(&alerts);
    wait_for("all alerts to end", || {
        alertmanager.read("/api/v2/alerts").is_empty().then_some(())
    });
}
