//! The optimised evaluation and the plain one see the same, with every transformation and with the baseline set.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use weir_rules::RuleSet;
use weir_rules_fuzz::{BASELINE, compiled, judged, seen};

const TRANSFORMATIONS: &[&str] = &[
    "base64Decode", "base64DecodeExt", "cmdLine", "compressWhitespace", "cssDecode", "escapeSeqDecode", "hexDecode",
    "htmlEntityDecode", "jsDecode", "lowercase", "normalizePath", "normalizePathWin", "removeComments",
    "removeCommentsChar", "removeNulls", "removeWhitespace", "replaceComments", "replaceNulls", "sqlHexDecode", "trim",
    "uppercase", "urlDecode", "urlDecodeUni", "utf8toUnicode",
];

static SETS: LazyLock<Vec<Arc<RuleSet>>> = LazyLock::new(|| {
    let mut text = String::new();
    for (at, first) in TRANSFORMATIONS.iter().enumerate() {
        let second = TRANSFORMATIONS[(at * 7 + 3) % TRANSFORMATIONS.len()];
        for (place, operator) in ["@rx (?i)sel[e3]ct|<[a-z]+\\s", "@pm union ../ \\u00", "@detectSQLi", "@validateByteRange 32-126"]
            .iter()
            .enumerate()
        {
            let id = at * 10 + place + 1;
            text.push_str(&format!(
                "SecRule ARGS|REQUEST_HEADERS|REQUEST_BODY \"{operator}\" \"id:{id},phase:2,pass,multiMatch,t:{first},t:{second}\"\n"
            ));
        }
    }
    vec![compiled(text), Arc::clone(&BASELINE)]
});

fuzz_target!(|input: &[u8]| {
    let fields = [(b"Content-Type".as_slice(), b"application/x-www-form-urlencoded".as_slice()), (b"X-In", input)];
    for rules in SETS.iter() {
        let [fast, plain] = [false, true].map(|plain| judged(rules, &fields, input, plain));
        assert_eq!(seen(&fast), seen(&plain));
    }
});
