//! The injection detectors return for any value within a time that is linear in its length, and a rule sees the same
//! with its prefilter and without.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use weir_rules::RuleSet;
use weir_rules_fuzz::{compiled, judged, seen};

/// Bytes that a repeated value is grown to, and the time for it: some hundred times what it takes.
const LONG: usize = 65_536;
const LONG_SECS_MAX: u64 = 2;

static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
    let text = "SecRule REQUEST_HEADERS:X-In \"@detectSQLi\" \"id:1,phase:1,pass\"\n\
                SecRule REQUEST_HEADERS:X-In \"@detectXSS\" \"id:2,phase:1,pass\"\n";
    compiled(text.into())
});

fn observe(input: &[u8], plain: bool) -> Vec<String> {
    seen(&judged(&RULES, &[(b"X-In", input)], b"", plain))
}

fuzz_target!(|input: &[u8]| {
    assert_eq!(observe(input, false), observe(input, true));
    if (1..256).contains(&input.len()) {
        let long = input.repeat(LONG / input.len());
        let started = Instant::now();
        observe(&long, true);
        assert!(started.elapsed().as_secs() < LONG_SECS_MAX);
    }
});
