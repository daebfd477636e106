//! No input panics, and cutting it does not change the outcome.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_h1::{Limits, Scan, parse_request, parse_request_from};

const LIMITS: Limits = Limits { head_bytes_max: 2048, fields_max: 30, target_bytes_max: 256 };

fuzz_target!(|input: &[u8]| {
    let whole = parse_request(input, &LIMITS);
    let mut scan = Scan::default();
    let mut outcome = Ok(None);
    for end in 1..=input.len() {
        outcome = parse_request_from(&input[..end], &LIMITS, &mut scan);
        if !matches!(outcome, Ok(None)) {
            break;
        }
    }
    assert_eq!(format!("{outcome:?}"), format!("{whole:?}"));
    if let Ok(Some(head)) = whole {
        assert!(head.head_bytes <= input.len());
        assert!(head.host.is_none_or(|host| weir_h1::valid_host(host.of(input))));
        assert!(!head.path_prefix.is_empty() || !head.path.of(input).is_empty());
    }
});
