//! PROXY protocol v1 and v2 (HAProxy's specification, 2020): the client address in front of the stream.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest header: v1 is at most 107 bytes; of v2 we take up to 4 KiB with its TLVs.
pub(crate) const BYTES_MAX: usize = 16 + 4096;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Bytes of the header.
    pub(crate) bytes: usize,
    /// The client; `None` for LOCAL and UNKNOWN: the peer itself.
    pub(crate) client: Option<SocketAddr>,
}

/// Not a PROXY header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Parses a header at the start of `bytes`; `None` when more bytes are needed.
///
/// # Errors
/// [`Malformed`].
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Parsed>, Malformed> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes.get(..known) == SIGNATURE.get(..known) {
        return if known < SIGNATURE.len() {
            Ok(None)
        } else {
            parse_v2(bytes)
        };
    }
    parse_v1(bytes)
}

fn parse_v1(bytes: &[u8]) -> Result<Option<Parsed>, Malformed> {
    let head = bytes.get(..bytes.len().min(107)).unwrap_or(bytes);
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        let begins = head.iter().zip(b"PROXY ").all(|(a, b)| a == b);
        return if begins && head.len() < 107 {
            Ok(None)
        } else {
            Err(Malformed)
        };
    };
    let line = std::str::from_utf8(head.get(..end).ok_or(Malformed)?).map_err(|_| Malformed)?;
    let parts: Vec<&str> = line.split(' ').collect();
    let client = match parts.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family, source, target, source_port, target_port] => {
            let source: IpAddr = source.parse().map_err(|_| Malformed)?;
            let target: IpAddr = target.parse().map_err(|_| Malformed)?;
            let fits = match *family {
                "TCP4" => source.is_ipv4() && target.is_ipv4(),
                "TCP6" => source.is_ipv6() && target.is_ipv6(),
                _ => false,
            };
            target_port.parse::<u16>().map_err(|_| Malformed)?;
            let port = source_port.parse().map_err(|_| Malformed)?;
            Some(SocketAddr::new(source, port))
                .filter(|_| fits)
                .ok_or(Malformed)
                .map(Some)?
        }
        _ => return Err(Malformed),
    };
    Ok(Some(Parsed {
        bytes: end + 2,
        client,
    }))
}

fn parse_v2(bytes: &[u8]) -> Result<Option<Parsed>, Malformed> {
    let Some(&[command, family, high, low]) = bytes.get(12..16).and_then(|head| head.first_chunk::<4>())
    else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let total = 16 + length;
    if total > BYTES_MAX {
        return Err(Malformed);
    }
    let Some(body) = bytes.get(16..total) else {
        return Ok(None);
    };
    let client = match (command, family >> 4) {
        (0x20, _) | (0x21, 0 | 3) => None,
        (0x21, 1) => {
            let v4: [u8; 12] = *body.first_chunk().ok_or(Malformed)?;
            let ip = Ipv4Addr::new(v4[0], v4[1], v4[2], v4[3]);
            Some(SocketAddr::new(ip.into(), u16::from_be_bytes([v4[8], v4[9]])))
        }
        (0x21, 2) => {
            let v6: [u8; 36] = *body.first_chunk().ok_or(Malformed)?;
            let ip: [u8; 16] = *v6.first_chunk().ok_or(Malformed)?;
            Some(SocketAddr::new(
                Ipv6Addr::from(ip).into(),
                u16::from_be_bytes([v6[32], v6[33]]),
            ))
        }
        _ => return Err(Malformed),
    };
    Ok(Some(Parsed { bytes: total, client }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_gives_the_client() {
        let parsed = parse(b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\nGET /")
            .unwrap()
            .unwrap();
        assert_eq!(
            parsed,
            Parsed {
                bytes: 46,
                client: Some("203.0.113.7:4711".parse().unwrap())
            }
        );
        assert_eq!(parse(b"PROXY UNKNOWN\r\n").unwrap().unwrap().client, None);
    }

    #[test]
    fn v2_gives_the_client() {
        let mut header = SIGNATURE.to_vec();
        header.extend([
            0x21, 0x11, 0, 12, 203, 0, 113, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xbb,
        ]);
        let parsed = parse(&header).unwrap().unwrap();
        assert_eq!(
            parsed,
            Parsed {
                bytes: 28,
                client: Some("203.0.113.7:4711".parse().unwrap())
            }
        );
    }

    #[test]
    fn every_prefix_of_a_header_asks_for_more() {
        let v1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n";
        for end in 0..v1.len() {
            assert_eq!(parse(&v1[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP9 1.1.1.1 1.1.1.1 1 2\r\n",
        ] {
            assert_eq!(parse(bytes), Err(Malformed));
        }
    }
}
