//! `@validateByteRange`, `@validateUrlEncoding` and `@containsWord`.

use crate::filter::ByteMap;

/// Reads `1-255` or `38,44-46,48-58`.
pub(super) fn range(text: &str) -> Result<ByteMap, String> {
    let mut set = ByteMap::default();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let bound = |t: &str| {
            t.trim()
                .parse::<u8>()
                .map_err(|_| format!("`{part}` is no range of bytes 0-255"))
        };
        let (low, high) = (bound(low)?, bound(high)?);
        (low..=high).for_each(|byte| set.insert(byte));
    }
    Ok(set)
}

/// Whether a `%` is not followed by two hexadecimal digits.
pub(crate) fn broken_url_encoding(value: &[u8]) -> bool {
    memchr::memchr_iter(b'%', value).any(|at| {
        !matches!(value.get(at + 1..at + 3), Some([a, b]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    })
}

/// Whether `word` stands in `value` between non-word bytes.
pub(crate) fn contains_word(value: &[u8], word: &[u8]) -> bool {
    let is_word = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    word.is_empty()
        || memchr::memmem::find_iter(value, word).any(|at| {
            !is_word(at.checked_sub(1).and_then(|i| value.get(i))) && !is_word(value.get(at + word.len()))
        })
}
