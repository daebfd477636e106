//! No form panics, and the rules see it the same with every optimisation and without.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir_rules_fuzz::body(b"application/x-www-form-urlencoded", input));
