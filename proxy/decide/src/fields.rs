//! Which header fields are for one hop only, and which a client may not bring.

use crate::Field;

/// Fields of one connection, RFC 9110 section 7.6.1 and RFC 7540 section 3.2.1, and credentials meant for a proxy (section 11.7.1).
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

/// Whether a field ends at this hop whatever `Connection` says.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    HOP_BY_HOP.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a `Connection` line names this field.
pub fn is_nominated(fields: &[Field<'_>], name: &[u8]) -> bool {
    fields
        .iter()
        .filter(|(field, _)| field.eq_ignore_ascii_case(b"connection"))
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .any(|token| token.trim_ascii().eq_ignore_ascii_case(name))
}

/// Whether a field of a client's request is dropped because only Weir or a trusted proxy may set it.
///
/// `_` counts as `-`: origins that follow CGI cannot tell the two apart.
pub fn strip_inbound(name: &[u8], peer_trusted: bool) -> bool {
    let starts = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|head| same(head, prefix));
    if starts(b"x-weir-") || starts(b"x-geo-") {
        return true;
    }
    // With a dash these say where the body ends; with another byte in its place they can only be meant to mislead.
    if same(name, b"content-length") || same(name, b"transfer-encoding") {
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
        assert!(
            is_hop_by_hop(b"Transfer-Encoding") && is_hop_by_hop(b"TE") && is_hop_by_hop(b"Proxy-Connection")
        );
        assert!(!is_hop_by_hop(b"content-length") && !is_hop_by_hop(b"trailer") && !is_hop_by_hop(b""));
    }

    #[test]
    fn connection_nominates_over_all_lines() {
        let fields: Vec<Field<'_>> = vec![(b"Connection", b"close, X-One"), (b"connection", b"x-two ,")];
        assert!(is_nominated(&fields, b"x-one") && is_nominated(&fields, b"X-Two"));
        assert!(!is_nominated(&fields, b"x-three"));
    }

    #[test]
    fn own_fields_never_come_from_outside() {
        for name in [&b"X-Geo-Country"[..], b"x_geo_country", b"X-Weir-Tenant"] {
            assert!(strip_inbound(name, true) && strip_inbound(name, false));
        }
        for name in [&b"Content_Length"[..], b"transfer_encoding", b"Transfer_Encoding"] {
            assert!(strip_inbound(name, true) && strip_inbound(name, false));
        }
        for name in [
            &b"X-Forwarded-Proto"[..],
            b"x_forwarded_for",
            b"Forwarded",
            b"X-Real-IP",
        ] {
            assert!(!strip_inbound(name, true) && strip_inbound(name, false));
        }
        assert!(!strip_inbound(b"x-geometry", false) && !strip_inbound(b"x-forwarded", false));
    }
}
