//! Tenants share one compiled set and differ by an overlay.

#![allow(clippy::unwrap_used, reason = "a broken rule text must fail the test")]

use std::sync::Arc;

use weir_rules::{
    Connection, Disk, Mode, Options, Overlay, RequestLine, RuleChoice, RuleSet, Source, Transaction, compile,
};

/// Defaults, a gate and scored rules, as the CRS has them.
const BASE: &str = "SecRule &TX:level \"@eq 0\" \"id:1,phase:1,nolog,setvar:tx.level=1\"\n\
    SecRule TX:level \"@lt 2\" \"id:2,phase:1,nolog,skipAfter:END\"\n\
    SecRule ARGS \"@rx strict\" \"id:20,phase:1,tag:'strict',msg:'strict'\"\n\
    SecMarker END\n\
    SecRule ARGS \"@rx attack\" \"id:10,phase:1,tag:'attack',setvar:tx.score=+5\"\n\
    SecRule TX:score \"@ge 5\" \"id:11,phase:1,msg:'score %{tx.score}'\"\n";

fn source(name: &str, text: &str) -> Source {
    Source {
        path: name.into(),
        text: text.to_owned(),
    }
}

fn base() -> Arc<RuleSet> {
    compile(&[source("base.conf", BASE)], &Disk).unwrap().rules
}

fn ids(rules: &Arc<RuleSet>, target: &str) -> Vec<u64> {
    ids_without(&[], rules, target)
}

/// With some rules switched off for this transaction.
fn ids_without(off: &[u64], rules: &Arc<RuleSet>, target: &str) -> Vec<u64> {
    let run = |plain| {
        let options = Options {
            mode: Mode::DetectOnly,
            plain,
            rules_off: Some(off.into()),
            ..Options::default()
        };
        let mut tx = Transaction::new(Arc::clone(rules), &options, &Connection::LOOPBACK);
        let line = RequestLine {
            method: b"GET",
            target: target.as_bytes(),
            protocol: b"HTTP/1.1",
        };
        tx.request_headers(&line, &[]);
        tx.request_body(b"");
        tx.finish().matches.iter().map(|m| m.id).collect::<Vec<u64>>()
    };
    let optimised = run(false);
    assert_eq!(optimised, run(true), "{target}: the plain evaluation differs");
    optimised
}

#[test]
fn each_tenant_has_its_own_level_and_the_base_keeps_its_own() {
    let base = base();
    let strict = Overlay {
        tx: vec![("level".to_owned(), "2".to_owned())],
        ..Overlay::default()
    };
    let strict = base.with_overlay(&strict, &Disk).unwrap().rules;
    assert_eq!(ids(&strict, "/?a=strict"), [20]);
    assert_eq!(ids(&base, "/?a=strict"), [0_u64; 0]);
}

#[test]
fn exclusions_by_id_tag_and_target_hold_for_one_tenant() {
    let base = base();
    let with = |remove: Vec<RuleChoice>, remove_targets: Vec<(RuleChoice, String)>| {
        let overlay = Overlay {
            remove,
            remove_targets,
            ..Overlay::default()
        };
        base.with_overlay(&overlay, &Disk).unwrap()
    };
    let no_attack = with(vec![RuleChoice::Tag("^attack$".to_owned())], vec![]).rules;
    assert_eq!(ids(&no_attack, "/?a=attack"), [0_u64; 0]);
    let no_note = with(
        vec![],
        vec![(RuleChoice::Ids("10".to_owned()), "ARGS:note".to_owned())],
    )
    .rules;
    assert_eq!(ids(&no_note, "/?note=attack"), [0_u64; 0]);
    assert_eq!(ids(&no_note, "/?other=attack"), [10, 11]);
    assert_eq!(ids(&base, "/?note=attack"), [10, 11]);
    let nothing = with(vec![RuleChoice::Ids("999".to_owned())], vec![]);
    assert_eq!(nothing.warnings[0].code, "exclusion_matches_nothing");
}

#[test]
fn own_rules_run_around_the_shared_ones() {
    let base = base();
    let overlay = Overlay {
        before: vec![source(
            "before.conf",
            "SecRule REQUEST_FILENAME \"@beginsWith /admin\" \"id:100,phase:1,nolog,ctl:ruleRemoveById=10\"\n\
            SecRule ARGS:vip \"@streq 1\" \"id:101,phase:1,nolog,setvar:tx.level=2\"\n",
        )],
        after: vec![source(
            "after.conf",
            "SecRule TX:score \"@ge 5\" \"id:102,phase:1,msg:'own'\"\nSecRuleUpdateTargetById 10 \"!ARGS:free\"\n",
        )],
        ..Overlay::default()
    };
    let own = base.with_overlay(&overlay, &Disk).unwrap().rules;
    assert_eq!(ids(&own, "/?a=attack"), [10, 11, 102]);
    assert_eq!(ids(&own, "/admin?a=attack"), [0_u64; 0]);
    assert_eq!(ids(&own, "/?free=attack"), [0_u64; 0]);
    assert_eq!(ids(&own, "/?vip=1&a=strict"), [20]);
    assert_eq!(ids(&own, "/?vip=2&a=strict"), [0_u64; 0]);
    let clash = Overlay {
        after: vec![source("clash.conf", "SecAction \"id:10,phase:1\"\n")],
        ..Overlay::default()
    };
    assert_eq!(
        base.with_overlay(&clash, &Disk).unwrap_err()[0].code,
        "duplicate_id"
    );
}

#[test]
fn a_rule_that_is_off_for_a_transaction_has_no_effect() {
    let rules = base();
    let both = "/?a=attack&b=strict";
    assert_eq!(ids(&rules, both), [10, 11]);
    assert_eq!(ids_without(&[11], &rules, both), [10], "one that only judges");
    assert_eq!(
        ids_without(&[10, 4_711], &rules, both),
        [] as [u64; 0],
        "its score is gone too; an unknown id is nothing"
    );
    let overlay = Overlay {
        after: vec![source(
            "own.conf",
            "SecRule ARGS \"@rx attack\" \"id:30,phase:1\"\n",
        )],
        ..Overlay::default()
    };
    let own = rules.with_overlay(&overlay, &Disk).unwrap().rules;
    assert_eq!(ids_without(&[10, 11], &own, both), [30]);
    assert_eq!(ids_without(&[30], &own, both), [10, 11], "a tenant's own rule");
    assert!(own.has_rule(30) && own.has_rule(10) && !own.has_rule(31) && !rules.has_rule(30));
}

#[test]
fn a_rule_that_was_decided_at_load_can_be_off_too() {
    let rules = base();
    let both = "/?a=attack&b=strict";
    assert_eq!(
        ids_without(&[2], &rules, both),
        [20, 10, 11],
        "without the gate the rules behind it run"
    );
    assert_eq!(
        ids_without(&[1], &rules, both),
        [20, 10, 11],
        "without the default the gate sees no level"
    );
}
