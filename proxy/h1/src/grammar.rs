//! Byte classes of RFC 9110 section 5.6 and RFC 3986, as one table.

pub(crate) const TOKEN: u8 = 1;
pub(crate) const PATH: u8 = 2;
pub(crate) const QUERY: u8 = 4;
pub(crate) const HOST: u8 = 8;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0_u8; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        if b.is_ascii_alphanumeric() {
            table[i] = TOKEN | PATH | QUERY | HOST;
        }
        i += 1;
    }
    table = mark(table, b"!#$%&'*+-.^_`|~", TOKEN);
    // Unreserved, sub-delims, ":", "@", "/" and "%".
    table = mark(table, b"-._~!$&'()*+,;=:@/%", PATH | QUERY);
    // Browsers leave these as they are (percent-encode sets of the WHATWG URL standard, section 1.3).
    table = mark(table, b"[]|^", PATH | QUERY);
    table = mark(table, b"?{}`\\", QUERY);
    mark(table, b"-._", HOST)
}

const fn mark(mut table: [u8; 256], bytes: &[u8], class: u8) -> [u8; 256] {
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] |= class;
        i += 1;
    }
    table
}

pub(crate) fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

pub(crate) fn all(bytes: &[u8], class: u8) -> bool {
    // No early exit: that lets the loop run without a branch per byte, and nearly all input is valid.
    bytes.iter().fold(class, |seen, &b| seen & CLASSES[b as usize]) != 0
}

/// Whether `name` is a field name: a token of RFC 9110 section 5.6.2.
#[must_use]
pub fn valid_field_name(name: &[u8]) -> bool {
    !name.is_empty() && all(name, TOKEN)
}

/// Whether `value` has no control bytes but HTAB (RFC 9110 section 5.5). Bytes above 0x7f are allowed.
#[must_use]
pub fn valid_field_value(value: &[u8]) -> bool {
    // Written so that the compiler can use vector instructions.
    let bad = value
        .iter()
        .fold(false, |bad, &b| bad | ((b < 0x20) & (b != b'\t')) | (b == 0x7f));
    !bad
}

/// Compares names without regard to ASCII case.
#[must_use]
pub fn header_eq(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// `value` without the spaces and tabs around it.
pub(crate) fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The elements of a comma-separated list, trimmed; empty ones are given too.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim_ows)
}
