//! What fuzz targets see of the parts, and what must hold for each of them. Only built by cargo-fuzz.

#![allow(clippy::panic, reason = "a finding is a panic")]

use crate::filter::ByteMap;
use crate::transformations::{TABLE, triggered};

/// Longest a transformation may make a value: `utf8toUnicode`, `hexEncode` and the like write up to six bytes for one, digests a
/// fixed number.
const GROWTH_MAX: usize = 6;
const FIXED_BYTES_MAX: usize = 64;

/// Runs every transformation on a value.
///
/// # Panics
/// When one leaves its bounds, touches what was in the buffer before, says wrongly that nothing changed, or changes a value
/// without any byte that triggers it.
pub fn transform_all(value: &[u8]) {
    let mut bytes = ByteMap::default();
    value.iter().for_each(|byte| bytes.insert(*byte));
    let may_change = triggered(&bytes);
    for (at, row) in TABLE.iter().enumerate() {
        let mut out = b"before".to_vec();
        let changed = (row.apply)(value, &mut out);
        let result = out
            .strip_prefix(b"before")
            .unwrap_or_else(|| panic!("{} writes before its place", row.name));
        if changed {
            assert!(
                result.len() <= value.len() * GROWTH_MAX + FIXED_BYTES_MAX,
                "{} grows too much",
                row.name
            );
            assert!(
                may_change & (1 << at) != 0,
                "{} changes what does not trigger it",
                row.name
            );
        }
    }
}
