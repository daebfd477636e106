//! Sets that take compiled patterns from one another are the sets that compiling alone makes.

#![allow(clippy::unwrap_used, reason = "a broken rule text must fail the test")]

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use weir_rules::{
    Connection, Disk, Files, Mode, Options, Patterns, RequestLine, RuleSet, Source, Transaction, compile,
    compile_with,
};

/// Rules that have patterns in common; some are the same text in another place.
const RULES: &[&str] = &[
    "SecRule ARGS \"@rx (?i)sel+ect\" \"id:ID,phase:1,pass\"",
    "SecRule ARGS \"!@rx (?i)sel+ect\" \"id:ID,phase:1,pass\"",
    "SecRule ARGS|!ARGS:/^free/ \"@rx [0-9]{2}$\" \"id:ID,phase:1,pass,t:none,t:lowercase\"",
    "SecRule ARGS_NAMES \"@rx [0-9]{2}$\" \"id:ID,phase:1,pass,capture,setvar:tx.n=+%{tx.0}\"",
    "SecRule ARGS:/^free/ \"@pm select union 42\" \"id:ID,phase:1,pass\"",
    "SecRule ARGS \"@pm union 42\" \"id:ID,phase:1,pass,tag:words\"",
    "SecRule TX:n \"@ge 42\" \"id:ID,phase:1,pass\"",
    "SecRuleRemoveByTag \"^words$\"",
];

const TARGETS: &[&str] = &[
    "/?a=select",
    "/?free1=SELLLECT&b42=1",
    "/?a=42&free=42",
    "/?union=union%2042",
    "/",
];

fn text(chosen: &[usize]) -> String {
    let lines = (1..)
        .zip(chosen)
        .map(|(id, at): (usize, _)| RULES[*at].replace("ID", &id.to_string()));
    lines.map(|line| line + "\n").collect()
}

fn sources(text: &str) -> [Source; 1] {
    [Source {
        path: "made.conf".into(),
        text: text.to_owned(),
    }]
}

fn ids(rules: &Arc<RuleSet>, target: &str) -> Vec<u64> {
    let options = Options {
        mode: Mode::DetectOnly,
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
    tx.finish().matches.iter().map(|m| m.id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// A chain of versions, each compiled beside the one before.
    #[test]
    fn a_version_that_reuses_patterns_judges_as_one_compiled_alone(
        versions in prop::collection::vec(prop::collection::vec(0..RULES.len(), 0..8), 1..5),
    ) {
        let patterns = Arc::<Patterns>::default();
        let mut previous = None;
        for version in versions {
            let sources = sources(&text(&version));
            let reused = compile_with(&sources, &Disk, &patterns).unwrap();
            let alone = compile(&sources, &Disk).unwrap();
            prop_assert_eq!(&reused.warnings, &alone.warnings);
            prop_assert_eq!((reused.rules.digest(), reused.rules.len()), (alone.rules.digest(), alone.rules.len()));
            for target in TARGETS {
                prop_assert_eq!(ids(&reused.rules, target), ids(&alone.rules, target), "{} of {:?}", target, version);
            }
            previous = Some(reused);
        }
        drop(previous);
        prop_assert_eq!(patterns.in_use(), 0, "nothing outlives the last set");
    }
}

/// Counts how often others could have had the core.
struct Counting(Cell<usize>);

impl Files for Counting {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn pause(&self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn compiling_pauses_between_rules_and_while_it_makes_the_filter() {
    let text: String = (1..=100)
        .map(|id| format!("SecRule ARGS \"@rx word{id}x\" \"id:{id},phase:2,pass\"\n"))
        .collect();
    let source = Source {
        path: "many.conf".into(),
        text,
    };
    let files = Counting(Cell::new(0));
    compile(&[source], &files).unwrap();
    assert!(files.0.get() >= 200, "{} pauses", files.0.get());
}
