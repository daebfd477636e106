//! Host values: RFC 9110 section 7.2, narrowed to what names a server.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::grammar::{HOST, all};

/// Bytes of a name, from DNS.
const NAME_BYTES_MAX: usize = 255;

/// Whether `host` is a name, an IPv4 address or a bracketed IPv6 address, with or without a port of 1 to 65535.
///
/// Narrower than RFC 3986 on purpose: no user information, no percent-encoding, no sub-delimiters, no empty
/// labels but a last one, no zone identifiers and no number that merely looks like an IPv4 address.
#[must_use]
pub fn valid_host(host: &[u8]) -> bool {
    split_host_port(host).is_some()
}

/// Splits a valid host (see [`valid_host`]) into the name or address, brackets kept, and the port.
#[must_use]
pub fn split_host_port(host: &[u8]) -> Option<(&[u8], Option<u16>)> {
    if host.first() == Some(&b'[') {
        let close = memchr::memchr(b']', host)?;
        let literal = std::str::from_utf8(host.get(1..close)?).ok()?;
        literal.parse::<Ipv6Addr>().ok()?;
        return Some((host.get(..=close)?, port(host.get(close + 1..)?)?));
    }
    let end = memchr::memchr(b':', host).unwrap_or(host.len());
    let name = host.get(..end)?;
    if !valid_name(name) {
        return None;
    }
    Some((name, port(host.get(end..)?)?))
}

/// Reads `:port` or nothing. The outer `None` means invalid.
fn port(rest: &[u8]) -> Option<Option<u16>> {
    let digits = match rest {
        [] => return Some(None),
        [b':', digits @ ..] => digits,
        _ => return None,
    };
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0'));
    u16::try_from(number).ok().filter(|&n| n != 0).map(Some)
}

fn valid_name(name: &[u8]) -> bool {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !all(name, HOST) {
        return false;
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.split(|&b| b == b'.').any(<[u8]>::is_empty) {
        return false;
    }
    let last = name.rsplit(|&b| b == b'.').next().unwrap_or_default();
    if last.iter().all(u8::is_ascii_digit) {
        // Other readers may take "1.2.3" or "010.0.0.1" for an address that differs from the text.
        return std::str::from_utf8(name).is_ok_and(|text| text.parse::<Ipv4Addr>().is_ok());
    }
    true
}
