//! One spelling of a path for matching. What is sent upstream stays as the client wrote it.

use std::borrow::Cow;

/// The path in normal form (RFC 3986 section 6.2.2): escapes of unreserved bytes decoded, other escapes in upper case,
/// runs of `/` collapsed, `.` and `..` resolved and never above the root.
///
/// An escaped slash stays escaped. A `%` that begins no escape becomes `%25`, so that decoding cannot make new escapes
/// and the result is its own normal form. An empty path is `/`; what does not begin with `/` (`*`) is left alone.
pub fn normalise(path: &[u8]) -> Cow<'_, [u8]> {
    if path.is_empty() {
        return Cow::Borrowed(b"/");
    }
    let suspect = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.'] | [b'%', _]);
    if !path.starts_with(b"/") || !(path.windows(2).any(suspect) || path.ends_with(b"%")) {
        return Cow::Borrowed(path);
    }
    let decoded = decode_unreserved(path);
    let mut out: Vec<u8> = Vec::with_capacity(decoded.len());
    let mut segments = decoded.split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = out.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                out.truncate(parent);
            }
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
                continue;
            }
        }
        // A path that ends in an empty or dot segment names a folder.
        if last {
            out.push(b'/');
        }
    }
    Cow::Owned(out)
}

fn decode_unreserved(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let escape = match tail {
            [high, low, after @ ..] => hex(*high)
                .zip(hex(*low))
                .map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        match escape {
            Some((value, after)) => {
                rest = after;
                if value.is_ascii_alphanumeric() || b"-._~".contains(&value) {
                    out.push(value);
                } else {
                    out.extend_from_slice(&[b'%', digit(value >> 4), digit(value & 15)]);
                }
            }
            None => out.extend_from_slice(b"%25"),
        }
    }
    out
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

fn digit(value: u8) -> u8 {
    if value < 10 {
        b'0' + value
    } else {
        b'A' + value - 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        let table = [
            ("", "/"),
            ("/", "/"),
            ("*", "*"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/..", "/"),
            ("/../../etc", "/etc"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/%2E./b", "/b"),
            ("/%61%62", "/ab"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%2f..%2fb", "/a%2F..%2Fb"),
            ("/a%20b", "/a%20b"),
            ("/%7euser", "/~user"),
            ("/100%", "/100%25"),
            ("/%zz", "/%25zz"),
            ("/%%32e", "/%252e"),
            ("/a//../b", "/b"),
            ("/.hidden", "/.hidden"),
            ("/a/...", "/a/..."),
        ];
        for (path, expected) in table {
            let normal = normalise(path.as_bytes());
            assert_eq!(String::from_utf8_lossy(&normal), expected, "{path}");
        }
    }

    /// Decodes by text replacement, then resolves with a stack of names.
    fn oracle(path: &str) -> String {
        let mut text = path.replace("%2e", ".").replace("%2E", ".").replace("%61", "a");
        text = text.replace("%2f", "%2F");
        let mut stack: Vec<&str> = Vec::new();
        for name in text.split('/').filter(|name| !name.is_empty() && *name != ".") {
            if name == ".." {
                stack.pop();
            } else {
                stack.push(name);
            }
        }
        let last = text.rsplit('/').next().unwrap();
        let folder = matches!(last, "" | "." | "..") && !stack.is_empty();
        format!("/{}{}", stack.join("/"), if folder { "/" } else { "" })
    }

    proptest::proptest! {
        #[test]
        fn same_as_a_stack_of_names(parts in proptest::collection::vec("(/|\\.|%2e|%2E|a|%61|%2f|b)", 0..24)) {
            let path = format!("/{}", parts.concat());
            let normal = normalise(path.as_bytes());
            proptest::prop_assert_eq!(String::from_utf8_lossy(&normal), oracle(&path));
        }

        #[test]
        fn normal_form_is_stable_and_below_the_root(path in "/[/.%2eEfF5a-c]{0,30}") {
            let once = normalise(path.as_bytes()).into_owned();
            proptest::prop_assert_eq!(normalise(&once).into_owned(), once.clone());
            proptest::prop_assert!(once.starts_with(b"/"));
            proptest::prop_assert!(!once.split(|b| *b == b'/').any(|name| name == b".." || name == b"."));
        }
    }
}
