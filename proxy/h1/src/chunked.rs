//! Chunked bodies: RFC 9112 section 7.1.

use std::ops::Range;

use crate::fields::parse_field;
use crate::grammar::{TOKEN, is};
use crate::trailer::{TrailerRule, trailer_rule};

/// Bytes of chunk extensions in one body. They are dropped: nobody uses them, floods of them do harm.
pub const EXTENSION_BYTES_MAX: usize = 1024;

/// Digits of a chunk size, leading zeros included: what fits a `u64`.
const SIZE_DIGITS_MAX: u8 = 16;

/// Trailer fields kept of one body.
const TRAILERS_MAX: usize = 64;

/// A trailer field: name as sent, and value.
pub type Trailer = (Box<[u8]>, Box<[u8]>);

/// Why a chunked body is refused. The connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Chunk data is not followed by CRLF.
    #[error("chunk data is not followed by CRLF")]
    BadDataEnd,
    /// A chunk extension is malformed.
    #[error("chunk extension is malformed")]
    BadExtension,
    /// A chunk size is missing, is not hexadecimal or has more than 16 digits.
    #[error("chunk size is malformed")]
    BadSize,
    /// A trailer field is malformed or one that is not allowed there.
    #[error("trailer field is malformed or not allowed")]
    BadTrailer,
    /// Extensions are longer than [`EXTENSION_BYTES_MAX`] in total.
    #[error("chunk extensions are too large")]
    ExtensionsTooLarge,
    /// The trailer section is longer than allowed.
    #[error("trailer section is too large")]
    TrailersTooLarge,
}

impl ChunkError {
    /// A stable code for logs and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadDataEnd => "bad_chunk_data_end",
            Self::BadExtension => "bad_chunk_extension",
            Self::BadSize => "bad_chunk_size",
            Self::BadTrailer => "bad_trailer",
            Self::ExtensionsTooLarge => "chunk_extensions_too_large",
            Self::TrailersTooLarge => "trailers_too_large",
        }
    }
}

/// What one call of [`ChunkedDecoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Decoded {
    /// Bytes of the input that are dealt with.
    pub consumed: usize,
    /// Body data, as a range of the input, within the consumed bytes.
    pub data: Range<usize>,
    /// Whether the body is complete.
    pub done: bool,
}

/// Decodes a chunked body piece by piece. Holds no body data, only the trailer line it is reading.
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    state: State,
    extension_bytes: usize,
    trailer_bytes_left: usize,
    line: Vec<u8>,
    trailers: Vec<Trailer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64, at: Extension },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer,
    Done,
    Failed(ChunkError),
}

/// Where in `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )` the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    Before,
    NameStart,
    Name,
    NameAfter,
    ValueStart,
    Token,
    Quoted,
    Escape,
    QuotedEnd,
}

impl ChunkedDecoder {
    /// A decoder at the start of a body. The trailer section may have `trailer_bytes_max` bytes.
    #[must_use]
    pub fn new(trailer_bytes_max: usize) -> Self {
        Self {
            state: State::Size { size: 0, digits: 0 },
            extension_bytes: 0,
            trailer_bytes_left: trailer_bytes_max,
            line: Vec::new(),
            trailers: Vec::new(),
        }
    }

    /// Looks at `input`, the bytes after those consumed before. Call it again with the rest until it is
    /// done or consumes nothing, which means that more input is needed. Data is found even if the bytes
    /// right after it are faulty: the error then comes with the next call.
    ///
    /// # Errors
    /// [`ChunkError`]; every later call gives the same.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, ChunkError> {
        let mut at = 0;
        let mut data = 0..0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Done | State::Failed(_) => break,
                State::Data { left } => {
                    if !data.is_empty() {
                        break;
                    }
                    let here = input.len() - at;
                    let taken = usize::try_from(left).map_or(here, |left| left.min(here));
                    data = at..at + taken;
                    at += taken;
                    self.state = match left - taken as u64 {
                        0 => State::DataCr,
                        left => State::Data { left },
                    };
                    continue;
                }
                _ => {}
            }
            match self.step(byte) {
                Ok(next) => self.state = next,
                Err(error) => {
                    self.state = State::Failed(error);
                    break;
                }
            }
            at += 1;
        }
        match self.state {
            State::Failed(error) if data.is_empty() => Err(error),
            _ => Ok(Decoded {
                consumed: at,
                data,
                done: self.is_done(),
            }),
        }
    }

    /// The trailer fields seen. Fields that RFC 9110 section 6.5.1 does not allow in a trailer are not
    /// among them; those that would change framing or routing are refused as an error.
    #[must_use]
    pub fn trailers(&self) -> &[Trailer] {
        &self.trailers
    }

    /// Whether the whole body was read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The state after one byte that is not chunk data.
    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        match self.state {
            State::Size { size, digits } => self.size(byte, size, digits),
            State::Extension { size, at } => self.extension(byte, size, at),
            State::SizeLf { size } => match (byte, size) {
                (b'\n', 0) => Ok(State::Trailer),
                (b'\n', left) => Ok(State::Data { left }),
                _ => Err(ChunkError::BadSize),
            },
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::Size { size: 0, digits: 0 }),
            State::DataCr | State::DataLf => Err(ChunkError::BadDataEnd),
            State::Trailer => self.trailer(byte),
            State::Failed(error) => Err(error),
            state @ (State::Data { .. } | State::Done) => Ok(state),
        }
    }

    fn size(&mut self, byte: u8, size: u64, digits: u8) -> Result<State, ChunkError> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            if digits == SIZE_DIGITS_MAX {
                return Err(ChunkError::BadSize);
            }
            // Sixteen digits at most: nothing is shifted out.
            return Ok(State::Size {
                size: (size << 4) | u64::from(digit),
                digits: digits + 1,
            });
        }
        match byte {
            _ if digits == 0 => Err(ChunkError::BadSize),
            b'\r' => Ok(State::SizeLf { size }),
            b';' | b' ' | b'\t' => self.extension(byte, size, Extension::Before),
            _ => Err(ChunkError::BadSize),
        }
    }

    fn extension(&mut self, byte: u8, size: u64, at: Extension) -> Result<State, ChunkError> {
        use Extension as E;
        let may_end = matches!(at, E::Name | E::Token | E::QuotedEnd);
        if byte == b'\r' && may_end {
            return Ok(State::SizeLf { size });
        }
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err(ChunkError::ExtensionsTooLarge);
        }
        let blank = byte == b' ' || byte == b'\t';
        let text = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
        let next = match at {
            E::Before | E::Name | E::NameAfter | E::Token | E::QuotedEnd if byte == b';' => E::NameStart,
            E::Name | E::NameAfter if byte == b'=' => E::ValueStart,
            E::Before | E::NameStart | E::NameAfter | E::ValueStart if blank => at,
            E::Name if blank => E::NameAfter,
            E::Token | E::QuotedEnd if blank => E::Before,
            E::NameStart | E::Name if is(byte, TOKEN) => E::Name,
            E::ValueStart if byte == b'"' => E::Quoted,
            E::ValueStart | E::Token if is(byte, TOKEN) => E::Token,
            E::Quoted if byte == b'"' => E::QuotedEnd,
            E::Quoted if byte == b'\\' => E::Escape,
            E::Quoted | E::Escape if text => E::Quoted,
            _ => return Err(ChunkError::BadExtension),
        };
        Ok(State::Extension { size, at: next })
    }

    fn trailer(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.line.push(byte);
        if byte == b'\n' {
            let line = self.line.strip_suffix(b"\r\n").ok_or(ChunkError::BadTrailer)?;
            if line.is_empty() {
                self.line = Vec::new();
                return Ok(State::Done);
            }
            if let Some(trailer) = read_trailer(line)? {
                if self.trailers.len() == TRAILERS_MAX {
                    return Err(ChunkError::TrailersTooLarge);
                }
                self.trailers.push(trailer);
            }
            self.line.clear();
        }
        // The empty line that ends the section is not counted.
        if self.line.first().is_some_and(|&first| first != b'\r') || byte == b'\n' {
            self.trailer_bytes_left = self
                .trailer_bytes_left
                .checked_sub(1)
                .ok_or(ChunkError::TrailersTooLarge)?;
        } else if self.line.len() > 1 {
            return Err(ChunkError::BadTrailer);
        }
        Ok(State::Trailer)
    }
}

fn read_trailer(line: &[u8]) -> Result<Option<Trailer>, ChunkError> {
    let field = parse_field(line).ok_or(ChunkError::BadTrailer)?;
    let name = field.name.of(line);
    match trailer_rule(name) {
        TrailerRule::Drop => Ok(None),
        TrailerRule::Keep => Ok(Some((name.into(), field.value.of(line).into()))),
        TrailerRule::Refuse => Err(ChunkError::BadTrailer),
    }
}
