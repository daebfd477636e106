//! `t:escapeSeqDecode`: ANSI C escapes. An escape that is none loses its backslash,
//! except a broken `\x`, which stays.

use super::{hex, js_decode};

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr::memchr(b'\\', input).is_none() {
        return false;
    }
    let start = out.len();
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&kind, tail)) = escape.get(1..).and_then(<[u8]>::split_first) else {
            out.push(b'\\');
            rest = &[];
            break;
        };
        let (byte, used) = match kind {
            b'x' | b'X' => hex::pair(tail).map_or((b'\\', 0), |byte| (byte, 2)),
            b'0'..=b'7' => js_decode::octal(kind, tail, 2),
            _ => (js_decode::simple(kind).unwrap_or(kind), 0),
        };
        out.push(byte);
        if byte == b'\\' && matches!(kind, b'x' | b'X') && used == 0 {
            out.push(kind);
        }
        rest = tail.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    if out.get(start..) == Some(input) {
        out.truncate(start);
        return false;
    }
    true
}
