//! `t:length`: the number of bytes, in decimal.

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(input.len().to_string().as_bytes());
    true
}
