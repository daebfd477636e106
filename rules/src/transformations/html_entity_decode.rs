//! `t:htmlEntityDecode`: numeric entities and the five named ones that matter for injection; the `;` is optional,
//! as browsers have it.

use super::hex;

const NAMED: &[(&[u8], u8)] = &[
    (b"quot", b'"'),
    (b"amp", b'&'),
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"nbsp", 0xA0),
];

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr::memchr(b'&', input).is_none() {
        return false;
    }
    let mut changed = false;
    let start = out.len();
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'&', rest) {
        let (plain, entity) = rest.split_at(at);
        out.extend_from_slice(plain);
        let tail = entity.get(1..).unwrap_or_default();
        match one(tail) {
            Some((byte, used)) => {
                changed = true;
                out.push(byte);
                rest = tail.get(used..).unwrap_or_default();
                if let [b';', after @ ..] = rest {
                    rest = after;
                }
            }
            None => {
                out.push(b'&');
                rest = tail;
            }
        }
    }
    out.extend_from_slice(rest);
    if !changed {
        out.truncate(start);
    }
    changed
}

/// The byte of the entity whose text after `&` is `tail`, and how many bytes of `tail` it used without the `;`.
fn one(tail: &[u8]) -> Option<(u8, usize)> {
    match tail {
        [b'#', b'x' | b'X', digits @ ..] => {
            number(digits, |b| hex::digit(b).map(u32::from), 16).map(|(byte, used)| (byte, used + 2))
        }
        [b'#', digits @ ..] => number(digits, |b| b.is_ascii_digit().then(|| u32::from(b - b'0')), 10)
            .map(|(byte, used)| (byte, used + 1)),
        _ => {
            let letters = tail
                .iter()
                .take(8)
                .take_while(|b| b.is_ascii_alphanumeric())
                .count();
            let name = tail.get(..letters)?;
            NAMED
                .iter()
                .find(|(known, _)| name.eq_ignore_ascii_case(known))
                .map(|(known, byte)| (*byte, known.len()))
        }
    }
}

/// Digits of the base, however many; the value is taken modulo 256 as the peers do.
fn number(digits: &[u8], value: impl Fn(u8) -> Option<u32>, base: u32) -> Option<(u8, usize)> {
    let used = digits.iter().take_while(|b| value(**b).is_some()).count();
    if used == 0 {
        return None;
    }
    let code = digits
        .iter()
        .take(used)
        .filter_map(|b| value(*b))
        .fold(0_u32, |code, digit| code.wrapping_mul(base).wrapping_add(digit));
    Some((code.to_be_bytes()[3], used))
}
