//! What a transaction reports for its audit event.

#![allow(clippy::unwrap_used, reason = "a broken rule text must fail the test")]

mod exchange;

use exchange::exchange;
use weir_rules::{Audit, Decision, Mode, Options, Report};

fn report_with(text: &str, target: &str, kind: &str, body: &str, options: &Options) -> Report {
    exchange(text, target, kind, body, options).1
}

fn report(text: &str, target: &str) -> Report {
    report_with(text, target, "", "", &Options::default())
}

/// Names of all values of the first match, the last first.
fn names(report: &Report) -> Vec<&str> {
    let found = report.matches.first().unwrap();
    let others = found.others.iter().map(|hit| hit.variable.as_str());
    std::iter::once(found.variable.as_str()).chain(others).collect()
}

#[test]
fn a_match_names_every_value_that_it_is_about() {
    let text = "SecRule ARGS \"@rx x\" \"id:1,phase:1\"\n";
    let found = report(text, "/?a=x1&b=y&c=x2&c=x3");
    assert_eq!(names(&found), ["ARGS:c", "ARGS:a"]);
    let first = found.matches.first().unwrap();
    assert_eq!((first.value.as_str(), first.others_dropped), ("x3", 0));
    assert_eq!(names(&report(text, "/?a=x")), ["ARGS:a"]);
}

#[test]
fn a_chain_names_the_value_of_the_request_that_it_began_with() {
    let captured = "SecRule ARGS \"@rx (x)\" \"id:1,phase:1,capture,chain\"\nSecRule TX:1 \"@streq x\"\n";
    assert_eq!(names(&report(captured, "/?a=x")), ["TX:1", "ARGS:a"]);
    let matched = "SecRule ARGS \"@rx x\" \"id:1,phase:1,chain\"\nSecRule MATCHED_VARS \"!@streq xx\"\n";
    assert_eq!(
        names(&report(matched, "/?a=x&b=x")),
        ["MATCHED_VARS:ARGS:b", "ARGS:a", "ARGS:b"]
    );
}

#[test]
fn a_rule_without_targets_has_no_value_of_another_rule() {
    let text = "SecRule ARGS \"@rx x\" \"id:1,phase:1,nolog\"\nSecAction \"id:2,phase:1\"\n";
    assert_eq!(names(&report(text, "/?a=x")), [""]);
}

#[test]
fn what_is_kept_of_many_values_is_bounded_and_the_rest_counted() {
    let text = "SecRule ARGS \"@rx x\" \"id:1,phase:1\"\n";
    let query: Vec<String> = (0..500).map(|n| format!("n{n}=x")).collect();
    let found = report(text, &format!("/?{}", query.join("&")));
    let first = found.matches.first().unwrap();
    assert_eq!((first.others.len(), first.others_dropped), (16, 483));
}

#[test]
fn the_first_refusal_is_reported_also_where_it_is_only_detected() {
    let text = "SecRule ARGS \"@rx x\" \"id:7,phase:1,deny\"\nSecRule ARGS \"@rx x\" \"id:8,phase:2,deny\"\n";
    for (mode, enforced) in [(Mode::Enforce, true), (Mode::DetectOnly, false)] {
        let options = Options {
            mode,
            ..Options::default()
        };
        let expected = Decision {
            enforced,
            rule: 7,
            phase: 1,
        };
        assert_eq!(
            report_with(text, "/?a=x", "", "", &options).decision,
            Some(expected)
        );
        assert_eq!(report_with(text, "/?a=y", "", "", &options).decision, None);
    }
}

#[test]
fn a_used_up_budget_and_a_broken_body_are_reported() {
    let options = Options {
        budget: 1,
        mode: Mode::DetectOnly,
        ..Options::default()
    };
    let text = "SecRule ARGS \"@rx x\" \"id:1,phase:1\"\nSecRule ARGS \"@rx y\" \"id:2,phase:2\"\n";
    let found = report_with(text, "/?a=x", "application/json", "{\"a\":", &options);
    assert!(found.budget_exceeded && found.work_bytes > 0);
    assert_eq!(
        found.decision.map(|decision| (decision.enforced, decision.rule)),
        Some((false, 0))
    );
    let found = report_with(text, "/", "application/json", "{\"a\":", &Options::default());
    assert!(found.body_fault.is_some());
}

#[test]
fn log_actions_say_which_record_a_match_belongs_to() {
    for (actions, expected) in [
        ("log", Some((true, true))),
        ("nolog", None),
        ("nolog,auditlog", Some((false, true))),
        ("log,noauditlog", Some((true, false))),
        ("noauditlog", Some((true, false))),
    ] {
        let found = report(
            &format!("SecRule ARGS \"@rx x\" \"id:1,phase:1,{actions}\"\n"),
            "/?a=x",
        );
        let kept = found.matches.first().map(|found| (found.logged, found.audited));
        assert_eq!(kept, expected, "{actions}");
    }
}

#[test]
fn the_audit_engine_is_set_by_file_and_by_rule() {
    let text = "SecAuditEngine RelevantOnly\n\
        SecRule ARGS:a \"@streq off\" \"id:1,phase:1,nolog,pass,ctl:auditEngine=Off\"\n\
        SecRule ARGS:a \"@streq on\" \"id:2,phase:1,nolog,pass,ctl:auditEngine=On\"\n";
    assert_eq!(report(text, "/").audit, Audit::Matches);
    assert_eq!(report(text, "/?a=off").audit, Audit::Off);
    assert_eq!(report(text, "/?a=on").audit, Audit::All);
    assert_eq!(report("SecAuditEngine Off\n", "/").audit, Audit::Off);
}
