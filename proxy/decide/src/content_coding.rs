//! Content codings of request bodies (RFC 9110 section 8.4): rules judge what the origin will read, not its compressed form.

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

/// How a request body is coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ContentCoding {
    /// `deflate`: RFC 1950, or RFC 1951 as some clients send it.
    Deflate,
    /// `gzip`: RFC 1952.
    Gzip,
    /// As it is.
    #[default]
    Identity,
    /// A coding that is not known here, or several.
    Other,
}

/// Why a body cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// It is not in its coding, or the coding is not known.
    Broken,
    /// It is larger than may be held.
    TooLarge,
}

impl ContentCoding {
    /// Of the values of all `Content-Encoding` fields.
    pub(crate) fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut coding = Self::Identity;
        for name in values.flat_map(|value| value.split(|byte| *byte == b',')) {
            let next = match name.trim_ascii() {
                b"" => continue,
                name if name.eq_ignore_ascii_case(b"identity") => continue,
                name if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => {
                    Self::Gzip
                }
                name if name.eq_ignore_ascii_case(b"deflate") => Self::Deflate,
                _ => Self::Other,
            };
            coding = if coding == Self::Identity {
                next
            } else {
                Self::Other
            };
        }
        coding
    }

    /// The body as the origin will read it, or as much of it as may be held.
    ///
    /// # Errors
    /// That it cannot be read, or is too large.
    pub(crate) fn decode<'a>(self, body: &'a [u8], bounds: &Bounds) -> Result<Cow<'a, [u8]>, Undecodable> {
        if body.is_empty() {
            return Ok(Cow::Borrowed(body));
        }
        match self {
            Self::Identity => Ok(Cow::Borrowed(body)),
            // What follows the first member would reach an origin that reads it, unjudged.
            Self::Gzip => bounds.read(GzDecoder::new(body), |decoder| decoder.into_inner().is_empty()),
            Self::Deflate => bounds
                .read(ZlibDecoder::new(body), |decoder| decoder.into_inner().is_empty())
                .or_else(|error| match error {
                    Undecodable::Broken => bounds.read(DeflateDecoder::new(body), |decoder| {
                        decoder.into_inner().is_empty()
                    }),
                    Undecodable::TooLarge => Err(error),
                }),
            Self::Other => Err(Undecodable::Broken),
        }
    }
}

/// What may be held of a decoded body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes.
    pub(crate) bytes_max: u64,
    /// Whether a larger one cannot be judged; else its start is.
    pub(crate) refuse_over: bool,
    /// Whether the coded body is there to its end.
    pub(crate) whole: bool,
}

impl Bounds {
    /// All that a decoder gives, as far as it may be held. `at_end` says whether the decoder has used all of its input.
    fn read<'a, D: Read>(
        &self,
        mut decoder: D,
        at_end: impl Fn(D) -> bool,
    ) -> Result<Cow<'a, [u8]>, Undecodable> {
        let mut decoded = Vec::new();
        let read = decoder
            .by_ref()
            .take(self.bytes_max.saturating_add(1))
            .read_to_end(&mut decoded);
        if decoded.len() as u64 > self.bytes_max {
            if self.refuse_over {
                return Err(Undecodable::TooLarge);
            }
            decoded.truncate(usize::try_from(self.bytes_max).unwrap_or(usize::MAX));
            return Ok(Cow::Owned(decoded));
        }
        let broken = if self.whole {
            read.is_err() || !at_end(decoder)
        } else {
            read.is_err() && decoded.is_empty()
        };
        if broken {
            return Err(Undecodable::Broken);
        }
        Ok(Cow::Owned(decoded))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    const SMALL: Bounds = Bounds {
        bytes_max: 1000,
        refuse_over: true,
        whole: true,
    };

    fn of(value: &str) -> ContentCoding {
        ContentCoding::of([value.as_bytes()].into_iter())
    }

    #[test]
    fn codings_are_told_apart() {
        for (value, coding) in [
            ("", ContentCoding::Identity),
            ("identity", ContentCoding::Identity),
            ("GZIP", ContentCoding::Gzip),
            ("x-gzip , identity", ContentCoding::Gzip),
            ("deflate", ContentCoding::Deflate),
            ("br", ContentCoding::Other),
            ("gzip, gzip", ContentCoding::Other),
        ] {
            assert_eq!(of(value), coding, "{value}");
        }
    }

    #[test]
    fn bodies_are_decoded() {
        let zlib = {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(b"a=1").unwrap();
            encoder.finish().unwrap()
        };
        let raw = {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(b"a=1").unwrap();
            encoder.finish().unwrap()
        };
        for (coding, body) in [("gzip", gzip(b"a=1")), ("deflate", zlib), ("deflate", raw)] {
            assert_eq!(
                of(coding).decode(&body, &SMALL).as_deref(),
                Ok(b"a=1".as_slice()),
                "{coding}"
            );
        }
        assert_eq!(of("gzip").decode(b"", &SMALL).as_deref(), Ok(b"".as_slice()));
    }

    #[test]
    fn what_cannot_be_judged_is_told() {
        let bomb = gzip(&vec![b'a'; 1_000_000]);
        assert_eq!(of("gzip").decode(&bomb, &SMALL), Err(Undecodable::TooLarge));
        assert_eq!(of("gzip").decode(b"a=1", &SMALL), Err(Undecodable::Broken));
        assert_eq!(of("br").decode(b"a=1", &SMALL), Err(Undecodable::Broken));
        for first in [3, 1000] {
            let two = [gzip(&vec![b'a'; first]), gzip(b"&q=evil")].concat();
            assert_eq!(
                of("gzip").decode(&two, &SMALL),
                Err(Undecodable::Broken),
                "{first}"
            );
        }
        let cut = &gzip(b"some text that is long enough")[..20];
        assert_eq!(of("gzip").decode(cut, &SMALL), Err(Undecodable::Broken));
    }

    #[test]
    fn of_a_cut_body_the_start_is_judged() {
        let long: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        let coded = gzip(&long);
        let cut = Bounds {
            refuse_over: false,
            whole: false,
            ..SMALL
        };
        let start = of("gzip").decode(&coded[..coded.len() / 2], &cut).unwrap();
        assert_eq!(&*start, &long[..1000]);
        let long_enough = Bounds {
            bytes_max: 1 << 20,
            ..cut
        };
        let start = of("gzip")
            .decode(&coded[..coded.len() / 2], &long_enough)
            .unwrap();
        assert!(long.starts_with(&start) && start.len() > 1000);
    }
}
