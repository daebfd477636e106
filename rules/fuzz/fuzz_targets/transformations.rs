//! Every transformation on every input: no panic, bounded growth, and no change without a byte that triggers it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| weir_rules::fuzzing::transform_all(input));
