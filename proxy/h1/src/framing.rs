//! Where a body ends: RFC 9112 section 6, refusing whatever two readers could take differently.

use crate::grammar::{header_eq, list};
use crate::span::Version;

/// The framing fields seen in one head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FramingFields {
    length: Option<u64>,
    coding: Coding,
    fault: Option<FramingFault>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    Absent,
    Chunked,
    /// Something we do not decode.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FramingFault {
    Ambiguous,
    Unsupported,
}

/// A framing that is not ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stated {
    Nothing,
    Length(u64),
    Chunked,
}

impl FramingFields {
    /// Adds a `Content-Length` line. A second one is ambiguous even if equal.
    pub(crate) fn content_length(&mut self, value: &[u8]) {
        if self.length.is_some() || memchr::memchr(b',', value).is_some() {
            self.fault = Some(FramingFault::Ambiguous);
        }
        match parse_length(value) {
            Some(length) => self.length = Some(length),
            None => self.fault = Some(FramingFault::Ambiguous),
        }
    }

    /// Adds a `Transfer-Encoding` line. Lines are read as one list, as RFC 9110 section 5.3 has it.
    pub(crate) fn transfer_encoding(&mut self, value: &[u8]) {
        for coding in list(value) {
            if coding.is_empty() || self.coding == Coding::Chunked {
                // Nothing may follow `chunked`, and an empty element hides something.
                self.fault = Some(FramingFault::Ambiguous);
            } else if header_eq(coding, b"chunked") && self.coding == Coding::Absent {
                self.coding = Coding::Chunked;
            } else {
                self.coding = Coding::Other;
            }
        }
    }

    pub(crate) fn resolve(&self, version: Version) -> Result<Stated, FramingFault> {
        if self.coding != Coding::Absent && (self.length.is_some() || version == Version::Http10) {
            return Err(FramingFault::Ambiguous);
        }
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match (self.coding, self.length) {
            (Coding::Other, _) => Err(FramingFault::Unsupported),
            (Coding::Chunked, _) => Ok(Stated::Chunked),
            (Coding::Absent, Some(length)) => Ok(Stated::Length(length)),
            (Coding::Absent, None) => Ok(Stated::Nothing),
        }
    }
}

/// Digits only, no overflow.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |n, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}
