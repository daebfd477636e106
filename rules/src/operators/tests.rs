//! The public corpus of operator cases, where it is present.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::injection::{sqli_need, xss_need};
use super::{Operator, Patterns, build, refused};
use crate::compile::Macro;
use crate::filter::{ByteMap, Filter};
use crate::sources::Disk;

/// Cases that are read differently here: operator, parameter, input, and why.
const ACCEPTED: &[(&str, &str, &str, &str)] = &[];

fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/waf-data/operators");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no corpus at {}",
        folder.display()
    );
    println!("skipped: no corpus at {}", folder.display());
    None
}

#[test]
fn the_public_corpus_agrees() {
    let Some(folder) = corpus() else { return };
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for case in cases {
            let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
            let (name, param, input) = (text("name"), text("param"), text("input"));
            if refused(&name).is_some() {
                continue;
            }
            seen += 1;
            let parse = |text: &str| Macro::parse(text, &mut |_| 0);
            let folder = folder.join("op");
            let matched = match build(&name, &param, parse, &folder, (&Disk, &Patterns::default())) {
                Ok(operator) => operator.matches(&unescape(&input), &argument(&operator), None),
                Err(_) => false,
            };
            if matched != (case["ret"] == 1)
                && !ACCEPTED
                    .iter()
                    .any(|(n, p, i, _)| *n == name && *p == param && *i == input)
            {
                wrong.push(format!("@{name} {param:?} on {input:?}: {matched}"));
            }
        }
    }
    assert!(
        wrong.is_empty() && seen > 3800,
        "{} of {seen} differ: {wrong:#?}",
        wrong.len()
    );
}

fn argument(operator: &Operator) -> Vec<u8> {
    match operator {
        Operator::Number(_, text) | Operator::Text(_, text) => text.literal(),
        _ => Vec::new(),
    }
}

/// The corpus writes bytes as `\xHH`, and NUL as `\0`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let hex = rest.get(2..4).and_then(|d| u8::from_str_radix(d, 16).ok());
        if let (true, Some(byte)) = (rest.starts_with("\\x"), hex) {
            out.push(byte);
            rest = &rest[4..];
        } else if rest.starts_with("\\0") {
            out.push(0);
            rest = &rest[2..];
        } else {
            out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Words that the tokenizer knows, joined by what the needs call harmless, are never an injection.
#[test]
fn values_that_the_needs_rule_out_are_no_injections() {
    let words = [
        "select",
        "union",
        "or",
        "and",
        "not",
        "null",
        "x",
        "admin",
        "sleep",
        "waitfor",
        "delay",
        "having",
        "by",
        "group",
        "order",
        "into",
        "outfile",
        "exec",
        "like",
        "is",
        "in",
        "case",
        "when",
        "div",
        "mod",
        "xor",
        "rlike",
        "onerror",
        "script",
        "javascript",
        "svg",
        "style",
        "href",
        "xmlns",
        "user",
        "version",
        "_",
        "int",
        "char",
    ];
    let filter = Filter::new(&[sqli_need(), xss_need()].map(Arc::new), &|| {});
    let mask = |value: &[u8]| {
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        filter.candidates(value, &ByteMap::of(value), &mut scratch, &mut out);
        out[0]
    };
    let check = |value: &[u8]| {
        let mask = mask(value);
        let shown = value.escape_ascii().to_string();
        assert!(
            mask & 1 != 0 || !libinjectionrs::detect_sqli(value).is_injection(),
            "{shown}"
        );
        assert!(
            mask & 2 != 0 || !libinjectionrs::detect_xss(value).is_injection(),
            "{shown}"
        );
    };
    for a in words {
        for b in words {
            for glue in [
                "", "_", " ", "'", "\"", "/", "-", ".", ">", "`", "(", "\u{b}", ";",
            ] {
                check(format!("{a}{glue}{b}").as_bytes());
                check(format!("{glue}{a}{b}{glue}").to_uppercase().as_bytes());
            }
        }
    }
    for a in 0..=255_u8 {
        check(&[a]);
        for b in 0..=255_u8 {
            check(&[a, b]);
        }
    }
    for n in 0..100_000_u32 {
        check(n.to_string().as_bytes());
    }
}
