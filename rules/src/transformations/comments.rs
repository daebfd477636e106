//! `t:replaceComments`, `t:removeComments` and `t:removeCommentsChar`.

/// Each `/* ... */` becomes one space; an open one swallows the rest.
pub(super) fn replace(input: &[u8], out: &mut Vec<u8>) -> bool {
    if memchr::memmem::find(input, b"/*").is_none() {
        return false;
    }
    let mut rest = input;
    while let Some(at) = memchr::memmem::find(rest, b"/*") {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        out.push(b' ');
        let inside = rest.get(at + 2..).unwrap_or_default();
        rest = match memchr::memmem::find(inside, b"*/") {
            Some(end) => inside.get(end + 2..).unwrap_or_default(),
            None => &[],
        };
    }
    out.extend_from_slice(rest);
    true
}

/// Removes `/* */` and `<!-- -->` comments (an open one becomes a space), and everything after `--` or `#`.
pub(super) fn remove(input: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut rest = input;
    while let [first, tail @ ..] = rest {
        let (open, close): (&[u8], &[u8]) = if rest.starts_with(b"/*") {
            (b"/*", b"*/")
        } else if rest.starts_with(b"<!--") {
            (b"<!--", b"-->")
        } else if rest.starts_with(b"--") || *first == b'#' {
            break;
        } else {
            out.push(*first);
            rest = tail;
            continue;
        };
        let inside = rest.get(open.len()..).unwrap_or_default();
        match memchr::memmem::find(inside, close) {
            Some(end) => rest = inside.get(end + close.len()..).unwrap_or_default(),
            None => {
                out.push(b' ');
                return true;
            }
        }
    }
    out.len() - start != input.len()
}

const MARKS: &[&[u8]] = &[b"<!--", b"-->", b"/*", b"*/", b"--", b"#"];

/// Removes the comment marks and keeps what they enclose.
pub(super) fn remove_marks(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = input;
    // Every mark begins with one of these bytes; all between them is copied at once, and only when there is a mark.
    let begins = |b: &u8| matches!(b, b'#' | b'*' | b'-' | b'/' | b'<');
    let mut from = 0;
    let mut changed = false;
    while let Some(at) = rest.get(from..).and_then(|rest| rest.iter().position(begins)) {
        from += at;
        let (plain, tail) = rest.split_at(from);
        if let Some(mark) = MARKS.iter().find(|mark| tail.starts_with(mark)) {
            out.extend_from_slice(plain);
            rest = tail.get(mark.len()..).unwrap_or_default();
            from = 0;
            changed = true;
        } else {
            from += 1;
        }
    }
    if changed {
        out.extend_from_slice(rest);
    }
    changed
}
