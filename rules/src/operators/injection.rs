//! `@detectSQLi` and `@detectXSS`: libinjection's method, by the detectors of `crate::injection`.

use crate::filter::{ByteMap, Clause, Need};
use crate::injection;

/// The fingerprint of an SQL injection.
pub(super) fn sqli(value: &[u8]) -> Option<String> {
    injection::sqli::detect(value).map(|print| print.to_string())
}

/// Whether the value is a script injection.
pub(super) fn xss(value: &[u8]) -> bool {
    injection::xss::detect(value)
}

/// A value of letters and `_` alone, or of digits alone, is one token in every quoting context of the tokenizer, and no
/// fingerprint of one such token is on its list (a test looks).
pub(super) fn sqli_need() -> Need {
    let outside = |ranges: &[(u8, u8)]| Clause {
        bytes: ByteMap::of_ranges(ranges).complement(),
        strings: Vec::new(),
    };
    let not_a_word = outside(&[(b'A', b'Z'), (b'a', b'z'), (b'_', b'_')]);
    Need::new(vec![not_a_word, outside(&[(b'0', b'9')])], 1)
}

/// Tags, comments and document types begin with `<`, and an attribute's value, the only other thing that is judged,
/// stands behind `=`.
pub(super) fn xss_need() -> Need {
    let mut bytes = ByteMap::default();
    b"<=".iter().for_each(|b| bytes.insert(*b));
    let clause = Clause {
        bytes,
        strings: Vec::new(),
    };
    Need::new(vec![clause], 1)
}
