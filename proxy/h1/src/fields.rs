//! Header fields (RFC 9110 section 5): an index into the bytes of a head.

use smallvec::SmallVec;

/// A range of bytes in a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes; empty when the span does not lie in `buf`.
    pub fn of<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        buf.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    pub(crate) fn new(start: usize, end: usize) -> Self {
        let bound = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: bound(start),
            end: bound(end),
        }
    }
}

/// One field line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSpan {
    /// The name as sent.
    pub name: Span,
    /// The value without white space around it.
    pub value: Span,
}

/// Field lines in order.
pub type FieldSpans = SmallVec<[FieldSpan; 24]>;

/// Why field lines cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldFault {
    Bad,
    TooMany,
}

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
}

static TOKEN: [bool; 256] = token_table();

/// Whether `bytes` is a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// Whether `bytes` may stand in a field value: visible, space, tab, or above ASCII (RFC 9110 section 5.5).
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| *byte >= 0x20 && *byte != 0x7f || *byte == b'\t')
}

/// Length of the head at the start of `buf`, its empty line included.
pub(crate) fn head_length(buf: &[u8]) -> Option<usize> {
    memchr::memmem::find(buf, b"\r\n\r\n").map(|at| at + 4)
}

/// Indexes the lines of `head[from..]`, which ends with an empty line.
pub(crate) fn parse_fields(head: &[u8], from: usize, fields_max: usize) -> Result<FieldSpans, FieldFault> {
    let mut fields = FieldSpans::new();
    let mut at = from;
    loop {
        let rest = head.get(at..).ok_or(FieldFault::Bad)?;
        let end = memchr::memchr2(b'\r', b'\n', rest).ok_or(FieldFault::Bad)?;
        if rest.get(end..end + 2) != Some(b"\r\n") {
            return Err(FieldFault::Bad);
        }
        if end == 0 {
            return if at + 2 == head.len() {
                Ok(fields)
            } else {
                Err(FieldFault::Bad)
            };
        }
        if fields.len() >= fields_max {
            return Err(FieldFault::TooMany);
        }
        let line = rest.get(..end).ok_or(FieldFault::Bad)?;
        let colon = memchr::memchr(b':', line).ok_or(FieldFault::Bad)?;
        let (name, value) = line.split_at(colon);
        if !is_token(name) || !is_value(value) {
            return Err(FieldFault::Bad);
        }
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let lead = value.iter().skip(1).take_while(|byte| blank(byte)).count() + 1;
        let tail = value
            .iter()
            .skip(lead)
            .rev()
            .take_while(|byte| blank(byte))
            .count();
        let start = at + colon + lead;
        fields.push(FieldSpan {
            name: Span::new(at, at + colon),
            value: Span::new(start.min(at + end), (at + end - tail).max(start.min(at + end))),
        });
        at += end + 2;
    }
}

/// Whether two field names are the same (RFC 9110 section 5.1: case does not count).
pub fn header_eq(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Whether a field is about one connection only and is never forwarded (RFC 9110 section 7.6.1).
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 10] = [
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    ];
    NAMES.iter().any(|known| header_eq(known, name))
}

/// The members of all `Connection` fields.
pub(crate) fn connection_options<'a>(
    fields: &'a FieldSpans,
    buf: &'a [u8],
) -> impl Iterator<Item = &'a [u8]> {
    values(fields, buf, b"connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// The values of all fields of a name.
pub(crate) fn values<'a>(
    fields: &'a FieldSpans,
    buf: &'a [u8],
    name: &'static [u8],
) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |field| header_eq(field.name.of(buf), name))
        .map(|field| field.value.of(buf))
}

/// Whether a `Connection` field names this one, so that it is not forwarded (RFC 9110 section 7.6.1).
pub fn connection_nominates(fields: &FieldSpans, buf: &[u8], name: &[u8]) -> bool {
    connection_options(fields, buf).any(|option| header_eq(option, name))
}

/// What the fields say about the body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) length: Option<u64>,
    pub(crate) chunked: bool,
}

/// Why the framing cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthFault {
    Ambiguous,
    Coding,
}

/// Reads Content-Length and Transfer-Encoding; refuses all that RFC 9112 section 6.3 leaves to taste.
pub(crate) fn lengths(fields: &FieldSpans, buf: &[u8], http10: bool) -> Result<Lengths, LengthFault> {
    let mut length = None;
    for value in values(fields, buf, b"content-length") {
        if length.is_some() || value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
            return Err(LengthFault::Ambiguous);
        }
        length = Some(
            value
                .iter()
                .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0')),
        );
    }
    let mut codings = values(fields, buf, b"transfer-encoding");
    let Some(coding) = codings.next() else {
        return Ok(Lengths {
            length,
            chunked: false,
        });
    };
    if length.is_some() || http10 || codings.next().is_some() {
        return Err(LengthFault::Ambiguous);
    }
    if header_eq(coding, b"chunked") {
        return Ok(Lengths {
            length: None,
            chunked: true,
        });
    }
    let members = || coding.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let chunked = members().filter(|member| header_eq(member, b"chunked")).count();
    Err(if chunked > 1 || members().any(<[u8]>::is_empty) {
        LengthFault::Ambiguous
    } else {
        LengthFault::Coding
    })
}
