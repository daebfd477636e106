//! Which fields may stand in a trailer section: RFC 9110 section 6.5.1. The same for every version of HTTP.

use crate::fields::is_hop_by_hop;
use crate::grammar::header_eq;

/// Fields that say how to route or frame a message: as a trailer, an attempt at confusion.
const REFUSED: [&[u8]; 4] = [b"content-length", b"host", b"trailer", b"transfer-encoding"];

/// Fields that must be known before the body, or that authenticate or control (RFC 9110 section 6.5.1).
const DROPPED: [&[u8]; 21] = [
    b"age",
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"forwarded",
    b"location",
    b"max-forwards",
    b"pragma",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"range",
    b"retry-after",
    b"set-cookie",
    b"vary",
    b"www-authenticate",
];

/// What to do with a field of a trailer section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailerRule {
    /// Leave it out.
    Drop,
    /// Pass it on.
    Keep,
    /// Refuse the message: somebody tries to confuse.
    Refuse,
}

/// The rule for a trailer field of this name.
#[must_use]
pub fn trailer_rule(name: &[u8]) -> TrailerRule {
    if REFUSED.iter().any(|refused| header_eq(refused, name)) {
        return TrailerRule::Refuse;
    }
    let forwarded = name
        .get(..11)
        .is_some_and(|prefix| header_eq(prefix, b"x-forwarded"));
    let condition = name.get(..3).is_some_and(|prefix| header_eq(prefix, b"if-"));
    let dropped = DROPPED.iter().any(|dropped| header_eq(dropped, name));
    if dropped || forwarded || condition || is_hop_by_hop(name) {
        TrailerRule::Drop
    } else {
        TrailerRule::Keep
    }
}
