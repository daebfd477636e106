//! The regression suite of the OWASP CRS, in process. It is not part of the project: `WEIR_CRS` or `../../shared/crs`
//! says where it is; without it the test says so, and fails in CI.

#![allow(clippy::unwrap_used, reason = "a broken suite must fail the test")]

#[path = "../../tests/src/crs.rs"]
mod crs;

use std::sync::Arc;

use weir_rules::ftw::{Outcome, compile_crs, crs_sources, run_file, suite_files};
use weir_rules::{Disk, Patterns, compile_with};

/// Tests whose expectation Weir does not meet, each with its reason.
const OVERRIDES: &[(&str, &str)] = &[];

#[test]
fn the_regression_suite_passes() {
    let Some(crs) = crs::checkout("tests/regression/tests") else {
        return;
    };
    let alone = compile_crs(&crs, &Disk).unwrap();
    // What is judged is a set that took its patterns from another; what it must agree with was compiled alone.
    let patterns = Arc::<Patterns>::default();
    let sources = crs_sources(&crs, "", true).unwrap();
    let first = compile_with(&sources, &Disk, &patterns).unwrap().rules;
    let in_use = patterns.in_use();
    let rules = compile_with(&sources, &Disk, &patterns).unwrap().rules;
    assert_eq!(patterns.in_use(), in_use, "every pattern was known");
    drop(first);
    assert_eq!(rules.digest(), alone.digest());
    let (mut passed, mut wrong) = (0, Vec::new());
    for path in suite_files(&crs.join("tests/regression/tests")).unwrap() {
        let text = std::fs::read_to_string(&path).unwrap();
        let plain = run_file(&text, &alone, true).unwrap();
        for (test, plain) in run_file(&text, &rules, false).unwrap().into_iter().zip(plain) {
            assert_eq!(
                test.ids, plain.ids,
                "{}: the plain evaluation sees other rules",
                test.name
            );
            match test.outcome {
                Outcome::Passed => passed += 1,
                _ if OVERRIDES.iter().any(|(name, _)| *name == test.name) => {}
                outcome => wrong.push(format!("{}: {outcome:?}", test.name)),
            }
        }
    }
    let shown: Vec<String> = wrong.iter().map(|w| w.chars().take(400).collect()).collect();
    assert!(
        wrong.is_empty(),
        "{passed} passed, {} did not:\n{}",
        wrong.len(),
        shown.join("\n")
    );
    assert!(passed > 4000, "only {passed} tests were found");
}
