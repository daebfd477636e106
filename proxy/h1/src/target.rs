//! Request targets: RFC 9112 section 3.2.

use crate::grammar::{PATH, QUERY, all, header_eq};
use crate::host::valid_host;
use crate::span::Span;

/// Parts of a target, as spans relative to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The authority of the absolute form.
    pub(crate) authority: Option<Span>,
    /// Whether the absolute form has the scheme `https`.
    pub(crate) https: bool,
    pub(crate) path: Span,
    /// What the path lacks in front: see [`crate::RequestHead::path_prefix`].
    pub(crate) path_prefix: &'static [u8],
}

/// Whether `target` is a target in origin form: `/path` with an optional `?query`, no fragment.
///
/// Follows RFC 3986, except that what browsers send raw is allowed: brackets, `|` and `^`, and in the query also `{`,
/// `}`, `\` and backtick.
#[must_use]
pub fn valid_target(target: &[u8]) -> bool {
    let path_end = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at(path_end);
    path.first() == Some(&b'/') && all(path, PATH) && (query.is_empty() || all(query, QUERY))
}

/// Parses a target in origin form, absolute form or, for OPTIONS, asterisk form. `None` when it is malformed.
pub(crate) fn parse_target(target: &[u8], method: &[u8]) -> Option<Target> {
    let origin = |authority, https, start| Target {
        authority,
        https,
        path: Span::new(start, target.len()),
        path_prefix: b"",
    };
    if target.first() == Some(&b'/') {
        return valid_target(target).then(|| origin(None, false, 0));
    }
    if target == b"*" {
        return (method == b"OPTIONS").then(|| origin(None, false, 0));
    }
    let scheme_end = memchr::memchr(b':', target)?;
    let scheme = target.get(..scheme_end)?;
    let https = header_eq(scheme, b"https");
    if !https && !header_eq(scheme, b"http") {
        return None;
    }
    let rest = target.get(scheme_end + 1..)?.strip_prefix(b"//")?;
    let start = scheme_end + 3;
    let length = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let end = start + length;
    if !valid_host(rest.get(..length)?) {
        return None;
    }
    let authority = Some(Span::new(start, end));
    if target.get(end) == Some(&b'/') {
        return valid_target(target.get(end..)?).then(|| origin(authority, https, end));
    }
    // An empty path means "/"; alone in an OPTIONS request it means "*" (RFC 9112 sections 3.2.1 and 3.2.4).
    let alone = end == target.len();
    let query = target.get(end..)?;
    (alone || all(query, QUERY)).then_some(Target {
        authority,
        https,
        path: Span::new(end, target.len()),
        path_prefix: if alone && method == b"OPTIONS" { b"*" } else { b"/" },
    })
}
