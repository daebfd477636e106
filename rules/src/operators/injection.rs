//! `@detectSQLi` and `@detectXSS`: libinjection's method, by the crate `libinjectionrs`.

use std::borrow::Cow;

use crate::filter::{self, ByteMap, Clause, Need};

/// Marks (`.` and the backtick) in one word that the tokenizer is shown as what they are.
const MARKS_MAX: usize = 64;

/// The fingerprint of an SQL injection.
pub(super) fn sqli(value: &[u8]) -> Option<String> {
    let result = libinjectionrs::detect_sqli(&few_marks(value));
    let print = result.fingerprint.as_ref().map(ToString::to_string);
    result.is_injection().then(|| print.unwrap_or_default())
}

/// Whether the value is a script injection.
pub(super) fn xss(value: &[u8]) -> bool {
    libinjectionrs::detect_xss(value).is_injection()
}

/// Makes the marks of a word beyond a number plain letters. The tokenizer looks up what stands before each mark of a word,
/// at a cost that grows with the square of the word's length; no keyword has more than two marks, and a word with more
/// of them stays one bare word.
fn few_marks(value: &[u8]) -> Cow<'_, [u8]> {
    if value.len() <= MARKS_MAX {
        return Cow::Borrowed(value);
    }
    let mut marks = 0;
    let mut out: Option<Vec<u8>> = None;
    for (at, byte) in value.iter().enumerate() {
        match byte {
            b'.' | b'`' => {
                marks += 1;
                if marks > MARKS_MAX {
                    let out = out.get_or_insert_with(|| value.to_vec());
                    if let Some(mark) = out.get_mut(at) {
                        *mark = b'x';
                    }
                }
            }
            b' '..=b'#'
            | b'%'..=b'-'
            | b'/'
            | b':'..=b'@'
            | b'['..=b'^'
            | b'{'..=b'~'
            | b'\t'..=b'\r'
            | 0xA0
            | 0 => marks = 0,
            _ => {}
        }
    }
    out.map_or(Cow::Borrowed(value), Cow::Owned)
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
    use super::{MARKS_MAX, few_marks, sqli};

    #[test]
    fn words_keep_few_marks_and_what_follows_stays() {
        let word = "a.b`".repeat(MARKS_MAX);
        let value = format!("{word}' or 1=1 -- {word}");
        let shown = few_marks(value.as_bytes());
        assert_eq!(shown.iter().filter(|b| b".`".contains(b)).count(), 2 * MARKS_MAX);
        assert_eq!(sqli(value.as_bytes()), sqli(b"a' or 1=1 -- a"));
        assert!(sqli(value.as_bytes()).is_some());
    }
}
