//! `t:hexEncode`, `t:hexDecode` and the digit arithmetic that the other decoders share.

/// The value of one hexadecimal digit.
pub(super) fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The byte written as two hexadecimal digits at the start of `input`.
pub(super) fn pair(input: &[u8]) -> Option<u8> {
    match input {
        [high, low, ..] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

/// The code written as four hexadecimal digits at the start of `input`.
pub(super) fn quad(input: &[u8]) -> Option<u16> {
    let high = pair(input)?;
    let low = pair(input.get(2..)?)?;
    Some(u16::from(high) << 8 | u16::from(low))
}

const DIGITS: [u8; 16] = *b"0123456789abcdef";

pub(super) fn push(byte: u8, out: &mut Vec<u8>) {
    out.extend(
        [byte >> 4, byte & 15]
            .iter()
            .filter_map(|&n| DIGITS.get(usize::from(n))),
    );
}

pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    for &byte in input {
        push(byte, out);
    }
    !input.is_empty()
}

/// Decodes pairs of digits and stops at the first byte that is not one.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend(input.chunks(2).map_while(pair));
    !input.is_empty()
}

/// `t:sqlHexDecode`: `0x41424344` becomes `ABCD`.
pub(super) fn sql_decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut rest = input;
    let mut changed = false;
    while let [first, tail @ ..] = rest {
        if let [b'0', b'x' | b'X', digits @ ..] = rest
            && pair(digits).is_some()
        {
            changed = true;
            rest = digits;
            while let Some(byte) = pair(rest) {
                out.push(byte);
                rest = rest.get(2..).unwrap_or_default();
            }
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    if !changed {
        out.truncate(start);
    }
    changed
}
