//! No input panics, and cutting it does not change the outcome.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_h1::{Limits, Scan, parse_response, parse_response_from};

const LIMITS: Limits = Limits { head_bytes_max: 2048, fields_max: 30, target_bytes_max: 0 };

fuzz_target!(|input: &[u8]| {
    for method in [&b"GET"[..], b"HEAD", b"CONNECT"] {
        let whole = parse_response(input, &LIMITS, method);
        let mut scan = Scan::default();
        let mut outcome = Ok(None);
        for end in 1..=input.len() {
            outcome = parse_response_from(&input[..end], &LIMITS, method, &mut scan);
            if !matches!(outcome, Ok(None)) {
                break;
            }
        }
        assert_eq!(format!("{outcome:?}"), format!("{whole:?}"));
        if let Ok(Some(head)) = whole {
            assert!(head.head_bytes <= input.len() && (100..=599).contains(&head.status));
        }
    }
});
