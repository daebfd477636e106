//! `t:normalizePath` and `t:normalizePathWin`: repeated slashes, `.` and `..` are resolved without the file system.

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    normalize(input, out, false);
    keep_if_changed(input, out, start)
}

/// Backslashes count as slashes.
pub(super) fn apply_windows(input: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    normalize(input, out, true);
    keep_if_changed(input, out, start)
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
