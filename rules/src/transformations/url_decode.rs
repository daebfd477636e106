//! `t:urlDecode`, `t:urlDecodeUni` and `t:urlEncode`. Invalid escapes stay as they are.

use super::{best_fit, hex};

/// Percent-decodes `input` onto `out`; `+` is a space. The body and query parsers use it too.
pub(crate) fn decode_onto(input: &[u8], out: &mut Vec<u8>) {
    decode(input, out, false);
}

/// Percent-decodes a path onto `out`: there `+` is itself.
pub(crate) fn path_onto(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let tail = escape.get(1..).unwrap_or_default();
        let byte = hex::pair(tail);
        out.push(byte.unwrap_or(b'%'));
        rest = tail.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

fn decode(input: &[u8], out: &mut Vec<u8>, unicode: bool) {
    let mut rest = input;
    loop {
        let Some(at) = memchr::memchr2(b'%', b'+', rest) else {
            out.extend_from_slice(rest);
            return;
        };
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let tail = escape.get(1..).unwrap_or_default();
        let (byte, used) = match (escape.first(), tail.first()) {
            (Some(b'+'), _) => (b' ', 0),
            (_, Some(b'u' | b'U')) if unicode => match tail.get(1..).and_then(hex::quad) {
                Some(code) => (best_fit::to_byte(code), 5),
                None => (b'%', 0),
            },
            _ => match hex::pair(tail) {
                Some(byte) => (byte, 2),
                None => (b'%', 0),
            },
        };
        out.push(byte);
        rest = tail.get(used..).unwrap_or_default();
    }
}

fn apply_with(input: &[u8], out: &mut Vec<u8>, unicode: bool) -> bool {
    if memchr::memchr2(b'%', b'+', input).is_none() {
        return false;
    }
    let start = out.len();
    decode(input, out, unicode);
    if out.get(start..) == Some(input) {
        out.truncate(start);
        return false;
    }
    true
}

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    apply_with(input, out, false)
}

pub(super) fn apply_unicode(input: &[u8], out: &mut Vec<u8>) -> bool {
    apply_with(input, out, true)
}

pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'*';
    if input.iter().all(plain) {
        return false;
    }
    for byte in input {
        match byte {
            b' ' => out.push(b'+'),
            b if plain(b) => out.push(*b),
            b => {
                out.push(b'%');
                hex::push(*b, out);
            }
        }
    }
    true
}
