//! Field lines (RFC 9112 section 5) and the fields that concern one connection (RFC 9110 section 7.6.1).

use crate::grammar::{header_eq, list, trim_ows, valid_field_name, valid_field_value};
use crate::span::{FieldSpan, FieldSpans, Span};

/// Fields that a head has room for from the start.
const FIELDS_USUAL: usize = 16;

/// Parses one field line without its CRLF; spans are relative to `line`. `None` when it is malformed:
/// a folded line, no colon, white space before the colon, a name that is no token, control bytes.
pub(crate) fn parse_field(line: &[u8]) -> Option<FieldSpan> {
    let colon = memchr::memchr(b':', line)?;
    let name = line.get(..colon)?;
    let rest = line.get(colon + 1..)?;
    if !valid_field_name(name) || !valid_field_value(rest) {
        return None;
    }
    let value = trim_ows(rest);
    // An all-blank value trims to nothing wherever it is taken to start.
    let lead = rest.iter().take_while(|&&b| b == b' ' || b == b'\t').count();
    let start = colon + 1 + lead;
    Some(FieldSpan {
        name: Span::new(0, colon),
        value: Span::new(start, start + value.len()),
    })
}

/// Appends the field line at `start..end` of `buf`. False when it is malformed.
pub(crate) fn push_field(fields: &mut FieldSpans, buf: &[u8], start: usize, end: usize) -> bool {
    let Some(field) = buf.get(start..end).and_then(parse_field) else {
        return false;
    };
    if fields.is_empty() {
        // One allocation for nearly every head; without it growing takes three.
        fields.reserve(FIELDS_USUAL);
    }
    fields.push(FieldSpan {
        name: field.name.shifted(start),
        value: field.value.shifted(start),
    });
    true
}

/// Whether a field concerns one connection only and must not be forwarded: the list of RFC 9110 section
/// 7.6.1 with `Trailer`, and `HTTP2-Settings`, which belongs to an upgrade that is never passed on.
#[must_use]
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    let known: &[&[u8]] = match name.len() {
        2 => &[b"te"],
        7 => &[b"upgrade", b"trailer"],
        10 => &[b"connection", b"keep-alive"],
        14 => &[b"http2-settings"],
        16 => &[b"proxy-connection"],
        17 => &[b"transfer-encoding"],
        _ => return false,
    };
    known.iter().any(|k| header_eq(k, name))
}

/// What the `Connection` fields of a head say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionOptions {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
}

impl ConnectionOptions {
    /// Adds one `Connection` value. False when it has something else than tokens in it, or names a field
    /// without which the message would mean something else.
    pub(crate) fn add(&mut self, value: &[u8]) -> bool {
        for option in list(value) {
            match option.len() {
                0 => {}
                5 if header_eq(option, b"close") => self.close = true,
                7 if header_eq(option, b"upgrade") => self.upgrade = true,
                10 if header_eq(option, b"keep-alive") => self.keep_alive = true,
                4 if header_eq(option, b"host") => return false,
                14 if header_eq(option, b"content-length") => return false,
                17 if header_eq(option, b"transfer-encoding") => return false,
                _ if !valid_field_name(option) => return false,
                _ => {}
            }
        }
        true
    }
}
