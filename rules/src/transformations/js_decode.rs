//! `t:jsDecode`: JavaScript string escapes.

use super::{best_fit, hex};

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr::memchr(b'\\', input).is_none() {
        return false;
    }
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&kind, tail)) = escape.get(1..).and_then(<[u8]>::split_first) else {
            out.push(b'\\');
            return out.len() != input.len();
        };
        let (byte, used) = one(kind, tail);
        out.push(byte);
        rest = tail.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    true
}

/// The byte for the escape `\<kind><tail>` and how much of `tail` it used.
fn one(kind: u8, tail: &[u8]) -> (u8, usize) {
    match kind {
        b'u' => hex::quad(tail).map_or((kind, 0), |code| (best_fit::full_width(code), 4)),
        b'x' => hex::pair(tail).map_or((kind, 0), |byte| (byte, 2)),
        b'0'..=b'7' => octal(kind, tail, if kind <= b'3' { 2 } else { 1 }),
        _ => (simple(kind).unwrap_or(kind), 0),
    }
}

/// Octal digits: the first and up to `digits_max` more; bits beyond a byte are lost.
pub(super) fn octal(first: u8, tail: &[u8], digits_max: usize) -> (u8, usize) {
    let mut value = first - b'0';
    let mut used = 0;
    for byte in tail
        .iter()
        .take(digits_max)
        .take_while(|b| (b'0'..=b'7').contains(b))
    {
        value = value << 3 | (byte - b'0');
        used += 1;
    }
    (value, used)
}

/// The C escapes of one letter.
pub(super) fn simple(kind: u8) -> Option<u8> {
    Some(match kind {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        _ => return None,
    })
}
