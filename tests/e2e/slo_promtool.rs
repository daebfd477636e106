//! The exported rules in Prometheus, and the engine, over the same events: they must come to the same alerts.
//!
//! What the engine says becomes series of the test file (`expected_*`); rules of the test compare them with what the exported
//! rules made, at every instant, and record the number of differences: in the end there must be no record.
#![allow(clippy::print_stderr)] // what was not checked is said

mod events;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use weir_plan::slo::window::{RULES, WINDOWS, WindowId};
use weir_plan::slo::{Kind, prometheus};

use events::{Run, Scene, Tenant, tenants};

/// Runs promtool; none where it is not installed, which fails in CI.
fn promtool(arguments: &[&str], folder: &Path) -> Option<Output> {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(folder)
        .output();
    if output.is_err() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "promtool is missing: .ci/setup installs it"
        );
        eprintln!("not checked: promtool is not installed (.ci/setup installs it)");
    }
    output.ok()
}

fn said(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&all).chars().take(4000).collect()
}

/// Values in promtool's notation: runs of equal steps are one word.
fn notation(values: &[Option<u64>]) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(value) = values.get(at) {
        let Some(value) = *value else {
            let run = values[at..].iter().take_while(|value| value.is_none()).count();
            let _ = write!(text, "_x{run} ");
            at += run;
            continue;
        };
        let step = match values.get(at + 1) {
            Some(Some(next)) => i128::from(*next) - i128::from(value),
            _ => 0,
        };
        let run = (1i128..)
            .take_while(|n| {
                values.get(at + *n as usize) == Some(&u64::try_from(i128::from(value) + n * step).ok())
            })
            .filter(|n| values[at + *n as usize].is_some())
            .count();
        let _ = write!(text, "{value}{step:+}x{run} ");
        at += run + 1;
    }
    text
}

/// An input series of a test file.
fn series(text: &mut String, name: &str, labels: &str, values: &str) {
    let _ = writeln!(text, "  - {{series: '{name}{{{labels}}}', values: '{values}'}}");
}

/// The exported series of a tenant, and what the engine said of it.
fn tenant_series(text: &mut String, tenant: &Tenant, scene: &Scene) {
    let from_start = |value: u64| {
        let steps = 0..=scene.steps;
        notation(
            &steps
                .map(|at| (at >= tenant.start).then_some(value))
                .collect::<Vec<_>>(),
        )
    };
    for kind in Kind::ALL {
        let labels = format!("tenant=\"{}\",objective=\"{}\"", tenant.name, kind.as_str());
        let slo = &tenant.slos[kind.index()];
        for (outcome, values) in [("bad", &slo.bad), ("good", &slo.good)] {
            let labels = format!("{labels},outcome=\"{outcome}\"");
            series(text, "weir_slo_events_total", &labels, &notation(values));
        }
        let started = from_start(tenant.start as u64 * scene.step_s);
        series(text, "weir_slo_started_timestamp_seconds", &labels, &started);
        // In the form in which it is exported.
        let ppm = tenant.objectives.target(kind).bad_ppm();
        let budget = format!("0.{ppm:06}x{}", scene.steps);
        let with_tier = format!("{labels},tier=\"{}\"", tenant.tier.as_str());
        series(text, "weir_slo_error_budget_ratio", &with_tier, &budget);
        for (rule, fires) in RULES.iter().zip(&slo.fires) {
            let labels = format!("{labels},alertname=\"{}\"", rule.name);
            series(text, "expected_alert", &labels, &notation(fires));
        }
        for (window, sums) in WINDOWS.iter().zip(&slo.sums) {
            let labels = format!("{labels},window=\"{}\"", window.name);
            series(text, "expected_events", &labels, &notation(&sums.events));
            series(text, "expected_bad", &labels, &notation(&sums.bad));
        }
    }
}

/// A test file that feeds the events of `run` to the rules and asks for differences to what the engine said.
fn test_file(run: &Run, scene: &Scene) -> String {
    let mut text = format!(
        "rule_files: [rules.yaml, comparison.yaml]\ngroup_eval_order: [weir_slo, comparison]\nevaluation_interval: {}s\ntests:\n- interval: {}s\n  input_series:\n",
        scene.evaluate_s, scene.step_s
    );
    for tenant in &run.tenants {
        tenant_series(&mut text, tenant, scene);
    }
    let end = scene.steps as u64 * scene.step_s;
    let _ = writeln!(
        text,
        "  promql_expr_test:\n  - {{eval_time: {end}s, expr: 'count_over_time(difference[{end}s])'}}"
    );
    text
}

/// Rules that count, at an instant, what the engine and Prometheus do not agree on.
fn comparison() -> String {
    let mut text = "groups:\n- name: comparison\n  rules:\n".to_owned();
    let mut number = 0;
    let mut count = |what: &str, expression: &str| {
        number += 1;
        let _ = writeln!(
            text,
            "  - {{record: difference, labels: {{what: {what}, number: \"{number}\"}}, expr: 'count({expression})'}}"
        );
    };
    // One rule at a time: promtool's engine takes no more than 10,000 samples into an expression.
    for rule in &RULES {
        let on = "on (tenant, objective)";
        let firing = format!("ALERTS{{alertstate=\"firing\",alertname=\"{}\"}}", rule.name);
        let expected = format!("(expected_alert{{alertname=\"{}\"}} == 1)", rule.name);
        count(
            "only_prometheus_alerts",
            &format!("{firing} unless {on} {expected}"),
        );
        count(
            "only_the_engine_alerts",
            &format!("{expected} unless {on} {firing}"),
        );
    }
    for window in WINDOWS {
        let name = window.name;
        for what in ["events", "bad"] {
            let ours = format!("expected_{what}{{window=\"{name}\"}}");
            let theirs = format!("weir:slo_{what}:{name}");
            let on = "on (tenant, objective)";
            let unequal = format!("{ours} unless {on} ({ours} == {on} {theirs})");
            count(&format!("{what}_{name}"), &unequal);
        }
    }
    text
}

/// Runs a scene in both; the differences that Prometheus finds, and how often each rule fired.
fn differences(scene: &Scene, spoil: bool) -> Option<(String, bool)> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = Run::of(tenants(scene), scene);
    let fired = run.fired();
    eprintln!(
        "{} SLOs, {} instants; fired: {fired:?}",
        run.tenants.len() * 2,
        scene.instants().count()
    );
    assert!(
        scene.rules_that_fire.iter().all(|rule| fired[*rule] >= 10),
        "few alerts: {fired:?}"
    );
    if spoil {
        run.spoil();
    }
    std::fs::write(folder.path().join("rules.yaml"), prometheus::rules(30)).expect("a file");
    std::fs::write(folder.path().join("comparison.yaml"), comparison()).expect("a file");
    std::fs::write(folder.path().join("test.yaml"), test_file(&run, scene)).expect("a file");
    let output = promtool(&["test", "rules", "test.yaml"], folder.path())?;
    Some((said(&output), output.status.success()))
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), prometheus::rules(30)).expect("a file");
    let arguments = ["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"];
    let Some(output) = promtool(&arguments, folder.path()) else {
        return;
    };
    assert!(output.status.success(), "{}", said(&output));
    let rules = WindowId::ALL.len() * 3 + 1 + RULES.len();
    assert!(
        said(&output).contains(&format!("{rules} rules found")),
        "{}",
        said(&output)
    );
}

#[test]
fn prometheus_and_the_engine_agree_over_days() {
    let scene = Scene::days();
    if let Some((said, agree)) = differences(&scene, false) {
        assert!(agree, "{said}");
    }
}

#[test]
fn prometheus_and_the_engine_agree_in_every_minute() {
    let scene = Scene::minutes();
    if let Some((said, agree)) = differences(&scene, false) {
        assert!(agree, "{said}");
    }
}

/// Else agreement would prove nothing.
#[test]
fn one_wrong_alert_is_a_difference() {
    let scene = Scene::few();
    if let Some((said, agree)) = differences(&scene, true) {
        assert!(!agree && said.contains("_alerts"), "{said}");
    }
}
