//! `t:compressWhitespace`, `t:removeWhitespace`, `t:trim`, `t:trimLeft` and `t:trimRight`.

/// C's `isspace` in the "C" locale: includes VT, which Rust's ASCII whitespace does not.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// NBSP in Latin-1 counts as white space for the two transformations that normalise it.
fn is_space_or_nbsp(byte: u8) -> bool {
    is_space(byte) || byte == 0xA0
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut in_space = false;
    let mut changed = false;
    let start = out.len();
    for &byte in input {
        if is_space_or_nbsp(byte) {
            changed |= in_space || byte != b' ';
            if !in_space {
                out.push(b' ');
            }
            in_space = true;
        } else {
            in_space = false;
            out.push(byte);
        }
    }
    if !changed {
        out.truncate(start);
    }
    changed
}

pub(super) fn remove(input: &[u8], out: &mut Vec<u8>) -> bool {
    if !input.iter().any(|&b| is_space_or_nbsp(b)) {
        return false;
    }
    out.extend(input.iter().copied().filter(|&b| !is_space_or_nbsp(b)));
    true
}

fn left(mut input: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = input
        && is_space(*first)
    {
        input = rest;
    }
    input
}

fn right(mut input: &[u8]) -> &[u8] {
    while let [rest @ .., last] = input
        && is_space(*last)
    {
        input = rest;
    }
    input
}

fn emit(input: &[u8], trimmed: &[u8], out: &mut Vec<u8>) -> bool {
    if trimmed.len() == input.len() {
        return false;
    }
    out.extend_from_slice(trimmed);
    true
}

pub(super) fn trim(input: &[u8], out: &mut Vec<u8>) -> bool {
    emit(input, left(right(input)), out)
}

pub(super) fn trim_left(input: &[u8], out: &mut Vec<u8>) -> bool {
    emit(input, left(input), out)
}

pub(super) fn trim_right(input: &[u8], out: &mut Vec<u8>) -> bool {
    emit(input, right(input), out)
}
