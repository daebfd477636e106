//! Request heads (RFC 9112 sections 2 to 3, 6).

use crate::fields::{
    FieldFault, FieldSpans, LengthFault, Span, connection_options, head_length, header_eq, is_token, lengths,
    parse_fields, values,
};
use crate::host::valid_host;

/// Bounds of a head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes from the first to the empty line.
    pub head_bytes_max: usize,
    /// Field lines.
    pub fields_max: usize,
    /// Bytes of the target; requests only.
    pub target_bytes_max: usize,
}

/// Protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How a body is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
    /// Until the connection closes; responses only.
    UntilClose,
}

/// A request head; spans point into the bytes it was parsed from.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// Method, case as sent.
    pub method: Span,
    /// Target as sent.
    pub target: Span,
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
    /// The client waits for `100 Continue`.
    pub expect_continue: bool,
    /// The client asks for another protocol that may be passed on (not h2c).
    pub upgrade: bool,
    /// The effective authority: of an absolute target, else Host.
    pub host: Option<Span>,
    /// Path and query, or `*`.
    pub path: Span,
}

/// Why bytes are no request that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// RFC 9112 section 6.3.
    #[error("the length of the body is ambiguous")]
    AmbiguousFraming,
    /// RFC 9110 section 10.1.1.
    #[error("the expectation is not supported")]
    BadExpectation,
    /// RFC 9112 section 5.
    #[error("a field line is malformed")]
    BadField,
    /// RFC 9112 section 3.2.
    #[error("the Host field is not valid")]
    BadHost,
    /// RFC 9112 section 3.1.
    #[error("the method is not a token")]
    BadMethod,
    /// RFC 9112 section 3.
    #[error("the request line is malformed")]
    BadRequestLine,
    /// RFC 9112 section 3.2.
    #[error("the target is not valid")]
    BadTarget,
    /// RFC 9112 section 2.3.
    #[error("the version is malformed")]
    BadVersion,
    /// RFC 6585 section 5.
    #[error("the head is too large")]
    HeadTooLarge,
    /// CONNECT and TRACE are not passed on.
    #[error("the method is not allowed")]
    MethodNotAllowed,
    /// RFC 9112 section 3.2.
    #[error("there is no Host field")]
    MissingHost,
    /// RFC 9110 section 15.5.15.
    #[error("the target is too long")]
    TargetTooLong,
    /// RFC 6585 section 5.
    #[error("there are too many field lines")]
    TooManyFields,
    /// RFC 9112 section 6.1.
    #[error("the transfer coding is not supported")]
    UnsupportedCoding,
    /// RFC 9110 section 15.6.6.
    #[error("the version is not supported")]
    UnsupportedVersion,
}

impl RequestError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AmbiguousFraming => "ambiguous_framing",
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
    pub const fn status(&self) -> u16 {
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

/// Parses the head at the start of `buf`; `None` when more bytes are needed.
///
/// # Errors
/// Why it is no request that is served. The connection must be closed then.
pub fn parse_request(buf: &[u8], limits: &Limits) -> Result<Option<RequestHead>, RequestError> {
    // One empty line in front is tolerated (RFC 9112 section 2.2).
    let lead = if buf.starts_with(b"\r\n") { 2 } else { 0 };
    let Some(head_bytes) = head_length(buf.get(lead..).unwrap_or_default()).map(|length| length + lead)
    else {
        return incomplete(buf.get(lead..).unwrap_or_default(), limits);
    };
    let line_end = first_line(buf, lead, head_bytes)?;
    let line = parse_line(buf, lead, line_end, limits)?;
    if head_bytes > limits.head_bytes_max {
        return Err(RequestError::HeadTooLarge);
    }
    let head = buf.get(..head_bytes).ok_or(RequestError::BadRequestLine)?;
    let fields = parse_fields(head, line_end + 2, limits.fields_max).map_err(|fault| match fault {
        FieldFault::Bad => RequestError::BadField,
        FieldFault::TooMany => RequestError::TooManyFields,
    })?;
    finish(head, line, fields).map(Some)
}

/// What can be said of a head that has not ended: faults that no further byte can mend.
fn incomplete(buf: &[u8], limits: &Limits) -> Result<Option<RequestHead>, RequestError> {
    let line = buf.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.len() < buf.len() {
        let line = line.strip_suffix(b"\r").ok_or(RequestError::BadRequestLine)?;
        parse_line(line, 0, line.len(), limits)?;
        let bare = memchr::memchr_iter(b'\n', buf).any(|at| at == 0 || buf.get(at - 1) != Some(&b'\r'));
        if bare {
            return Err(RequestError::BadField);
        }
    } else {
        let method = buf.iter().take_while(|byte| **byte != b' ').count();
        let method = buf.get(..method).unwrap_or_default();
        if !method.is_empty() && !is_token(method) && !(buf == b"\r") || method.len() > 64 {
            return Err(RequestError::BadMethod);
        }
        if buf.len() > limits.target_bytes_max.saturating_add(128) {
            return Err(RequestError::TargetTooLong);
        }
    }
    if buf.len() >= limits.head_bytes_max {
        return Err(RequestError::HeadTooLarge);
    }
    Ok(None)
}

fn first_line(buf: &[u8], lead: usize, head_bytes: usize) -> Result<usize, RequestError> {
    let head = buf.get(lead..head_bytes).ok_or(RequestError::BadRequestLine)?;
    let end = memchr::memchr2(b'\r', b'\n', head).ok_or(RequestError::BadRequestLine)?;
    if head.get(end..end + 2) == Some(b"\r\n") {
        Ok(lead + end)
    } else {
        Err(RequestError::BadRequestLine)
    }
}

struct Line {
    method: Span,
    target: Span,
    version: Version,
}

fn parse_line(buf: &[u8], start: usize, end: usize, limits: &Limits) -> Result<Line, RequestError> {
    let line = buf.get(start..end).ok_or(RequestError::BadRequestLine)?;
    let first = memchr::memchr(b' ', line).ok_or(RequestError::BadRequestLine)?;
    let last = memchr::memrchr(b' ', line)
        .filter(|last| *last > first)
        .ok_or(RequestError::BadRequestLine)?;
    let (method, target) = (
        line.get(..first).unwrap_or_default(),
        line.get(first + 1..last).unwrap_or_default(),
    );
    if !is_token(method) || method.len() > 64 {
        return Err(RequestError::BadMethod);
    }
    if target.len() > limits.target_bytes_max {
        return Err(RequestError::TargetTooLong);
    }
    let version = match line.get(last + 1..).unwrap_or_default() {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', minor] if minor.is_ascii_digit() => {
            return Err(RequestError::UnsupportedVersion);
        }
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => {
            return Err(RequestError::UnsupportedVersion);
        }
        _ => return Err(RequestError::BadVersion),
    };
    Ok(Line {
        method: Span::new(start, start + first),
        target: Span::new(start + first + 1, start + last),
        version,
    })
}

/// Bytes of a path and query. Browsers send some that RFC 3986 excludes unencoded in queries: those pass there.
fn valid_path(path: &[u8]) -> bool {
    let mut query = false;
    path.iter().all(|byte| match byte {
        b'?' => {
            query = true;
            true
        }
        b'|' | b'{' | b'}' | b'^' | b'`' | b'[' | b']' => query || matches!(byte, b'[' | b']' | b'|'),
        b'"' | b'<' | b'>' | b'\\' | b'#' => false,
        byte => (0x21..0x7f).contains(byte),
    })
}

/// Path and authority of a target (RFC 9112 section 3.2).
fn parse_target(buf: &[u8], method: &[u8], target: Span) -> Result<(Span, Option<Span>), RequestError> {
    let bytes = target.of(buf);
    if bytes.first() == Some(&b'/') {
        return if valid_path(bytes) {
            Ok((target, None))
        } else {
            Err(RequestError::BadTarget)
        };
    }
    if bytes == b"*" {
        return if method == b"OPTIONS" {
            Ok((target, None))
        } else {
            Err(RequestError::BadTarget)
        };
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| {
            bytes
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
        .ok_or(RequestError::BadTarget)?;
    let rest = bytes.get(scheme.len()..).unwrap_or_default();
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let start = target.start as usize + scheme.len();
    let authority = Span::new(start, start + end);
    let path = Span::new(start + end, target.end as usize);
    // An authority without a path stands for `/`, which is not in the bytes: it is refused rather than made up.
    let path_bytes = path.of(buf);
    if !valid_host(authority.of(buf)) || path_bytes.first() != Some(&b'/') || !valid_path(path_bytes) {
        return Err(RequestError::BadTarget);
    }
    Ok((path, Some(authority)))
}

fn finish(head: &[u8], line: Line, fields: FieldSpans) -> Result<RequestHead, RequestError> {
    let method = line.method.of(head);
    if matches!(method, b"CONNECT" | b"TRACE") {
        return Err(RequestError::MethodNotAllowed);
    }
    let http10 = line.version == Version::Http10;
    let (path, authority) = parse_target(head, method, line.target)?;
    let host = effective_host(head, &fields, authority, http10)?;
    let found = lengths(&fields, head, http10).map_err(|fault| match fault {
        LengthFault::Ambiguous => RequestError::AmbiguousFraming,
        LengthFault::Coding => RequestError::UnsupportedCoding,
    })?;
    let framing = match (found.chunked, found.length) {
        (true, _) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::None,
    };
    let mut expect_continue = false;
    for value in values(&fields, head, b"expect") {
        if !header_eq(value, b"100-continue") {
            return Err(RequestError::BadExpectation);
        }
        expect_continue = !http10;
    }
    let option = |name: &[u8]| connection_options(&fields, head).any(|option| header_eq(option, name));
    let h2c = values(&fields, head, b"upgrade")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|protocol| header_eq(protocol.trim_ascii(), b"h2c"));
    let asked = values(&fields, head, b"upgrade").next().is_some();
    let upgrade = !http10 && asked && !h2c && option(b"upgrade");
    let keep_alive = if http10 {
        option(b"keep-alive") && !option(b"close")
    } else {
        !option(b"close")
    };
    Ok(RequestHead {
        method: line.method,
        target: line.target,
        version: line.version,
        head_bytes: head.len(),
        framing,
        keep_alive,
        expect_continue,
        upgrade,
        host,
        path,
        fields,
    })
}

fn effective_host(
    head: &[u8],
    fields: &FieldSpans,
    authority: Option<Span>,
    http10: bool,
) -> Result<Option<Span>, RequestError> {
    let mut hosts = fields
        .iter()
        .filter(|field| header_eq(field.name.of(head), b"host"));
    let host = hosts.next().map(|field| field.value);
    if hosts.next().is_some() {
        return Err(RequestError::BadHost);
    }
    match host {
        None if !http10 => return Err(RequestError::MissingHost),
        Some(host) if !valid_host(host.of(head)) => return Err(RequestError::BadHost),
        _ => {}
    }
    if let (Some(authority), Some(host)) = (authority, host)
        && !authority.of(head).eq_ignore_ascii_case(host.of(head))
    {
        return Err(RequestError::BadHost);
    }
    Ok(authority.or(host))
}
