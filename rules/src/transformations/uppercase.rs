//! `t:uppercase`: ASCII letters only.

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    if !input.iter().any(u8::is_ascii_lowercase) {
        return false;
    }
    out.extend(input.iter().map(u8::to_ascii_uppercase));
    true
}
