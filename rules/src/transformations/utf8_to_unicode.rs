//! `t:utf8toUnicode`: multi-byte UTF-8 sequences become `%uHHHH`; anything else stays.

use super::hex;

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    if input.is_ascii() {
        return false;
    }
    let start = out.len();
    for chunk in input.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_ascii() {
                out.push(c as u8);
                continue;
            }
            let [_, plane, high, low] = u32::from(c).to_be_bytes();
            out.extend_from_slice(b"%u");
            if plane != 0 {
                hex::push(plane, out);
            }
            hex::push(high, out);
            hex::push(low, out);
        }
        out.extend_from_slice(chunk.invalid());
    }
    if out.get(start..) == Some(input) {
        out.truncate(start);
        return false;
    }
    true
}
