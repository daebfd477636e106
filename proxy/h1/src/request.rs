//! Request heads: RFC 9112 sections 2, 3 and 6.

use crate::fields::{ConnectionOptions, push_field};
use crate::framing::{FramingFault, FramingFields, Stated};
use crate::grammar::{TOKEN, all, header_eq, is, list};
use crate::host::{split_host_port, valid_host};
use crate::scan::{FirstLine, LineFault, Scan};
use crate::span::{FieldSpans, Framing, Limits, Span, Version};
use crate::target::{Target, parse_target};

/// Bytes of a method; the longest registered one has 17.
pub const METHOD_BYTES_MAX: usize = 32;

/// A complete request head. All spans point into the buffer it was parsed from.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// As sent: methods are case-sensitive.
    pub method: Span,
    /// As sent.
    pub target: Span,
    /// Version of the request line.
    pub version: Version,
    /// In the order sent.
    pub fields: FieldSpans,
    /// Bytes to drop from the front of the buffer; the body starts there.
    pub head_bytes: usize,
    /// Never [`Framing::UntilClose`].
    pub framing: Framing,
    /// Whether the client lets the connection serve another request.
    pub keep_alive: bool,
    /// Whether the client waits for a 100 response before it sends the body.
    pub expect_continue: bool,
    /// Whether an upgrade is asked for that may be passed on: not from HTTP/1.0, not with a body, not to
    /// h2c, another HTTP or TLS.
    pub upgrade: bool,
    /// The effective authority, valid by [`crate::valid_host`]: from an absolute target, else from `Host`.
    /// Missing only in HTTP/1.0.
    pub host: Option<Span>,
    /// Path and query, starting with `/`; or `*` for OPTIONS. An absolute target may lack the path: then only the
    /// query, if any.
    pub path: Span,
    /// What must go in front of `path` because the target lacks it: nothing, or `/`, or `*`.
    pub path_prefix: &'static [u8],
    /// Whether the target is absolute with the scheme `https`. Over cleartext such a request must be refused,
    /// unless a trusted gateway sends it (RFC 9110 section 7.4).
    pub https: bool,
}

/// Why a request is refused. The connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Length and coding fields contradict or repeat each other, or the length is no decimal number below 2^64.
    #[error("body framing is ambiguous: send one Content-Length or Transfer-Encoding: chunked")]
    AmbiguousFraming,
    /// The chunked body is malformed.
    #[error("chunked body is malformed")]
    BadChunk,
    /// An Expect other than `100-continue`.
    #[error("expectation is not supported: only 100-continue is")]
    BadExpectation,
    /// A malformed field line.
    #[error("field line is malformed")]
    BadField,
    /// More than one Host, an invalid one, or one that contradicts the target.
    #[error("Host is invalid or contradicts the target")]
    BadHost,
    /// The method is no token.
    #[error("method is not a token")]
    BadMethod,
    /// The request line has not three parts with one space between them.
    #[error("request line is malformed")]
    BadRequestLine,
    /// The target is malformed, or its form does not fit the method.
    #[error("request target is malformed")]
    BadTarget,
    /// The version is malformed.
    #[error("version is malformed: send HTTP/1.1")]
    BadVersion,
    /// The head is longer than `Limits::head_bytes_max`.
    #[error("request head is too large")]
    HeadTooLarge,
    /// CONNECT or TRACE.
    #[error("method is not allowed")]
    MethodNotAllowed,
    /// HTTP/1.1 without Host.
    #[error("Host is missing")]
    MissingHost,
    /// The target is longer than `Limits::target_bytes_max`.
    #[error("request target is too long")]
    TargetTooLong,
    /// More fields than `Limits::fields_max`.
    #[error("too many fields")]
    TooManyFields,
    /// A transfer coding other than chunked.
    #[error("transfer coding is not supported: only chunked is")]
    UnsupportedCoding,
    /// A well-formed version that is not 1.0 or 1.1.
    #[error("version is not supported: send HTTP/1.1")]
    UnsupportedVersion,
}

impl RequestError {
    /// A stable code for logs and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::AmbiguousFraming => "ambiguous_framing",
            Self::BadChunk => "bad_chunk",
            Self::BadExpectation => "bad_expectation",
            Self::BadField => "bad_field",
            Self::BadHost => "bad_host",
            Self::BadMethod => "bad_method",
            Self::BadRequestLine => "bad_request_line",
            Self::BadTarget => "bad_target",
            Self::BadVersion => "bad_version",
            Self::HeadTooLarge => "head_too_large",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::MissingHost => "missing_host",
            Self::TargetTooLong => "target_too_long",
            Self::TooManyFields => "too_many_fields",
            Self::UnsupportedCoding => "unsupported_coding",
            Self::UnsupportedVersion => "unsupported_version",
        }
    }

    /// The status to answer with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::BadExpectation => 417,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::MethodNotAllowed => 405,
            Self::TargetTooLong => 414,
            Self::UnsupportedCoding => 501,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }
}

impl From<crate::ChunkError> for RequestError {
    fn from(_: crate::ChunkError) -> Self {
        Self::BadChunk
    }
}

impl From<FramingFault> for RequestError {
    fn from(fault: FramingFault) -> Self {
        match fault {
            FramingFault::Ambiguous => Self::AmbiguousFraming,
            FramingFault::Unsupported => Self::UnsupportedCoding,
        }
    }
}

/// A parsed request line; spans are absolute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLine {
    method: Span,
    target: Span,
    version: Version,
    parts: Target,
}

/// Parses a request head at the front of `buf`; `None` when more bytes are needed.
///
/// # Errors
/// [`RequestError`] as soon as the first faulty line is complete.
pub fn parse_request(buf: &[u8], limits: &Limits) -> Result<Option<RequestHead>, RequestError> {
    parse_request_from(buf, limits, &mut Scan::default())
}

/// As [`parse_request`], going on where the call before stopped: each line is read once.
///
/// # Errors
/// As [`parse_request`].
pub fn parse_request_from(
    buf: &[u8],
    limits: &Limits,
    scan: &mut Scan,
) -> Result<Option<RequestHead>, RequestError> {
    if !scan.started && !start(buf, scan)? {
        return Ok(None);
    }
    loop {
        let next = scan.next_line(buf, limits.head_bytes_max);
        let FirstLine::Request(line) = scan.first_line else {
            let Some((start, end)) = next.map_err(first_line_fault)? else {
                return Ok(None);
            };
            scan.first_line = FirstLine::Request(parse_line(buf, start, end, limits)?);
            continue;
        };
        let Some((start, end)) = next.map_err(field_line_fault)? else {
            return Ok(None);
        };
        if start == end {
            let head_bytes = scan.line_start();
            let fields = std::mem::take(scan).fields;
            return finish(buf, line, fields, head_bytes).map(Some);
        }
        if scan.fields.len() >= limits.fields_max {
            return Err(RequestError::TooManyFields);
        }
        if !push_field(&mut scan.fields, buf, start, end) {
            return Err(RequestError::BadField);
        }
    }
}

/// Steps over one empty line (RFC 9112 section 2.2) and looks at the first byte, so that other protocols are
/// refused before a line end comes. False: more bytes are needed.
fn start(buf: &[u8], scan: &mut Scan) -> Result<bool, RequestError> {
    let (skip, first) = match buf {
        [] | [b'\r'] | [b'\r', b'\n'] => return Ok(false),
        [b'\r', b'\n', first, ..] => (2, *first),
        [first, ..] => (0, *first),
    };
    if first == b'\r' || first == b'\n' {
        return Err(RequestError::BadRequestLine);
    }
    if !is(first, TOKEN) {
        return Err(RequestError::BadMethod);
    }
    scan.skip_to(skip);
    scan.started = true;
    Ok(true)
}

fn first_line_fault(fault: LineFault) -> RequestError {
    match fault {
        LineFault::BareLineEnd => RequestError::BadRequestLine,
        LineFault::TooLarge => RequestError::TargetTooLong,
    }
}

fn field_line_fault(fault: LineFault) -> RequestError {
    match fault {
        LineFault::BareLineEnd => RequestError::BadField,
        LineFault::TooLarge => RequestError::HeadTooLarge,
    }
}

fn parse_line(buf: &[u8], start: usize, end: usize, limits: &Limits) -> Result<RequestLine, RequestError> {
    let line = buf.get(start..end).unwrap_or_default();
    let method_end = memchr::memchr(b' ', line).ok_or(RequestError::BadRequestLine)?;
    let method = line.get(..method_end).unwrap_or_default();
    if method.is_empty() || method.len() > METHOD_BYTES_MAX || !all(method, TOKEN) {
        return Err(RequestError::BadMethod);
    }
    let rest = line.get(method_end + 1..).unwrap_or_default();
    // The last space: one within the target is then named as what it is.
    let target_len = memchr::memrchr(b' ', rest).ok_or(RequestError::BadRequestLine)?;
    let target = rest.get(..target_len).unwrap_or_default();
    let version = parse_version(rest.get(target_len + 1..).unwrap_or_default())?;
    // Without regard to case: an origin may be less strict about it.
    if header_eq(method, b"CONNECT") || header_eq(method, b"TRACE") {
        return Err(RequestError::MethodNotAllowed);
    }
    if target.len() > limits.target_bytes_max {
        return Err(RequestError::TargetTooLong);
    }
    let mut parts = parse_target(target, method).ok_or(RequestError::BadTarget)?;
    let at = start + method_end + 1;
    parts.path = parts.path.shifted(at);
    parts.authority = parts.authority.map(|a| a.shifted(at));
    Ok(RequestLine {
        method: Span::new(start, start + method_end),
        target: Span::new(at, at + target_len),
        version,
        parts,
    })
}

fn parse_version(version: &[u8]) -> Result<Version, RequestError> {
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        b"HTTP/0.9" => Err(RequestError::BadVersion),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(RequestError::UnsupportedVersion)
        }
        _ => Err(RequestError::BadVersion),
    }
}

/// What the fields of a request say about the message and the connection.
#[derive(Default)]
struct Meaning {
    framing: FramingFields,
    connection: ConnectionOptions,
    host: Option<Span>,
    expect_continue: bool,
    upgrade: bool,
    /// A protocol of the list would carry HTTP again, past every check.
    upgrade_to_http: bool,
}

fn read_fields(buf: &[u8], version: Version, fields: &FieldSpans) -> Result<Meaning, RequestError> {
    let mut meaning = Meaning::default();
    for field in fields {
        let name = field.name.of(buf);
        let value = field.value.of(buf);
        match name.len() {
            4 if header_eq(name, b"host") => {
                let second = meaning.host.replace(field.value).is_some();
                ensure(!second && valid_host(value), RequestError::BadHost)?;
            }
            6 if header_eq(name, b"expect") && version == Version::Http11 => {
                ensure(header_eq(value, b"100-continue"), RequestError::BadExpectation)?;
                meaning.expect_continue = true;
            }
            7 if header_eq(name, b"upgrade") => {
                meaning.upgrade = true;
                meaning.upgrade_to_http |= list(value).any(names_http_or_tls);
            }
            10 if header_eq(name, b"connection") => {
                ensure(meaning.connection.add(value), RequestError::BadField)?;
            }
            14 if header_eq(name, b"content-length") => meaning.framing.content_length(value),
            17 if header_eq(name, b"transfer-encoding") => meaning.framing.transfer_encoding(value),
            _ => {}
        }
    }
    Ok(meaning)
}

/// Whether an element of `Upgrade`, with or without a version, is HTTP in some version or TLS (RFC 2817).
fn names_http_or_tls(protocol: &[u8]) -> bool {
    let name = protocol.split(|&b| b == b'/').next().unwrap_or_default();
    let known: [&[u8]; 4] = [b"h2c", b"h2", b"http", b"tls"];
    known.iter().any(|k| header_eq(k, name.trim_ascii()))
}

fn ensure(holds: bool, otherwise: RequestError) -> Result<(), RequestError> {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn finish(
    buf: &[u8],
    line: RequestLine,
    fields: FieldSpans,
    head_bytes: usize,
) -> Result<RequestHead, RequestError> {
    let meaning = read_fields(buf, line.version, &fields)?;
    let framing = match meaning.framing.resolve(line.version)? {
        Stated::Nothing => Framing::None,
        Stated::Length(length) => Framing::Length(length),
        Stated::Chunked => Framing::Chunked,
    };
    let has_body = !matches!(framing, Framing::None | Framing::Length(0));
    let http11 = line.version == Version::Http11;
    let connection = meaning.connection;
    Ok(RequestHead {
        method: line.method,
        target: line.target,
        version: line.version,
        fields,
        head_bytes,
        framing,
        keep_alive: !connection.close && (http11 || connection.keep_alive),
        expect_continue: meaning.expect_continue,
        upgrade: http11 && connection.upgrade && meaning.upgrade && !meaning.upgrade_to_http && !has_body,
        host: effective_host(buf, &line, meaning.host)?,
        path: line.parts.path,
        path_prefix: line.parts.path_prefix,
        https: line.parts.https,
    })
}

fn effective_host(buf: &[u8], line: &RequestLine, host: Option<Span>) -> Result<Option<Span>, RequestError> {
    if host.is_none() && line.version == Version::Http11 {
        return Err(RequestError::MissingHost);
    }
    let Some(authority) = line.parts.authority else {
        return Ok(host);
    };
    if let Some(host) = host {
        let default_port = if line.parts.https { 443 } else { 80 };
        let split = |span: Span| {
            split_host_port(span.of(buf)).map(|(name, port)| (name, port.unwrap_or(default_port)))
        };
        let agree = match (split(host), split(authority)) {
            (Some((a, a_port)), Some((b, b_port))) => header_eq(a, b) && a_port == b_port,
            _ => false,
        };
        if !agree {
            return Err(RequestError::BadHost);
        }
    }
    Ok(Some(authority))
}
