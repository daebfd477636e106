//! `t:lowercase`: ASCII letters only, as the peers do (locale plays no part).

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    if !input.iter().any(u8::is_ascii_uppercase) {
        return false;
    }
    out.extend(input.iter().map(u8::to_ascii_lowercase));
    true
}
