//! `t:removeNulls` and `t:replaceNulls` (NUL becomes a space).

pub(super) fn remove(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr::memchr(0, input).is_none() {
        return false;
    }
    out.extend(input.iter().copied().filter(|&b| b != 0));
    true
}

pub(super) fn replace(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr::memchr(0, input).is_none() {
        return false;
    }
    out.extend(input.iter().map(|&b| if b == 0 { b' ' } else { b }));
    true
}
