//! Which header fields end at this hop, and which a client may not bring.

use smallvec::SmallVec;

use crate::Field;

/// Fields of one connection, RFC 9110 section 7.6.1 and RFC 7540 section 3.2.1, and credentials meant for a proxy (RFC 9110
/// section 11.7.1).
const HOP_BY_HOP: [&[u8]; 9] = [
    b"connection",
    b"http2-settings",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"transfer-encoding",
    b"upgrade",
];

/// Fields of a request that Weir writes itself.
const REWRITTEN: [&[u8]; 5] = [
    b"content-length",
    b"expect",
    b"host",
    b"x-forwarded-for",
    b"x-request-id",
];

/// Whether a field ends at this hop whatever `Connection` says.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    // Most fields of a message begin with another letter: one look decides about them.
    matches!(
        name.first().map(u8::to_ascii_lowercase),
        Some(b'c' | b'h' | b'k' | b'p' | b't' | b'u')
    ) && is_one_of(name, &HOP_BY_HOP)
}

/// Whether a field of a client's request is not passed on as it came: it is for this hop, Weir writes it itself, or only
/// Weir or a trusted proxy may set it.
pub fn drops_from_request(name: &[u8], peer_trusted: bool) -> bool {
    is_hop_by_hop(name)
        || (matches!(
            name.first().map(u8::to_ascii_lowercase),
            Some(b'c' | b'e' | b'f' | b'h' | b't' | b'x')
        ) && (is_one_of(name, &REWRITTEN) || is_reserved(name, peer_trusted)))
}

/// Whether a field of an origin's response is not passed on: it is for this hop, or Weir writes it itself.
pub fn drops_from_response(name: &[u8]) -> bool {
    is_hop_by_hop(name) || name.eq_ignore_ascii_case(b"x-request-id")
}

/// Fields that `Connection` names and that are not hop-by-hop anyway. Nearly always none.
pub fn nominated<'a>(fields: impl Iterator<Item = Field<'a>>) -> SmallVec<[&'a [u8]; 2]> {
    let lines = fields.filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"));
    let options = lines.flat_map(|(_, value)| value.split(|byte| *byte == b','));
    options
        .map(<[u8]>::trim_ascii)
        .filter(|option| {
            !option.is_empty() && !option.eq_ignore_ascii_case(b"close") && !is_hop_by_hop(option)
        })
        .collect()
}

/// Whether a name is in a list of [`nominated`] ones.
pub fn is_nominated(nominated: &[&[u8]], name: &[u8]) -> bool {
    is_one_of(name, nominated)
}

fn is_one_of(name: &[u8], list: &[&[u8]]) -> bool {
    list.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether only Weir or a trusted proxy may set a field. `_` counts as `-`: origins that follow CGI cannot tell the two
/// apart.
fn is_reserved(name: &[u8], peer_trusted: bool) -> bool {
    let starts = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|head| same(head, prefix));
    if starts(b"x-weir-") || starts(b"x-geo-") {
        return true;
    }
    // With a dash Weir writes these itself; with another byte in its place they can only be meant to mislead.
    let misspelt: [&[u8]; 4] = [
        b"content-length",
        b"transfer-encoding",
        b"x-forwarded-for",
        b"x-request-id",
    ];
    if misspelt.iter().any(|known| same(name, known)) {
        return true;
    }
    !peer_trusted && (starts(b"x-forwarded-") || same(name, b"forwarded") || same(name, b"x-real-ip"))
}

fn same(name: &[u8], known: &[u8]) -> bool {
    let fold = |byte: &u8| {
        if *byte == b'_' {
            b'-'
        } else {
            byte.to_ascii_lowercase()
        }
    };
    name.len() == known.len() && name.iter().map(fold).eq(known.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_in_any_case() {
        for name in HOP_BY_HOP {
            assert!(is_hop_by_hop(name) && is_hop_by_hop(&name.to_ascii_uppercase()));
            assert!(drops_from_request(name, true) && drops_from_response(name));
        }
        assert!(!is_hop_by_hop(b"content-length") && !is_hop_by_hop(b"trailer") && !is_hop_by_hop(b""));
        assert!(!drops_from_response(b"content-length") && drops_from_response(b"X-Request-ID"));
    }

    #[test]
    fn connection_nominates_over_all_lines() {
        let fields: Vec<Field<'_>> = vec![
            (b"Connection", b"close, X-One, keep-alive"),
            (b"x-three", b"1"),
            (b"connection", b"x-two ,"),
        ];
        let nominated = nominated(fields.iter().copied());
        assert_eq!(nominated.as_slice(), [&b"X-One"[..], b"x-two"]);
        assert!(is_nominated(&nominated, b"x-one") && is_nominated(&nominated, b"X-Two"));
        assert!(!is_nominated(&nominated, b"x-three"));
    }

    #[test]
    fn own_fields_never_come_from_outside() {
        for name in [
            &b"X-Geo-Country"[..],
            b"x_geo_country",
            b"X-Weir-Tenant",
            b"Host",
            b"x-request-id",
            b"X_Request_Id",
            b"X-Forwarded-For",
            b"x_forwarded_for",
            b"Content_Length",
            b"transfer_encoding",
            b"Transfer_Encoding",
            b"Expect",
        ] {
            assert!(drops_from_request(name, true) && drops_from_request(name, false));
        }
        for name in [
            &b"X-Forwarded-Proto"[..],
            b"x_forwarded_host",
            b"Forwarded",
            b"X-Real-IP",
        ] {
            assert!(!drops_from_request(name, true) && drops_from_request(name, false));
        }
        for name in [
            &b"x-geometry"[..],
            b"x-forwarded",
            b"accept",
            b"cookie",
            b"content-type",
            b"",
        ] {
            assert!(!drops_from_request(name, false));
        }
    }
}
