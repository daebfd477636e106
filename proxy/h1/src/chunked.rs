//! Chunked transfer coding (RFC 9112 section 7.1), decoded strictly and written plainly.

use std::io::Write;
use std::ops::Range;

use crate::fields::{header_eq, is_hop_by_hop, is_token, is_value};

/// Ends a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";
/// Ends a body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Bytes of one chunk's size line.
const SIZE_LINE_BYTES_MAX: usize = 256;
/// Bytes of chunk extensions of a whole body.
const EXTENSION_BYTES_MAX: usize = 4096;

/// The coding is broken; the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunked coding is malformed")]
pub struct ChunkError;

/// What one call has decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Where body data lies in the input; empty when there is none.
    pub data: Range<usize>,
    /// The body has ended.
    pub done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

/// Incremental decoder of one body.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    extension_bytes: usize,
    trailer_bytes_left: usize,
    trailers: Vec<(Box<[u8]>, Box<[u8]>)>,
}

impl ChunkedDecoder {
    /// A decoder that accepts so many bytes of trailer lines.
    pub fn new(trailer_bytes_max: usize) -> Self {
        Self {
            state: State::Size,
            extension_bytes: 0,
            trailer_bytes_left: trailer_bytes_max,
            trailers: Vec::new(),
        }
    }

    /// True when the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Trailer fields; those that RFC 9110 section 6.5.1 forbids were dropped.
    pub fn trailers(&self) -> &[(Box<[u8]>, Box<[u8]>)] {
        &self.trailers
    }

    /// Decodes until data, the end, or the end of `input`. Nothing consumed and not done: more input is needed.
    ///
    /// # Errors
    /// [`ChunkError`].
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, ChunkError> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let waits = Decoded {
                consumed: at,
                data: at..at,
                done: false,
            };
            match self.state {
                State::Done => {
                    return Ok(Decoded {
                        consumed: at,
                        data: at..at,
                        done: true,
                    });
                }
                State::Size => match line(rest, SIZE_LINE_BYTES_MAX)? {
                    None => return Ok(waits),
                    Some(text) => {
                        at += text.len() + 2;
                        let size = self.size(text)?;
                        self.state = if size == 0 {
                            State::Trailers
                        } else {
                            State::Data(size)
                        };
                    }
                },
                State::Data(left) => {
                    if rest.is_empty() {
                        return Ok(waits);
                    }
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - count as u64;
                    self.state = if left == 0 {
                        State::DataEnd
                    } else {
                        State::Data(left)
                    };
                    return Ok(Decoded {
                        consumed: at + count,
                        data: at..at + count,
                        done: false,
                    });
                }
                State::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(waits),
                    _ => return Err(ChunkError),
                },
                State::Trailers => match line(rest, self.trailer_bytes_left)? {
                    None => return Ok(waits),
                    Some([]) => {
                        at += 2;
                        self.state = State::Done;
                    }
                    Some(text) => {
                        at += text.len() + 2;
                        self.trailer_bytes_left -= text.len();
                        self.trailer(text)?;
                    }
                },
            }
        }
    }

    fn size(&mut self, text: &[u8]) -> Result<u64, ChunkError> {
        let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extensions) = text.split_at(digits);
        if size.is_empty() || size.len() > 16 {
            return Err(ChunkError);
        }
        let size = std::str::from_utf8(size).map_err(|_| ChunkError)?;
        let size = u64::from_str_radix(size, 16)
            .ok()
            .filter(|size| *size <= i64::MAX as u64)
            .ok_or(ChunkError)?;
        if !extensions.is_empty() {
            self.extension_bytes += extensions.len();
            let begins = extensions.trim_ascii_start().first() == Some(&b';');
            if self.extension_bytes > EXTENSION_BYTES_MAX || !begins || !is_value(extensions) {
                return Err(ChunkError);
            }
        }
        Ok(size)
    }

    fn trailer(&mut self, text: &[u8]) -> Result<(), ChunkError> {
        let colon = memchr::memchr(b':', text).ok_or(ChunkError)?;
        let (name, value) = (
            text.get(..colon).unwrap_or_default(),
            text.get(colon + 1..).unwrap_or_default(),
        );
        if !is_token(name) || !is_value(value) {
            return Err(ChunkError);
        }
        const FORBIDDEN: [&[u8]; 9] = [
            b"authorization",
            b"content-encoding",
            b"content-length",
            b"content-range",
            b"content-type",
            b"cookie",
            b"host",
            b"expect",
            b"set-cookie",
        ];
        if !is_hop_by_hop(name) && !FORBIDDEN.iter().any(|known| header_eq(known, name)) {
            self.trailers.push((name.into(), value.trim_ascii().into()));
        }
        Ok(())
    }
}

/// The line at the start of `input`, without its CRLF; `None` when it has not ended.
fn line(input: &[u8], bytes_max: usize) -> Result<Option<&[u8]>, ChunkError> {
    match memchr::memchr2(b'\r', b'\n', input) {
        Some(at) if at > bytes_max => Err(ChunkError),
        Some(at) if input.get(at) == Some(&b'\n') => Err(ChunkError),
        Some(at) => match input.get(at + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(input.get(..at)),
            Some(_) => Err(ChunkError),
        },
        None if input.len() > bytes_max => Err(ChunkError),
        None => Ok(None),
    }
}

/// Writes the size line of a chunk of `len` bytes.
pub fn write_chunk_head(out: &mut Vec<u8>, len: usize) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{len:x}\r\n");
}

/// Writes the last chunk and trailer fields.
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: &[(&[u8], &[u8])]) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        crate::write_field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}
