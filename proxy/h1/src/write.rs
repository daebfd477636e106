//! The writing side.

/// Follows the data of every chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Ends a chunked body that has no trailer fields.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes the size line of a chunk of `len` bytes; the data and [`CHUNK_END`] follow. Writes nothing for an
/// empty chunk, which would end the body.
pub fn write_chunk_head(out: &mut Vec<u8>, len: usize) {
    if len == 0 {
        return;
    }
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        let nibble = (len >> (place * 4)) & 0xf;
        out.push(b"0123456789abcdef".get(nibble).copied().unwrap_or_default());
    }
    out.extend_from_slice(b"\r\n");
}

/// Ends a chunked body with `trailers`.
pub fn write_last_chunk<B: AsRef<[u8]>>(out: &mut Vec<u8>, trailers: &[(B, B)]) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        write_field(out, name.as_ref(), value.as_ref());
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes an HTTP/1.1 status line. `status` must have three digits.
pub fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    let status = status.clamp(100, 999);
    out.extend_from_slice(b"HTTP/1.1 ");
    for digit in [status / 100, status / 10 % 10, status % 10] {
        out.push(b'0' + u8::try_from(digit).unwrap_or_default());
    }
    out.push(b' ');
    write_line_text(out, reason);
    out.extend_from_slice(b"\r\n");
}

/// Writes one field line. The name must be valid; line breaks and NUL in the value become spaces (RFC 9110
/// section 5.5), so that a value can never start another line.
pub fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    write_line_text(out, value);
    out.extend_from_slice(b"\r\n");
}

fn write_line_text(out: &mut Vec<u8>, text: &[u8]) {
    if memchr::memchr3(b'\r', b'\n', 0, text).is_none() {
        out.extend_from_slice(text);
    } else {
        out.extend(
            text.iter()
                .map(|&b| if matches!(b, b'\r' | b'\n' | 0) { b' ' } else { b }),
        );
    }
}

/// The phrase for a status, from the IANA registry; empty for one that is not registered.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400..=499 => client_error(status),
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

fn client_error(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "",
    }
}
