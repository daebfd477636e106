//! What rules mean: chains, jumps, scores, exclusions, bodies and diagnostics.

#![allow(clippy::unwrap_used, reason = "a broken rule text must fail the test")]

mod exchange;

use exchange::{exchange, source};
use weir_rules::{Connection, Disk, Mode, Options, Transaction, Verdict, compile};

fn judge(text: &str, target: &str, kind: &str, body: &str, options: &Options) -> (Verdict, Vec<u64>) {
    let (verdict, report) = exchange(text, target, kind, body, options);
    (verdict, report.matches.iter().map(|m| m.id).collect())
}

fn ids(text: &str, target: &str) -> Vec<u64> {
    judge(text, target, "", "", &Options::default()).1
}

#[test]
fn a_chain_matches_as_a_whole_and_sets_per_link() {
    let text = "SecRule ARGS:a \"@streq 1\" \"id:1,phase:1,chain,setvar:tx.x=+1\"\n\
        SecRule ARGS:b \"@streq 2\" \"setvar:tx.y=1\"\n\
        SecRule TX:x \"@eq 1\" \"id:2,phase:1\"\nSecRule &TX:y \"@eq 1\" \"id:3,phase:1\"\n";
    assert_eq!(ids(text, "/?a=1&b=2"), [1, 2, 3]);
    assert_eq!(ids(text, "/?a=1&b=3"), [2]);
}

#[test]
fn scores_grow_once_per_matching_value() {
    let text = "SecRule ARGS \"@rx x\" \"id:1,phase:1,nolog,setvar:tx.s=+2\"\nSecRule TX:s \"@eq 4\" \"id:2,phase:1\"\n";
    assert_eq!(ids(text, "/?a=x&b=x"), [2]);
    assert_eq!(ids(text, "/?a=x&b=y"), [0_u64; 0]);
}

#[test]
fn a_jump_lands_behind_its_marker_even_after_rules_were_removed() {
    let text = "SecAction \"id:1,phase:1\"\nSecAction \"id:2,phase:1,skipAfter:END\"\nSecAction \"id:3,phase:1\"\n\
        SecMarker END\nSecAction \"id:4,phase:1\"\nSecRuleRemoveById 1\n";
    assert_eq!(ids(text, "/"), [2, 4]);
}

#[test]
fn exclusions_work_at_load_and_at_run_time() {
    let rule = "SecRule ARGS \"@rx x\" \"id:9,phase:1\"\n";
    assert_eq!(
        ids(&format!("{rule}SecRuleUpdateTargetById 9 \"!ARGS:a\"\n"), "/?a=x"),
        [0_u64; 0]
    );
    let ctl = "SecAction \"id:1,phase:1,nolog,ctl:ruleRemoveTargetById=9;ARGS:a\"\n";
    assert_eq!(ids(&format!("{ctl}{rule}"), "/?a=x"), [0_u64; 0]);
    assert_eq!(ids(&format!("{ctl}{rule}"), "/?b=x"), [9]);
    let gone = "SecAction \"id:1,phase:1,nolog,ctl:ruleRemoveById=9\"\n";
    assert_eq!(ids(&format!("{gone}{rule}"), "/?b=x"), [0_u64; 0]);
}

#[test]
fn json_members_have_paths_and_broken_bodies_are_seen() {
    let text = "SecRule ARGS:json.a.array_1.b \"@streq \u{e9}\" \"id:1,phase:2,deny,status:418\"\n\
        SecRule REQBODY_ERROR \"@eq 1\" \"id:2,phase:2\"\n";
    let run = |kind: &str, body: &str| judge(text, "/", kind, body, &Options::default());
    let (verdict, seen) = run("application/json", r#"{"a": [0, {"b": "\u00e9"}]}"#);
    assert_eq!(
        (verdict, seen),
        (
            Verdict::Deny {
                status: 418,
                rule: 1,
                phase: 2
            },
            vec![1]
        )
    );
    let deep = "[".repeat(100_000);
    for (kind, body) in [
        ("application/json", "{\"a\": [1,}"),
        ("application/json", &deep),
        ("text/xml", "<a><b></a>"),
        ("multipart/form-data; boundary=q", "--q\r\n"),
        ("multipart/form-data", "x"),
    ] {
        assert_eq!(run(kind, body).1, [2], "{kind} {}", &body[..body.len().min(20)]);
    }
    assert_eq!(run("text/xml", "<a/>").1, [0_u64; 0]);
}

#[test]
fn detect_only_records_and_continues() {
    let options = Options {
        mode: Mode::DetectOnly,
        ..Options::default()
    };
    let text = "SecAction \"id:1,phase:1,deny\"\n";
    assert_eq!(judge(text, "/", "", "", &options), (Verdict::Continue, vec![1]));
}

#[test]
fn an_exceeded_budget_is_refused_not_ignored() {
    let options = Options {
        budget: 10,
        ..Options::default()
    };
    let text = "SecRule ARGS \"@rx x\" \"id:1,phase:1\"\nSecRule ARGS \"@rx y\" \"id:2,phase:1,deny\"\n";
    let (verdict, _) = judge(text, "/?a=aaaaaaaaaaaaaaaa", "", "", &options);
    assert_eq!(
        verdict,
        Verdict::Deny {
            status: 503,
            rule: 0,
            phase: 1
        }
    );
}

#[test]
fn all_errors_come_at_once_with_their_place_and_a_hint() {
    let text =
        "SecRul ARGS \"@rx x\" \"id:1\"\nSecRule ARG \"@rxx x\" \\\n  \"id:2,\\\n  t:lowercas,denny\"\n";
    let found: Vec<String> = compile(&source(text), &Disk)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    let all = found.join("\n");
    for wanted in [
        "test.conf:1:1: error[unknown_directive]: unknown directive `SecRul` (did you mean `SecRule`?)",
        "test.conf:2:9: error[unknown_variable]: unknown variable `ARG` (did you mean `ARGS`?)",
        "test.conf:2:14: error[unknown_operator]: unknown operator `@rxx` (did you mean `rx`?)",
        "test.conf:4:3: error[unknown_transformation]: unknown transformation `lowercas` (did you mean `lowercase`?)",
        "test.conf:4:14: error[unknown_action]: unknown or unsupported action `denny` (did you mean `deny`?)",
    ] {
        assert!(all.contains(wanted), "{wanted}\nnot in\n{all}");
    }
    assert_eq!(found.len(), 5, "{all}");
}

#[test]
fn what_is_refused_says_why() {
    let text = "SecRule GEO:COUNTRY_CODE \"@rbl x.test\" \"id:1,exec:/bin/x\"\nSecRule ARGS \"@rx [^\\x00-\\xff]\" \"id:2\"\n";
    let found = compile(&source(text), &Disk).unwrap_err();
    let codes: Vec<&str> = found.iter().map(|d| d.code).collect();
    for code in [
        "refused_variable",
        "refused_operator",
        "refused_action",
        "bad_operator",
    ] {
        assert!(codes.contains(&code), "{code} not in {codes:?}");
    }
    assert!(found.iter().all(|d| d.message.len() > 20), "{found:?}");
}

#[test]
fn lints_name_what_has_no_effect() {
    let text = "SecAction \"id:1,phase:1\"\nSecMarker NOWHERE\nSecRuleRemoveById 77\n";
    let warnings = compile(&source(text), &Disk).unwrap().warnings;
    let codes: Vec<&str> = warnings.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["exclusion_matches_nothing", "unused_marker"]);
}

#[test]
fn a_skip_to_a_marker_above_is_linted_and_to_none_an_error() {
    let above = "SecMarker TOP\nSecAction \"id:1,phase:1,skipAfter:TOP\"\nSecAction \"id:2,phase:1,skipAfter:END\"\nSecMarker END\n";
    let warnings = compile(&source(above), &Disk).unwrap().warnings;
    let codes: Vec<&str> = warnings.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["marker_above"]);
    let none = compile(&source("SecAction \"id:1,skipAfter:END\"\n"), &Disk).unwrap_err();
    assert_eq!(none[0].code, "unknown_marker");
}

#[test]
fn directives_of_other_engines_say_what_does_instead() {
    let told = |name: &str| {
        let text = format!("{name} 1\n");
        let found = match compile(&source(&text), &Disk) {
            Ok(compiled) => compiled.warnings,
            Err(errors) => errors,
        };
        (found[0].code, found[0].message.clone())
    };
    for name in [
        "SecAuditLogParts",
        "SecCollectionTimeout",
        "SecCookieFormat",
        "SecDataDir",
        "SecDebugLogLevel",
        "SecPcreMatchLimit",
        "SecRequestBodyLimit",
        "SecResponseBodyLimitAction",
        "SecTmpDir",
        "SecUnicodeMapFile",
        "SecUploadKeepFiles",
        "SecWebAppId",
    ] {
        let (code, message) = told(name);
        assert_eq!(code, "directive_without_effect", "{name}");
        assert!(message.contains("in Weir: "), "{message}");
    }
    for name in [
        "SecContentInjection",
        "SecCookieV0Separator",
        "SecHashKey",
        "SecRemoteRules",
        "SecRuleScript",
    ] {
        assert_eq!(told(name).0, "refused_directive", "{name}");
    }
}

#[test]
fn an_option_of_ctl_without_effect_is_told_once() {
    let rule = |id: u32| format!("SecAction \"id:{id},phase:1,pass,ctl:auditLogParts=+E\"\n");
    let found = compile(&source(&(rule(1) + &rule(2))), &Disk).unwrap().warnings;
    let codes: Vec<&str> = found.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["ctl_without_effect"]);
}

#[test]
fn a_rule_that_can_never_match_is_linted_and_its_neighbours_are_not() {
    for (rule, lint) in [
        ("SecRule RESPONSE_STATUS \"@eq 500\" \"id:1,phase:1\"", true),
        ("SecRule RESPONSE_BODY \"@rx x\" \"id:1,phase:3\"", true),
        ("SecRule ARGS_POST|FILES \"!@rx x\" \"id:1,phase:1\"", true),
        ("SecRule ARGS \"@contains Select\" \"id:1,t:lowercase\"", true),
        ("SecRule ARGS_POST|ARGS_GET \"@rx x\" \"id:1,phase:1\"", false),
        ("SecRule &ARGS_POST \"@eq 0\" \"id:1,phase:1\"", false),
        ("SecRule RESPONSE_BODY \"@rx x\" \"id:1,phase:4\"", false),
        ("SecRule ARGS \"!@contains Select\" \"id:1,t:lowercase\"", false),
        (
            "SecRule ARGS \"@contains Select\" \"id:1,t:lowercase,t:hexEncode\"",
            false,
        ),
    ] {
        let warnings = compile(&source(&format!("{rule}\n")), &Disk).unwrap().warnings;
        let found = warnings.iter().any(|d| d.code == "never_matches");
        assert_eq!(found, lint, "{rule}: {warnings:?}");
    }
}

#[test]
fn streams_are_never_held_whatever_the_rules_list() {
    let text = "SecResponseBodyAccess On\n\
        SecResponseBodyMimeType text/plain text/event-stream application/grpc application/grpc+proto multipart/x-mixed-replace\n\
        SecRule RESPONSE_BODY \"@rx x\" \"id:1,phase:4\"\n";
    let rules = compile(&source(text), &Disk).unwrap().rules;
    for (status, kind, held) in [
        (200, "text/plain; charset=utf-8", true),
        (200, "image/png", false),
        (101, "text/plain", false),
        (200, "text/event-stream", false),
        (200, "Application/gRPC+proto", false),
        (200, "application/grpc", false),
        (200, "multipart/x-mixed-replace; boundary=f", false),
    ] {
        let mut tx = Transaction::new(rules.clone(), &Options::default(), &Connection::LOOPBACK);
        tx.response_headers(status, b"HTTP/1.1", &[(b"Content-Type", kind.as_bytes())]);
        assert_eq!(tx.wants_response_body(), held, "{status} {kind}");
    }
}

#[test]
fn actions_are_updated_and_body_access_is_switched() {
    let rule = "SecRule ARGS \"@rx x\" \"id:9,phase:2,pass\"\n";
    let update = format!("{rule}SecRuleUpdateActionById 9 \"deny,status:418\"\n");
    let form = "application/x-www-form-urlencoded";
    let (verdict, _) = judge(&update, "/", form, "a=x", &Options::default());
    assert_eq!(
        verdict,
        Verdict::Deny {
            status: 418,
            rule: 9,
            phase: 2
        }
    );
    let off = format!("SecAction \"id:1,phase:1,nolog,ctl:requestBodyAccess=Off\"\n{update}");
    assert_eq!(
        judge(&off, "/", form, "a=x", &Options::default()).0,
        Verdict::Continue
    );
}

#[test]
fn uploads_have_sizes_and_times_have_parts() {
    let body = "--q\r\nContent-Disposition: form-data; name=\"f\"; filename=\"b\"\r\n\r\n12345\r\n--q--\r\n";
    let text =
        "SecRule FILES_SIZES:f \"@eq 5\" \"id:1,phase:2\"\nSecRule TIME_YEAR \"@eq 1970\" \"id:2,phase:2\"\n";
    let kind = "multipart/form-data; boundary=q";
    assert_eq!(judge(text, "/", kind, body, &Options::default()).1, [1, 2]);
}

#[test]
fn a_file_that_some_origins_take_for_a_field_is_judged_as_both() {
    let text = "SecRule ARGS:f \"@streq evil\" \"id:1,phase:2\"\nSecRule &FILES \"@eq 1\" \"id:2,phase:2\"\n";
    for (disposition, expected) in [
        ("filename=\"b\"", &[2_u64][..]),
        ("filename=\"b\"; filename*=utf-8''c", &[2]),
        ("filename=\"\"", &[1, 2]),
        ("filename*=utf-8''b", &[1, 2]),
    ] {
        let body = format!(
            "--q\r\nContent-Disposition: form-data; name=\"f\"; {disposition}\r\n\r\nevil\r\n--q--\r\n"
        );
        let kind = "multipart/form-data; boundary=q";
        let (_, matched) = judge(text, "/", kind, &body, &Options::default());
        assert_eq!(matched, expected, "{disposition}");
    }
}
