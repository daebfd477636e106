//! What a strict HTTP/1.1 server refuses with 400 before any rule runs. Suites expect that answer for some requests.

use super::wire::Request;

/// Why the request is refused, if it is (RFC 9112 sections 2.2, 3 and 5; RFC 3986 section 3; RFC 9110 section 7.2).
pub(super) fn refuses(request: &Request) -> Option<&'static str> {
    let token = |text: &[u8]| !text.is_empty() && text.iter().all(|b| is_token(*b));
    if !token(&request.method) {
        return Some("the method is no token");
    }
    if !is_version(&request.protocol) {
        return Some("the version is malformed");
    }
    if !is_target(&request.method, &request.target) {
        return Some("the target is malformed");
    }
    if request
        .fields
        .iter()
        .any(|(name, value)| !token(name) || value.iter().any(|b| b"\0\r\n".contains(b)))
    {
        return Some("a field line is malformed");
    }
    let mut hosts = request
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    match (hosts.next(), hosts.next()) {
        (Some((_, host)), None) if is_host(host) => None,
        (None, None) if request.protocol == b"HTTP/1.0" => None,
        _ => Some("the host is missing, repeated or malformed"),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_version(text: &[u8]) -> bool {
    matches!(text, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

fn is_target(method: &[u8], target: &[u8]) -> bool {
    if method == b"CONNECT" {
        let colon = memchr::memrchr(b':', target).unwrap_or(0);
        let port = target.get(colon + 1..).unwrap_or_default();
        return colon > 0 && !port.is_empty() && port.iter().all(u8::is_ascii_digit);
    }
    if method == b"OPTIONS" && target == b"*" {
        return true;
    }
    let clean = target.iter().all(|b| b.is_ascii_graphic() && !b"#".contains(b));
    let is_absolute = memchr::memmem::find(target, b"://").is_some_and(|at| at > 0);
    clean && (target.starts_with(b"/") || is_absolute)
}

fn is_host(host: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]".contains(b);
    !host.is_empty() && host.iter().all(allowed)
}
