//! The address that limits, geo rules and logs mean by "the client".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use weir_geoip::canonical;
use weir_schema::config::checked::{ForwardedHeader, Trust};

use crate::Field;

/// The client's address: the peer, or the first hop from the right that is not a trusted proxy.
///
/// The header counts only from a trusted peer. All its lines form one list (RFC 9110 section 5.3), walked from the right
/// for at most `hops_max` hops. A hop that cannot be read ends the walk at the hop before it: whatever stands to the left
/// of it was not vouched for by a proxy that we can name.
pub fn client_address(peer: IpAddr, trust: &Trust, fields: &[Field<'_>]) -> IpAddr {
    let mut current = canonical(peer);
    if !is_trusted(current, trust) {
        return current;
    }
    let name: &[u8] = match trust.header {
        ForwardedHeader::Forwarded => b"forwarded",
        ForwardedHeader::XForwardedFor => b"x-forwarded-for",
    };
    let mut left = trust.hops_max;
    for (_, line) in fields
        .iter()
        .rev()
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
    {
        let walk = match trust.header {
            ForwardedHeader::Forwarded => walk(forwarded_hops(line), &mut current, &mut left, trust),
            ForwardedHeader::XForwardedFor => walk(plain_hops(line), &mut current, &mut left, trust),
        };
        if walk == Walk::Ended {
            break;
        }
    }
    current
}

/// Whether a canonical address belongs to a trusted proxy.
pub fn is_trusted(ip: IpAddr, trust: &Trust) -> bool {
    trust.proxies.iter().any(|net| net.contains(&ip))
}

#[derive(PartialEq, Eq)]
enum Walk {
    Ended,
    GoesOn,
}

fn walk(
    hops: impl Iterator<Item = Option<IpAddr>>,
    current: &mut IpAddr,
    left: &mut u8,
    trust: &Trust,
) -> Walk {
    for hop in hops {
        let Some(next_left) = left.checked_sub(1) else {
            return Walk::Ended;
        };
        *left = next_left;
        let Some(ip) = hop else { return Walk::Ended };
        *current = canonical(ip);
        if !is_trusted(*current, trust) {
            return Walk::Ended;
        }
    }
    Walk::GoesOn
}

fn plain_hops(line: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
    line.rsplit(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|hop| !hop.is_empty())
        .map(node)
}

/// The `for` of each element from the right. A line whose quotes do not close has one hop, which cannot be read.
fn forwarded_hops(line: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
    let elements = split_unquoted(line, b',');
    elements
        .into_iter()
        .rev()
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
        .map(forwarded_for)
}

fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    for pair in split_unquoted(element, b';') {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair.get(..at)?.trim_ascii(), pair.get(at + 1..)?.trim_ascii());
        if !name.eq_ignore_ascii_case(b"for") {
            continue;
        }
        // RFC 7239 section 4: each parameter at most once.
        if found.is_some() {
            return None;
        }
        let value = match value {
            [b'"', inner @ .., b'"'] => inner,
            _ => value,
        };
        found = Some(node(value)?);
    }
    found
}

/// Splits at a separator outside of quotes; with an open quote at the end the whole is one part.
fn split_unquoted(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if *byte == separator && !quoted => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return vec![b"\""];
    }
    parts.extend(text.get(start..));
    parts
}

/// An address as proxies write it: bare, with a port, in brackets, with a zone. `unknown` and `_hidden` are none.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(bracketed) = text.strip_prefix('[') {
        let (inner, rest) = bracketed.split_once(']')?;
        let fits = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return if fits { v6(inner) } else { None };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => {
            if is_port(port) {
                host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
            } else {
                None
            }
        }
        Some(_) => v6(text),
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn v6(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _zone)| address);
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// A port, or the obfuscated one of RFC 7239 section 6.3.
fn is_port(text: &str) -> bool {
    let obfuscated = |rest: &str| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    text.parse::<u16>().is_ok_and(|_| !text.starts_with('+'))
        || text.strip_prefix('_').is_some_and(obfuscated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(header: ForwardedHeader, hops_max: u8) -> Trust {
        let proxies = ["10.0.0.0/8", "fd00::/8", "127.0.0.0/8"]
            .map(|net| net.parse().unwrap())
            .to_vec();
        Trust {
            proxies,
            hops_max,
            header,
        }
    }

    fn seen(header: ForwardedHeader, peer: &str, lines: &[&str]) -> String {
        let name: &[u8] = match header {
            ForwardedHeader::Forwarded => b"Forwarded",
            ForwardedHeader::XForwardedFor => b"X-Forwarded-For",
        };
        let fields: Vec<Field<'_>> = lines.iter().map(|line| (name, line.as_bytes())).collect();
        client_address(peer.parse().unwrap(), &trust(header, 3), &fields).to_string()
    }

    #[test]
    fn x_forwarded_for_corpus() {
        let table: &[(&str, &[&str], &str)] = &[
            ("203.0.113.9", &["1.2.3.4"], "203.0.113.9"),
            ("::ffff:203.0.113.9", &["1.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7, garbage, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.7", "unknown"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, 10.0.0.4, 10.0.0.3, 10.0.0.2"], "10.0.0.4"),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7%eth0]"], "2001:db8::7"),
            ("10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7, ,"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7:99999"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.07"], "10.0.0.1"),
            ("10.0.0.1", &["2002:7f00:1::1"], "2002:7f00:1::1"),
            ("fd00::1", &["198.51.100.7"], "198.51.100.7"),
        ];
        for (peer, lines, expected) in table {
            assert_eq!(
                seen(ForwardedHeader::XForwardedFor, peer, lines),
                *expected,
                "{peer} {lines:?}"
            );
        }
    }

    #[test]
    fn forwarded_corpus() {
        let table: &[(&str, &[&str], &str)] = &[
            ("203.0.113.9", &["for=1.2.3.4"], "203.0.113.9"),
            ("10.0.0.1", &["for=198.51.100.7"], "198.51.100.7"),
            (
                "10.0.0.1",
                &["For=\"198.51.100.7:80\";proto=https;by=10.0.0.1"],
                "198.51.100.7",
            ),
            ("10.0.0.1", &["for=\"[2001:db8::7]:4711\""], "2001:db8::7"),
            (
                "10.0.0.1",
                &["for=6.6.6.6, for=198.51.100.7, for=10.0.0.2"],
                "198.51.100.7",
            ),
            ("10.0.0.1", &["for=6.6.6.6", "for=198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["for=6.6.6.6, for=_hidden"], "10.0.0.1"),
            ("10.0.0.1", &["for=6.6.6.6, for=unknown"], "10.0.0.1"),
            ("10.0.0.1", &["for=6.6.6.6, proto=https"], "10.0.0.1"),
            ("10.0.0.1", &["for=6.6.6.6;for=7.7.7.7"], "10.0.0.1"),
            (
                "10.0.0.1",
                &["host=\"a, for=6.6.6.6\";for=198.51.100.7"],
                "198.51.100.7",
            ),
            ("10.0.0.1", &["for=6.6.6.6, for=\"198.51.100.7"], "10.0.0.1"),
            (
                "10.0.0.1",
                &["for=198.51.100.7;host=\"a\\\", for=6.6.6.6\""],
                "198.51.100.7",
            ),
        ];
        for (peer, lines, expected) in table {
            assert_eq!(
                seen(ForwardedHeader::Forwarded, peer, lines),
                *expected,
                "{peer} {lines:?}"
            );
        }
    }

    #[test]
    fn the_other_header_is_not_read() {
        let fields: Vec<Field<'_>> = vec![(b"x-forwarded-for", b"6.6.6.6")];
        let trust = trust(ForwardedHeader::Forwarded, 3);
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(client_address(peer, &trust, &fields), peer);
    }

    proptest::proptest! {
        /// What a client writes to the left of its own address, as appended by the proxy, never matters.
        #[test]
        fn nothing_left_of_the_real_address_counts(spoof in "[ -~]{0,60}") {
            let line = format!("{spoof},198.51.100.7");
            proptest::prop_assert_eq!(seen(ForwardedHeader::XForwardedFor, "10.0.0.1", &[&line]), "198.51.100.7");
        }
    }
}
