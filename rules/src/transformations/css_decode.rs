//! `t:cssDecode`: CSS 2.1 escapes: a backslash and one to six hexadecimal digits, of which the last two count.

use super::{best_fit, hex, whitespace};

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr::memchr(b'\\', input).is_none() {
        return false;
    }
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let tail = escape.get(1..).unwrap_or_default();
        let digits = tail
            .iter()
            .take(6)
            .take_while(|b| hex::digit(**b).is_some())
            .count();
        if digits > 0 {
            let code = tail.iter().take(digits).fold(0_u32, |code, &b| {
                code << 4 | u32::from(hex::digit(b).unwrap_or(0))
            });
            out.push(best_fit::full_width(
                u16::try_from(code).unwrap_or((code & 0xFF) as u16),
            ));
            rest = tail.get(digits..).unwrap_or_default();
            if let [space, after @ ..] = rest
                && whitespace::is_space(*space)
            {
                rest = after;
            }
        } else {
            match tail {
                [b'\n', after @ ..] => rest = after,
                [byte, after @ ..] => {
                    out.push(*byte);
                    rest = after;
                }
                [] => rest = &[],
            }
        }
    }
    out.extend_from_slice(rest);
    true
}
