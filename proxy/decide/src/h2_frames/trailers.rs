//! Field blocks of trailers, looked through for pseudo fields without decoding them.
//!
//! The `h2` crate drops pseudo fields of trailers silently (0.4.20); RFC 9113 section 8.1 calls such a message malformed. HPACK
//! fields can be told apart without its dynamic table and without Huffman decoding (RFC 7541 section 6). What stays
//! unseen is a name that is taken from the dynamic table.

/// Bytes of a block that are looked at; a longer one counts as malformed.
const BLOCK_BYTES_MAX: usize = 64 * 1024;
/// Entries of the static table that are pseudo fields (RFC 7541 appendix A).
const STATIC_PSEUDO: std::ops::RangeInclusive<u32> = 1..=14;

const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const END_HEADERS: u8 = 0x4;
/// Bytes of the priority fields of a HEADERS frame.
const PRIORITY_BYTES: usize = 5;

/// Trailers of a stream as they come in, with what surrounds the block in a HEADERS frame.
#[derive(Debug)]
pub(super) struct Trailers {
    pub(super) stream: u32,
    /// The frame at hand is the last one of the block.
    pub(super) ends: bool,
    flags: u8,
    headers_bytes: usize,
    bytes: Vec<u8>,
    too_long: bool,
}

impl Trailers {
    /// After a HEADERS frame's head.
    pub(super) fn new(stream: u32, flags: u8, headers_bytes: u32) -> Self {
        Self {
            stream,
            ends: flags & END_HEADERS != 0,
            flags,
            headers_bytes: headers_bytes as usize,
            bytes: Vec::new(),
            too_long: false,
        }
    }

    pub(super) fn push(&mut self, payload: &[u8]) {
        if self.bytes.len() + payload.len() > BLOCK_BYTES_MAX {
            self.too_long = true;
        } else {
            self.bytes.extend_from_slice(payload);
        }
    }

    /// The block without padding and priority. `None` when it is too long, empty padding aside, or not well formed.
    pub(super) fn block(mut self) -> Option<Vec<u8>> {
        if self.too_long {
            return None;
        }
        let (mut start, mut end) = (0, self.headers_bytes.min(self.bytes.len()));
        if self.flags & PADDED != 0 {
            start += 1;
            end = end.checked_sub(usize::from(*self.bytes.first()?))?;
        }
        if self.flags & PRIORITY != 0 {
            start += PRIORITY_BYTES;
        }
        if start > end {
            return None;
        }
        // Padding stands between the HEADERS frame's part and that of CONTINUATION frames.
        self.bytes.drain(end..self.headers_bytes.min(self.bytes.len()));
        self.bytes.drain(..start);
        Some(self.bytes)
    }
}

/// Whether a field block has a pseudo field, or cannot be read.
#[must_use]
pub(super) fn names_pseudo_field(block: &[u8]) -> bool {
    let mut left = block;
    while let Some(&first) = left.first() {
        let field = match first {
            0x80.. => integer(left, 7).map(|(index, rest)| (index, true, rest)),
            0x40.. => integer(left, 6).map(|(index, rest)| (index, false, rest)),
            // A change of the table's size carries no field.
            0x20.. => match integer(left, 5) {
                Some((_, rest)) => {
                    left = rest;
                    continue;
                }
                None => None,
            },
            _ => integer(left, 4).map(|(index, rest)| (index, false, rest)),
        };
        let Some((index, whole, mut rest)) = field else {
            return true;
        };
        if STATIC_PSEUDO.contains(&index) {
            return true;
        }
        if !whole {
            if index == 0 {
                match string(rest) {
                    Some((name, after)) if !starts_with_colon(name) => rest = after,
                    _ => return true,
                }
            }
            match string(rest) {
                Some((_, after)) => rest = after,
                None => return true,
            }
        }
        left = rest;
    }
    false
}

/// A string literal (RFC 7541 section 5.2) as it stands: whether it is Huffman-coded, and its bytes.
type Literal<'a> = (bool, &'a [u8]);

fn string(bytes: &[u8]) -> Option<(Literal<'_>, &[u8])> {
    let huffman = bytes.first()? & 0x80 != 0;
    let (length, rest) = integer(bytes, 7)?;
    let (text, rest) = rest.split_at_checked(length as usize)?;
    Some(((huffman, text), rest))
}

fn starts_with_colon((huffman, text): Literal<'_>) -> bool {
    match text.first() {
        // The code of ":" is the seven bits 1011100 (RFC 7541 appendix B).
        Some(first) if huffman => first >> 1 == 0b101_1100,
        Some(first) => *first == b':',
        None => false,
    }
}

/// An integer with a prefix of `bits` bits (RFC 7541 section 5.1), of at most 28 bits and what the prefix adds.
fn integer(bytes: &[u8], bits: u32) -> Option<(u32, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let full = (1_u32 << bits) - 1;
    let mut value = u32::from(*first) & full;
    if value < full {
        return Some((value, rest));
    }
    for shift in [0, 7, 14, 21] {
        let (byte, after) = rest.split_first()?;
        rest = after;
        value += u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}
