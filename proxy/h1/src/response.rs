//! Response heads (RFC 9112 sections 4 and 6). An origin is not trusted more than a client.

use crate::fields::{
    FieldSpans, Span, connection_options, head_length, header_eq, is_value, lengths, parse_fields,
};
use crate::request::{Framing, Limits, Version};

/// A response head; spans point into the bytes it was parsed from.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// Status, 100 to 599.
    pub status: u16,
    /// Reason phrase.
    pub reason: Span,
    /// Version.
    pub version: Version,
    /// Field lines.
    pub fields: FieldSpans,
    /// Bytes of the head, the empty line included.
    pub head_bytes: usize,
    /// How the body is delimited.
    pub framing: Framing,
    /// The connection may carry another request.
    pub keep_alive: bool,
}

/// Why bytes are no response that is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// RFC 9112 section 6.3.
    #[error("the length of the body is ambiguous")]
    AmbiguousFraming,
    /// RFC 9112 section 5.
    #[error("a field line is malformed, or there are too many")]
    BadField,
    /// RFC 9112 section 4.
    #[error("the status line is malformed")]
    BadStatusLine,
    /// Larger than the limit.
    #[error("the head is too large")]
    HeadTooLarge,
}

/// Parses the head at the start of `buf`; `None` when more bytes are needed.
///
/// # Errors
/// Why it is no response. The connection must be closed then.
pub fn parse_response(
    buf: &[u8],
    limits: &Limits,
    method: &[u8],
) -> Result<Option<ResponseHead>, ResponseError> {
    let Some(head_bytes) = head_length(buf) else {
        let begins = buf.iter().zip(b"HTTP/1.").all(|(a, b)| a == b);
        return match (begins, buf.len() >= limits.head_bytes_max) {
            (false, _) => Err(ResponseError::BadStatusLine),
            (true, true) => Err(ResponseError::HeadTooLarge),
            (true, false) => Ok(None),
        };
    };
    if head_bytes > limits.head_bytes_max {
        return Err(ResponseError::HeadTooLarge);
    }
    let head = buf.get(..head_bytes).ok_or(ResponseError::BadStatusLine)?;
    let line_end = memchr::memchr2(b'\r', b'\n', head).ok_or(ResponseError::BadStatusLine)?;
    if head.get(line_end..line_end + 2) != Some(b"\r\n") {
        return Err(ResponseError::BadStatusLine);
    }
    let line = head.get(..line_end).unwrap_or_default();
    let version = match line.get(..9) {
        Some(b"HTTP/1.1 ") => Version::Http11,
        Some(b"HTTP/1.0 ") => Version::Http10,
        _ => return Err(ResponseError::BadStatusLine),
    };
    let status = match line.get(9..12) {
        Some([hundreds @ b'1'..=b'5', tens, ones]) if tens.is_ascii_digit() && ones.is_ascii_digit() => {
            u16::from(hundreds - b'0') * 100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0')
        }
        _ => return Err(ResponseError::BadStatusLine),
    };
    let reason = match line.get(12) {
        None => Span::new(line_end, line_end),
        Some(b' ') if is_value(line.get(13..).unwrap_or_default()) => Span::new(13, line_end),
        Some(_) => return Err(ResponseError::BadStatusLine),
    };
    let fields = parse_fields(head, line_end + 2, limits.fields_max).map_err(|_| ResponseError::BadField)?;
    let http10 = version == Version::Http10;
    let found = lengths(&fields, head, http10).map_err(|_| ResponseError::AmbiguousFraming)?;
    let empty = status < 200 || matches!(status, 204 | 304) || method == b"HEAD";
    let framing = match (empty, found.chunked, found.length) {
        (true, _, _) => Framing::None,
        (_, true, _) => Framing::Chunked,
        (_, _, Some(length)) => Framing::Length(length),
        _ => Framing::UntilClose,
    };
    let option = |name: &[u8]| connection_options(&fields, head).any(|option| header_eq(option, name));
    let keep_alive = if http10 {
        option(b"keep-alive")
    } else {
        !option(b"close")
    };
    Ok(Some(ResponseHead {
        status,
        reason,
        version,
        fields,
        head_bytes,
        framing,
        keep_alive,
    }))
}
