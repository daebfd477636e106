//! What a head is made of: ranges into the caller's buffer.

/// A byte range of the buffer that was parsed. Offsets stay valid while the buffer's front is not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes of this span in `buf`; empty when the span does not lie in it.
    #[must_use]
    pub fn of<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        buf.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// Callers keep offsets below `Limits::head_bytes_max`, which is clamped to `u32::MAX`.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            start: clamp(start),
            end: clamp(end),
        }
    }

    /// The same span, `by` bytes further on.
    pub(crate) fn shifted(self, by: usize) -> Self {
        Self::new(self.start as usize + by, self.end as usize + by)
    }
}

/// One field line: the name as sent and the value without the white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FieldSpan {
    /// A token, never empty.
    pub name: Span,
    /// May be empty; has no control bytes but HTAB.
    pub value: Span,
}

/// The fields of a head in the order sent.
pub type FieldSpans = Vec<FieldSpan>;

/// Bounds of one head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole head with its empty line, and an empty line before it.
    pub head_bytes_max: usize,
    /// Field lines.
    pub fields_max: usize,
    /// Bytes of the request target; unused for responses.
    pub target_bytes_max: usize,
}

/// The version of a message; no other is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// This many bytes follow.
    Length(u64),
    /// Chunks follow: see [`crate::ChunkedDecoder`].
    Chunked,
    /// All bytes until the connection closes. Responses only.
    UntilClose,
}
