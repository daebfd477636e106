//! Host and authority (RFC 9110 section 7.2, RFC 3986 section 3.2).

/// Longest host with port, bytes.
const BYTES_MAX: usize = 255 + 6;

/// Splits `host[:port]`; `None` when it is not a valid one.
pub fn split_host_port(host: &[u8]) -> Option<(&[u8], Option<u16>)> {
    if host.is_empty() || host.len() > BYTES_MAX {
        return None;
    }
    let (name, port) = if host.first() == Some(&b'[') {
        let end = memchr::memchr(b']', host)? + 1;
        let (name, rest) = host.split_at(end);
        let inside = std::str::from_utf8(name.get(1..end - 1)?).ok()?;
        inside.parse::<std::net::Ipv6Addr>().ok()?;
        match rest.split_first() {
            None => (name, None),
            Some((b':', port)) => (name, Some(port)),
            Some(_) => return None,
        }
    } else {
        match memchr::memchr(b':', host) {
            None => (host, None),
            Some(at) => (host.get(..at)?, Some(host.get(at + 1..)?)),
        }
    };
    if name.first() != Some(&b'[') && !valid_name(name) {
        return None;
    }
    match port {
        None => Some((name, None)),
        Some(digits) => {
            let fits = (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            let port = std::str::from_utf8(digits).ok().filter(|_| fits)?.parse().ok()?;
            Some((name, Some(port)))
        }
    }
}

/// Letters, digits, `-`, `_` and dots between labels; one dot may end it. Percent-encoded names are refused.
fn valid_name(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let label = |label: &[u8]| {
        (1..=63).contains(&label.len())
            && label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split(|byte| *byte == b'.').all(label)
}

/// Whether a Host value is a host with an optional port.
pub fn valid_host(host: &[u8]) -> bool {
    split_host_port(host).is_some()
}
