//! `t:base64Decode` (stops at the first byte outside the alphabet), `t:base64DecodeExt` (skips such bytes) and
//! `t:base64Encode`.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn value(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

fn decode(values: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
    let mut bits = 0_u32;
    let mut have = 0;
    for value in values {
        bits = bits << 6 | value;
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have & 0xFF) as u8);
        }
    }
}

/// Decodes up to the first byte outside the alphabet.
pub(crate) fn decode_onto(input: &[u8], out: &mut Vec<u8>) {
    decode(input.iter().map_while(|b| value(*b)), out);
}

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    decode_onto(input, out);
    !input.is_empty()
}

pub(super) fn apply_forgiving(input: &[u8], out: &mut Vec<u8>) -> bool {
    decode(
        input.iter().take_while(|b| **b != b'=').filter_map(|b| value(*b)),
        out,
    );
    !input.is_empty()
}

pub(super) fn encode(input: &[u8], out: &mut Vec<u8>) -> bool {
    for chunk in input.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place) & 63) as usize;
            out.push(if place <= chunk.len() {
                ALPHABET.get(index).copied().unwrap_or(b'=')
            } else {
                b'='
            });
        }
    }
    !input.is_empty()
}
