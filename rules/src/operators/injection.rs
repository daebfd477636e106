//! `@detectSQLi` and `@detectXSS`: libinjection's method, by the crate `libinjectionrs`.

use std::borrow::Cow;

use crate::filter::{self, ByteMap, Clause, Need};

/// Longest run of word bytes that the tokenizer is given.
const WORD_BYTES_MAX: usize = 256;

/// The fingerprint of an SQL injection.
pub(super) fn sqli(value: &[u8]) -> Option<String> {
    let result = libinjectionrs::detect_sqli(&short_words(value));
    let print = result.fingerprint.as_ref().map(ToString::to_string);
    result.is_injection().then(|| print.unwrap_or_default())
}

/// Whether the value is a script injection.
pub(super) fn xss(value: &[u8]) -> bool {
    libinjectionrs::detect_xss(value).is_injection()
}

/// Cuts runs of letters, digits, `_` and `.` to a length that no keyword and no token comes near: the tokenizer looks up
/// every part of such a run that ends at a `.`, at a cost that grows with the square of its length, and sees one bare
/// word or number whatever follows.
fn short_words(value: &[u8]) -> Cow<'_, [u8]> {
    if value.len() <= WORD_BYTES_MAX {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut run = 0;
    for byte in value {
        let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        run = if is_word { run + 1 } else { 0 };
        if run <= WORD_BYTES_MAX {
            out.push(*byte);
        }
    }
    Cow::Owned(out)
}

/// A value of letters and `_` alone, or of digits alone, is one token in every quoting context of the tokenizer, and no
/// fingerprint of one such token is on its list (a test looks).
pub(super) fn sqli_need() -> Need {
    let outside = |ranges: &[(u8, u8)]| filter::of_bytes_outside(&ByteMap::of_ranges(ranges)).clauses;
    let mut clauses = outside(&[(b'A', b'Z'), (b'a', b'z'), (b'_', b'_')]);
    clauses.extend(outside(&[(b'0', b'9')]));
    Need {
        clauses,
        length_min: 1,
    }
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
    Need {
        clauses: vec![clause],
        length_min: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{WORD_BYTES_MAX, short_words, sqli};

    #[test]
    fn long_words_are_cut_and_what_follows_stays() {
        let word = "a.b.".repeat(WORD_BYTES_MAX);
        let value = format!("{word}' or 1=1 -- {word}");
        let short = short_words(value.as_bytes());
        assert_eq!(short.len(), 2 * WORD_BYTES_MAX + "' or 1=1 -- ".len());
        assert_eq!(sqli(value.as_bytes()), sqli(b"a' or 1=1 -- a"));
        assert!(sqli(value.as_bytes()).is_some());
    }
}
