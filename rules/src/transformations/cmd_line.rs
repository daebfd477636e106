//! `t:cmdLine`: undoes the ways shells let a command be spelled: quotes, carets and backslashes go, `,` and `;` are
//! spaces, runs of space are one, none stands before `/` or `(`, letters are lower case.

pub(super) fn apply(input: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if out.len() == start || out.last() != Some(&b' ') {
                    out.push(b' ');
                }
            }
            b'/' | b'(' => {
                if out.len() > start && out.last() == Some(&b' ') {
                    out.pop();
                }
                out.push(byte);
            }
            _ => out.push(byte.to_ascii_lowercase()),
        }
    }
    if out.get(start..) == Some(input) {
        out.truncate(start);
        return false;
    }
    true
}
