//! The rules of [`RULES`] for a Prometheus that scrapes the control process, and the metrics that they read.
//!
//! `increase()` guesses what lies between a window's edges and its outermost samples, so it cannot agree with counted events.
//! These rules take the difference of a counter now and a window ago instead, which is exact and reads two samples however long
//! the window is. What that needs is known from a gauge: since when a counter counts. A counter that is younger than the window
//! counts from 0; that holds for new tenants and after a restart of the control process alike. Comparisons are written as
//! products of whole numbers, which a float holds exactly, and not as ratios, which it does not.
//!
//! Text is put together here by hand because a rule file is read by people; `promtool` checks it in the tests.

use std::fmt::Write as _;

use weir_schema::telemetry::names::{Metric, SLO_BUDGET, SLO_EVENTS, SLO_STARTED};

use super::alert::Labels;
use super::budget::bad;
use super::engine::Engine;
use super::objective::{Kind, MILLION};
use super::window::{BurnRule, RULES, WINDOWS, Window};

/// What tells one series from another.
const KEY: &str = "objective, region, tenant, upstream";

/// A rule file. `interval_s` is how often Prometheus evaluates it.
pub fn rules(interval_s: u64) -> String {
    let mut text = format!(
        "# Error budgets of Weir: the burn rates and alerts that the control process has, from the metrics that it exports.\n\
         # docs/slo.md says when the two agree. Made by Weir; changes are lost when it is made again.\n\
         groups:\n- name: weir_slo\n  interval: {interval_s}s\n  rules:\n"
    );
    record(
        &mut text,
        "weir:slo_budget:ppm",
        &[format!(
            "round({MILLION} * max by ({KEY}, tier) ({}))",
            SLO_BUDGET.name
        )],
    );
    for window in WINDOWS {
        let name = window.name;
        record(
            &mut text,
            &format!("weir:slo_events:{name}"),
            &difference("", window),
        );
        record(
            &mut text,
            &format!("weir:slo_bad:{name}"),
            &difference("{outcome=\"bad\"}", window),
        );
        record(
            &mut text,
            &format!("weir:slo_burn:{name}"),
            &[
                format!("{MILLION} * weir:slo_bad:{name} / weir:slo_events:{name}"),
                format!("/ on ({KEY}) group_left (tier) weir:slo_budget:ppm"),
            ],
        );
    }
    for rule in &RULES {
        alert(&mut text, rule);
    }
    text
}

/// What a counter counted in a window.
fn difference(matchers: &str, window: &Window) -> [String; 5] {
    let events = format!("{}{matchers}", SLO_EVENTS.name);
    [
        format!("sum by ({KEY}) ({events})"),
        "- (".to_owned(),
        format!("  0 * sum by ({KEY}) ({events})"),
        format!(
            "    and on ({KEY}) max by ({KEY}) ({}) > time() - {}",
            SLO_STARTED.name, window.seconds
        ),
        format!("  or sum by ({KEY}) ({events} offset {}))", window.name),
    ]
}

fn record(text: &mut String, name: &str, expression: &[String]) {
    line(text, 2, &format!("- record: {name}"));
    block(text, expression);
}

fn alert(text: &mut String, rule: &BurnRule) {
    let (long, short) = (rule.long.window().name, rule.short.window().name);
    let burns = |window: &str| {
        [
            format!("and on ({KEY}) weir:slo_bad:{window} * {}", 10 * MILLION),
            format!(
                "  > on ({KEY}) weir:slo_events:{window} * on ({KEY}) weir:slo_budget:ppm * {}",
                rule.burn_tenths
            ),
        ]
    };
    line(text, 2, &format!("- alert: {}", rule.name));
    let mut expression = vec![
        format!("weir:slo_burn:{long}"),
        format!("and on ({KEY}) weir:slo_bad:{long} >= {}", rule.bad_min),
    ];
    expression.extend(burns(long));
    expression.extend(burns(short));
    block(text, &expression);
    line(text, 4, &format!("keep_firing_for: {}s", rule.keep_firing_s));
    line(text, 4, "labels:");
    line(text, 6, &format!("severity: {}", rule.severity.as_str()));
    line(text, 6, &format!("window: {long}"));
    line(text, 4, "annotations:");
    line(
        text,
        6,
        &format!(
            "summary: 'The {{{{ $labels.objective }}}} budget of {{{{ or $labels.tenant \"all tenants\" }}}} burns \
             {{{{ printf \"%.1f\" $value }}}} times as fast as it may over {long}.'"
        ),
    );
}

/// An expression over several lines.
fn block(text: &mut String, expression: &[String]) {
    line(text, 4, "expr: |");
    for part in expression {
        line(text, 6, part);
    }
}

fn line(text: &mut String, indent: usize, content: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{:indent$}{content}", "");
}

/// The metrics that the rules read, in the text format of Prometheus.
pub fn exposition(engine: &Engine) -> String {
    let mut text = String::new();
    family(&mut text, &SLO_BUDGET);
    for (labels, objectives, _) in engine.counters() {
        for kind in Kind::ALL {
            let tier = labels.tier.map_or("", |tier| tier.as_str());
            let ppm = objectives.target(kind).bad_ppm();
            sample(
                &mut text,
                &SLO_BUDGET,
                labels,
                kind,
                ("tier", tier),
                &format!("0.{ppm:06}"),
            );
        }
    }
    family(&mut text, &SLO_EVENTS);
    for (labels, _, since) in engine.counters() {
        for kind in Kind::ALL {
            let bad = bad(&since.counts, kind);
            let good = since.counts.events.saturating_sub(bad);
            for (outcome, count) in [("bad", bad), ("good", good)] {
                sample(
                    &mut text,
                    &SLO_EVENTS,
                    labels,
                    kind,
                    ("outcome", outcome),
                    &count.to_string(),
                );
            }
        }
    }
    family(&mut text, &SLO_STARTED);
    for (labels, _, since) in engine.counters() {
        for kind in Kind::ALL {
            sample(
                &mut text,
                &SLO_STARTED,
                labels,
                kind,
                ("", ""),
                &since.second.to_string(),
            );
        }
    }
    text
}

fn family(text: &mut String, metric: &Metric) {
    let kind = match metric.kind {
        weir_schema::telemetry::names::Kind::Counter => "counter",
        weir_schema::telemetry::names::Kind::Gauge => "gauge",
        weir_schema::telemetry::names::Kind::Histogram => "histogram",
    };
    line(text, 0, &format!("# HELP {} {}", metric.name, metric.help));
    line(text, 0, &format!("# TYPE {} {kind}", metric.name));
}

fn sample(text: &mut String, metric: &Metric, labels: &Labels, kind: Kind, own: (&str, &str), value: &str) {
    let pairs = [
        ("objective", kind.as_str()),
        ("region", labels.region.as_deref().unwrap_or_default()),
        ("tenant", labels.tenant.as_deref().unwrap_or_default()),
        ("upstream", labels.upstream.as_deref().unwrap_or_default()),
        own,
    ];
    let pairs: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    line(
        text,
        0,
        &format!("{}{{{}}} {value}", metric.name, pairs.join(",")),
    );
}

/// A label value between its quotes.
fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::engine::{Sample, Since};
    use crate::slo::{Counts, Tier};

    #[test]
    fn counters_of_every_objective_are_exported() {
        let mut engine = Engine::new(2);
        let labels = Labels {
            tenant: Some("a\"b".into()),
            tier: Some(Tier::Enterprise),
            ..Labels::default()
        };
        let since = Since {
            second: 50,
            counts: Counts::default(),
        };
        let series = engine.add(labels, Tier::Enterprise.objectives(), since).unwrap();
        let sample = Sample {
            series,
            second: 60,
            counts: Counts {
                events: 5,
                bad: [2, 1],
            },
        };
        engine.record(61, &sample).unwrap();
        let text = exposition(&engine);
        for line in [
            "weir_slo_error_budget_ratio{objective=\"latency\",tenant=\"a\\\"b\",tier=\"enterprise\"} 0.000100",
            "weir_slo_events_total{objective=\"availability\",tenant=\"a\\\"b\",outcome=\"bad\"} 2",
            "weir_slo_events_total{objective=\"latency\",tenant=\"a\\\"b\",outcome=\"good\"} 4",
            "weir_slo_started_timestamp_seconds{objective=\"latency\",tenant=\"a\\\"b\"} 50",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
