//! `t:normalizePath` and `t:normalizePathWin`: repeated slashes, `.` and `..` are resolved without the file system.

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    if is_normal(input) {
        return false;
    }
    let start = out.len();
    normalize(input, out, false);
    keep_if_changed(input, out, start)
}

/// Backslashes count as slashes.
pub(super) fn apply_windows(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr::memchr(b'\\', input).is_none() && is_normal(input) {
        return false;
    }
    let start = out.len();
    normalize(input, out, true);
    keep_if_changed(input, out, start)
}

/// Whether nothing is left to resolve: no segment is `.` or `..`, and only the first and the last may be empty (the
/// leading and the trailing slash, which are kept).
fn is_normal(input: &[u8]) -> bool {
    let mut from = 0;
    for slash in memchr::memchr_iter(b'/', input) {
        match input.get(from..slash).unwrap_or_default() {
            b"" if from == 0 => {}
            b"" | b"." | b".." => return false,
            _ => {}
        }
        from = slash + 1;
    }
    !matches!(input.get(from..), Some(b"." | b".."))
}

fn keep_if_changed(input: &[u8], out: &mut Vec<u8>, start: usize) -> bool {
    if out.get(start..) == Some(input) {
        out.truncate(start);
        return false;
    }
    true
}

fn normalize(input: &[u8], out: &mut Vec<u8>, windows: bool) {
    let is_slash = |b: &u8| *b == b'/' || (windows && *b == b'\\');
    let absolute = input.first().is_some_and(is_slash);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_open = false;
    for segment in input.split(is_slash) {
        ends_open = segment.is_empty();
        match segment {
            b"" | b"." => {}
            b".." if segments.last().is_some_and(|last| *last != b"..") => {
                segments.pop();
            }
            b".." if absolute => {}
            _ => segments.push(segment),
        }
    }
    if absolute {
        out.push(b'/');
    }
    for (index, segment) in segments.iter().enumerate() {
        if index > 0 {
            out.push(b'/');
        }
        out.extend_from_slice(segment);
    }
    if ends_open && !segments.is_empty() {
        out.push(b'/');
    }
}

#[cfg(test)]
mod tests {
    use super::{is_normal, normalize};

    #[test]
    fn what_looks_normal_is_left_as_it_is() {
        let letters = b"/.\\a";
        for number in 0..4_usize.pow(7) {
            let mut left = number;
            let text: Vec<u8> = (0..number % 8)
                .map(|_| {
                    let letter = letters[left % 4];
                    left /= 4;
                    letter
                })
                .collect();
            for windows in [false, true] {
                let mut out = Vec::new();
                normalize(&text, &mut out, windows);
                if is_normal(&text) && !(windows && text.contains(&b'\\')) {
                    assert_eq!(out, text);
                }
            }
        }
    }
}
