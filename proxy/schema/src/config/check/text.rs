//! Texts with a grammar: hosts, addresses, paths, tokens.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// Why a text is not what it should be: what is wrong, and what would be valid.
pub(super) type Refusal = (String, &'static str);

/// A host pattern in lower case: a name, `*.name`, `*`, or an IP address (IPv6 in brackets).
pub(in crate::config) fn host(text: &str) -> Result<String, Refusal> {
    const VALID: &str = "a host name without port, `*.example.com`, `*`, or an IP address (IPv6 in brackets)";
    let lower = text.to_ascii_lowercase();
    let literal = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let sound = match literal {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => lower == "*" || name(lower.strip_prefix("*.").unwrap_or(&lower)),
    };
    if sound {
        return Ok(lower);
    }
    let hint = if text.is_ascii() {
        VALID
    } else {
        "the ASCII form of the name (`xn--`)"
    };
    Err((
        format!("`{}` is not a host", crate::config::rule::shown(text)),
        hint,
    ))
}

/// Whether a text is a host name: labels of letters, digits, `-` and `_`, 253 bytes at most (RFC 1123, section 2.1).
pub(super) fn name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=253).contains(&text.len()) && text.split('.').all(label)
}

/// An address to listen on.
pub(super) fn socket(text: &str) -> Result<SocketAddr, Refusal> {
    text.parse().map_err(|_| {
        let hint = if text.starts_with(':') {
            "an IP address before the port: `0.0.0.0:8080` is all of IPv4"
        } else {
            "an IP address and a port, like `127.0.0.1:8080` or `[::1]:8080`"
        };
        (
            format!(
                "`{}` is not an address to listen on",
                crate::config::rule::shown(text)
            ),
            hint,
        )
    })
}

/// `host:port` of an endpoint; IPv6 in brackets, given back without them.
pub(super) fn endpoint(text: &str) -> Result<(String, u16), Refusal> {
    const VALID: &str = "`host:port` with a port of 1 to 65535, like `10.0.0.1:8080` or `[::1]:8080`";
    let refused = || {
        (
            format!("`{}` is not an endpoint", crate::config::rule::shown(text)),
            VALID,
        )
    };
    if let Ok(address) = text.parse::<SocketAddr>() {
        return if address.port() == 0 {
            Err(refused())
        } else {
            Ok((address.ip().to_string(), address.port()))
        };
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
    let port: u16 = port.parse().map_err(|_| refused())?;
    if port == 0 || !name(host) {
        return Err(refused());
    }
    Ok((host.to_ascii_lowercase(), port))
}

/// A network in CIDR form, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, (String, String)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let refused = || {
        (
            format!("`{}` is not a network", crate::config::rule::shown(text)),
            "an address or CIDR, like `10.0.0.0/8` or `2001:db8::/32`".to_owned(),
        )
    };
    let network: IpNet = text.parse().map_err(|_| refused())?;
    if network.trunc() != network {
        return Err((
            format!("`{text}` has bits below its prefix"),
            format!("did you mean `{}`?", network.trunc()),
        ));
    }
    Ok(network)
}

/// A path as the request path is after normalising.
pub(super) fn path(text: &str) -> Result<String, Refusal> {
    let refused = |what: &str, hint| {
        Err((
            format!("the path `{}` {what}", crate::config::rule::shown(text)),
            hint,
        ))
    };
    if !text.starts_with('/') {
        return refused("does not start with `/`", "paths are absolute, like `/api`");
    }
    if text.contains(['?', '#']) {
        return refused(
            "has a query or fragment",
            "only the path is matched: end it before `?` or `#`",
        );
    }
    if text.contains("//") || text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return refused(
            "is not normalised",
            "no `//`, `.` or `..`: requests are matched without them",
        );
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return refused("has a byte that no request path carries", "percent-encode it");
    }
    Ok(text.to_owned())
}

/// Whether a text is a token (RFC 9110, section 5.6.2) of at most `bytes_max` bytes.
pub(super) fn token(text: &str, bytes_max: usize) -> bool {
    let one = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(one)
}

/// An origin: scheme, host and perhaps a port.
pub(super) fn origin(text: &str) -> Result<String, Refusal> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let sound = rest.is_some_and(|authority| {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        literal.map_or_else(
            || name(host),
            |address| address.parse::<std::net::Ipv6Addr>().is_ok(),
        ) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    });
    if sound {
        Ok(text.to_ascii_lowercase())
    } else {
        Err((
            format!("`{}` is not an origin", crate::config::rule::shown(text)),
            "`https://host` or `https://host:port`, without a path",
        ))
    }
}
