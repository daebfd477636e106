//! Response heads: RFC 9112 sections 4 and 6.

use crate::fields::{ConnectionOptions, push_field};
use crate::framing::{FramingFault, FramingFields, Stated};
use crate::grammar::{header_eq, valid_field_value};
use crate::scan::{FirstLine, LineFault, Scan};
use crate::span::{FieldSpans, Framing, Limits, Span, Version};

/// A complete response head. All spans point into the buffer it was parsed from.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// 100 to 599.
    pub status: u16,
    /// May be empty.
    pub reason: Span,
    /// Version of the status line.
    pub version: Version,
    /// In the order sent.
    pub fields: FieldSpans,
    /// Bytes to drop from the front of the buffer; the body starts there.
    pub head_bytes: usize,
    /// [`Framing::None`] for answers to HEAD and for 1xx, 204 and 304, whatever their fields say.
    pub framing: Framing,
    /// Whether the connection can serve another request after the body. False too when a response that must
    /// not have a body announces one: the bytes that follow could be taken for the next response.
    pub keep_alive: bool,
}

/// Why a response is refused. The connection cannot be used any more; clients get a 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Length and coding fields contradict or repeat each other, or the length is no decimal number below 2^64.
    #[error("body framing of the response is ambiguous")]
    AmbiguousFraming,
    /// The chunked body is malformed.
    #[error("chunked body of the response is malformed")]
    BadChunk,
    /// A malformed field line.
    #[error("field line of the response is malformed")]
    BadField,
    /// Not `HTTP/1.x`, a space, three digits from 100 to 599, and a reason or nothing.
    #[error("status line is malformed")]
    BadStatusLine,
    /// The version is not 1.0 or 1.1.
    #[error("version of the response is not supported")]
    BadVersion,
    /// The head is longer than `Limits::head_bytes_max`.
    #[error("response head is too large")]
    HeadTooLarge,
    /// More fields than `Limits::fields_max`.
    #[error("response has too many fields")]
    TooManyFields,
    /// A transfer coding other than chunked.
    #[error("transfer coding of the response is not supported")]
    UnsupportedCoding,
}

impl ResponseError {
    /// A stable code for logs and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AmbiguousFraming => "ambiguous_framing",
            Self::BadChunk => "bad_chunk",
            Self::BadField => "bad_field",
            Self::BadStatusLine => "bad_status_line",
            Self::BadVersion => "bad_version",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::UnsupportedCoding => "unsupported_coding",
        }
    }

    /// The status to answer the client with: always 502.
    #[must_use]
    pub fn status(&self) -> u16 {
        502
    }
}

impl From<crate::ChunkError> for ResponseError {
    fn from(_: crate::ChunkError) -> Self {
        Self::BadChunk
    }
}

impl From<FramingFault> for ResponseError {
    fn from(fault: FramingFault) -> Self {
        match fault {
            FramingFault::Ambiguous => Self::AmbiguousFraming,
            FramingFault::Unsupported => Self::UnsupportedCoding,
        }
    }
}

/// A parsed status line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusLine {
    status: u16,
    reason: Span,
    version: Version,
}

/// Parses a response head at the front of `buf`, the answer to a request with `request_method`; `None` when
/// more bytes are needed. Interim responses (1xx) are heads of their own.
///
/// # Errors
/// [`ResponseError`] as soon as the first faulty line is complete.
pub fn parse_response(
    buf: &[u8],
    limits: &Limits,
    request_method: &[u8],
) -> Result<Option<ResponseHead>, ResponseError> {
    parse_response_from(buf, limits, request_method, &mut Scan::default())
}

/// As [`parse_response`], going on where the call before stopped: each line is read once.
///
/// # Errors
/// As [`parse_response`].
pub fn parse_response_from(
    buf: &[u8],
    limits: &Limits,
    request_method: &[u8],
    scan: &mut Scan,
) -> Result<Option<ResponseHead>, ResponseError> {
    loop {
        let next = scan.next_line(buf, limits.head_bytes_max);
        let FirstLine::Status(line) = scan.first_line else {
            let Some((start, end)) = next.map_err(|f| line_fault(f, ResponseError::BadStatusLine))? else {
                return Ok(None);
            };
            scan.first_line = FirstLine::Status(parse_line(buf, start, end)?);
            continue;
        };
        let Some((start, end)) = next.map_err(|f| line_fault(f, ResponseError::BadField))? else {
            return Ok(None);
        };
        if start == end {
            let head_bytes = scan.line_start();
            let fields = std::mem::take(scan).fields;
            return finish(buf, line, fields, head_bytes, request_method).map(Some);
        }
        if scan.fields.len() >= limits.fields_max {
            return Err(ResponseError::TooManyFields);
        }
        if !push_field(&mut scan.fields, buf, start, end) {
            return Err(ResponseError::BadField);
        }
    }
}

fn line_fault(fault: LineFault, bare: ResponseError) -> ResponseError {
    match fault {
        LineFault::BareLineEnd => bare,
        LineFault::TooLarge => ResponseError::HeadTooLarge,
    }
}

fn parse_line(buf: &[u8], start: usize, end: usize) -> Result<StatusLine, ResponseError> {
    let line = buf.get(start..end).unwrap_or_default();
    let (version, rest) = match line.split_at_checked(8) {
        Some((b"HTTP/1.1", rest)) => (Version::Http11, rest),
        Some((b"HTTP/1.0", rest)) => (Version::Http10, rest),
        Some(([b'H', b'T', b'T', b'P', b'/', ..], _)) => return Err(ResponseError::BadVersion),
        _ => return Err(ResponseError::BadStatusLine),
    };
    let (&[space, a, b, c], reason) = rest.split_first_chunk().ok_or(ResponseError::BadStatusLine)?;
    let digits = [a, b, c];
    if space != b' ' || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ResponseError::BadStatusLine);
    }
    let status = digits.iter().fold(0_u16, |n, d| n * 10 + u16::from(d - b'0'));
    if !(100..=599).contains(&status) {
        return Err(ResponseError::BadStatusLine);
    }
    let reason = match reason {
        [] => Span::new(end, end),
        [b' ', text @ ..] if valid_field_value(text) => Span::new(end - text.len(), end),
        _ => return Err(ResponseError::BadStatusLine),
    };
    Ok(StatusLine {
        status,
        reason,
        version,
    })
}

fn finish(
    buf: &[u8],
    line: StatusLine,
    fields: FieldSpans,
    head_bytes: usize,
    request_method: &[u8],
) -> Result<ResponseHead, ResponseError> {
    let mut stated = FramingFields::default();
    let mut connection = ConnectionOptions::default();
    for field in &fields {
        let name = field.name.of(buf);
        let value = field.value.of(buf);
        match name.len() {
            10 if header_eq(name, b"connection") => {
                connection
                    .add(value)
                    .then_some(())
                    .ok_or(ResponseError::BadField)?;
            }
            14 if header_eq(name, b"content-length") => stated.content_length(value),
            17 if header_eq(name, b"transfer-encoding") => stated.transfer_encoding(value),
            _ => {}
        }
    }
    let stated = stated.resolve(line.version)?;
    let framing = body_framing(line.status, request_method, stated);
    let never_has_body = matches!(line.status, 100..=199 | 204);
    let surplus = never_has_body && !matches!(stated, Stated::Nothing | Stated::Length(0));
    let persistent = line.version == Version::Http11 || connection.keep_alive;
    Ok(ResponseHead {
        status: line.status,
        reason: line.reason,
        version: line.version,
        fields,
        head_bytes,
        framing,
        keep_alive: persistent && !connection.close && !surplus && framing != Framing::UntilClose,
    })
}

/// RFC 9112 section 6.3, in its order.
fn body_framing(status: u16, request_method: &[u8], stated: Stated) -> Framing {
    let tunnel = request_method == b"CONNECT" && (200..=299).contains(&status);
    if request_method == b"HEAD" || tunnel || matches!(status, 100..=199 | 204 | 304) {
        return Framing::None;
    }
    match stated {
        Stated::Chunked => Framing::Chunked,
        Stated::Length(length) => Framing::Length(length),
        Stated::Nothing => Framing::UntilClose,
    }
}
