//! What rule authors are told: duplicate ids, patterns beyond their size, collections that nobody opens.

#![allow(clippy::unwrap_used, reason = "a broken rule text must fail the test")]

use weir_rules::{Diagnostic, Disk, Overlay, Source, compile};

fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.into(),
        text: text.to_owned(),
    }
}

fn codes(found: &[Diagnostic]) -> Vec<&str> {
    found.iter().map(|d| d.code).collect()
}

#[test]
fn a_duplicate_id_is_an_error_that_names_both_places() {
    let sources = [
        source("one.conf", "SecAction \"id:1,phase:1,pass\"\n"),
        source(
            "two.conf",
            "SecAction \"id:2,phase:1,pass\"\n\nSecAction \"id:1,phase:1,pass\"\n",
        ),
    ];
    let found = compile(&sources, &Disk).unwrap_err();
    assert_eq!(codes(&found), ["duplicate_id"]);
    let text = found[0].to_string();
    assert!(text.starts_with("two.conf:3:"), "{text}");
    assert!(text.contains("one.conf:1"), "{text}");
}

#[test]
fn a_pattern_beyond_its_size_is_an_error_at_its_place() {
    let text = "SecRule ARGS \"@rx (?:[^a]{1000}){1000}\" \"id:1,phase:1,pass\"\n\
        SecRule ARGS:/(?:[^a]{1000}){1000}/ \"@rx x\" \"id:2,phase:1,pass\"\n";
    let found = compile(&[source("big.conf", text)], &Disk).unwrap_err();
    assert_eq!(codes(&found), ["bad_operator", "bad_regex"]);
    for (at, line) in [(0, 1), (1, 2)] {
        let text = found[at].to_string();
        assert!(text.starts_with(&format!("big.conf:{line}:")), "{text}");
        assert!(text.contains("size"), "{text}");
    }
}

#[test]
fn a_collection_that_no_rule_opens_is_linted_and_one_that_is_opened_is_not() {
    let open = "SecAction \"id:9,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"\n";
    for (rules, lint) in [
        ("SecRule IP:x \"@gt 5\" \"id:1,phase:1,deny\"\n".to_owned(), true),
        (
            "SecAction \"id:1,phase:1,pass,setvar:ip.x=+1\"\n".to_owned(),
            true,
        ),
        (
            "SecAction \"id:1,phase:1,pass,expirevar:ip.x=1\"\n".to_owned(),
            true,
        ),
        (
            format!("{open}SecRule USER:x \"@gt 5\" \"id:1,phase:1,deny\"\n"),
            true,
        ),
        (
            format!("{open}SecRule IP:x \"@gt 5\" \"id:1,phase:1,deny\"\n"),
            false,
        ),
        (
            "SecAction \"id:1,phase:1,pass,setuid:u,setvar:user.x=1\"\n".to_owned(),
            false,
        ),
        (
            "SecAction \"id:1,phase:1,pass,setvar:tx.x=1\"\n".to_owned(),
            false,
        ),
    ] {
        let warnings = compile(&[source("c.conf", &rules)], &Disk).unwrap().warnings;
        let found = codes(&warnings).contains(&"collection_never_opened");
        assert_eq!(found, lint, "{rules}: {warnings:?}");
    }
}

#[test]
fn a_collection_that_the_shared_set_opens_is_open_for_own_rules() {
    let base = [source(
        "base.conf",
        "SecAction \"id:9,phase:1,pass,nolog,initcol:ip=x\"\n",
    )];
    let base = compile(&base, &Disk).unwrap().rules;
    let own = source(
        "own.conf",
        "SecRule IP:x|SESSION:x \"@gt 5\" \"id:1,phase:1,deny\"\n",
    );
    let overlay = Overlay {
        after: vec![own],
        ..Overlay::default()
    };
    let warnings = base.with_overlay(&overlay, &Disk).unwrap().warnings;
    assert_eq!(codes(&warnings), ["collection_never_opened"]);
    assert!(
        warnings[0].message.contains("`SESSION`"),
        "{}",
        warnings[0].message
    );
}
