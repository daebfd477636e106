//! Finds the lines of a head, and remembers what was read when more bytes are needed.

use crate::request::RequestLine;
use crate::response::StatusLine;
use crate::span::FieldSpans;

/// What was read of a head that is not complete yet.
///
/// Keep one per message and give it to every call for that message, with a buffer that starts with the same
/// bytes as before. Each line is then parsed once, and a faulty line is refused as soon as it is complete.
/// It is empty again after a complete head; after an error, throw it away with the connection.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Bytes before this hold no CR or LF that was not handled.
    searched: usize,
    /// Where the line that is being read starts.
    line_start: usize,
    pub(crate) started: bool,
    pub(crate) first_line: FirstLine,
    pub(crate) fields: FieldSpans,
}

/// The start line, once it was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum FirstLine {
    #[default]
    Missing,
    Request(RequestLine),
    Status(StatusLine),
}

/// Why no line can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFault {
    /// LF without CR, or CR without LF.
    BareLineEnd,
    TooLarge,
}

impl Scan {
    /// Steps over an empty line before the message.
    pub(crate) fn skip_to(&mut self, at: usize) {
        self.line_start = at;
        self.searched = at;
    }

    /// Where the line that is being read starts; after the last line, the length of the head.
    pub(crate) fn line_start(&self) -> usize {
        self.line_start
    }

    /// The next complete line as (start, end), its CRLF not included. `None`: more bytes are needed.
    ///
    /// Looks at the first `max` bytes only, so the outcome does not depend on how the input was cut.
    pub(crate) fn next_line(&mut self, buf: &[u8], max: usize) -> Result<Option<(usize, usize)>, LineFault> {
        let max = max.min(u32::MAX as usize);
        let window = buf.get(..max).unwrap_or(buf);
        let rest = window.get(self.searched..).unwrap_or_default();
        let end = memchr::memchr2(b'\r', b'\n', rest).map_or(window.len(), |found| self.searched + found);
        match (window.get(end), window.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => {}
            (None, _) | (Some(b'\r'), None) => {
                self.searched = end;
                return if buf.len() >= max {
                    Err(LineFault::TooLarge)
                } else {
                    Ok(None)
                };
            }
            // Refused at once: a peer that ends lines like this would wait for an answer until the deadline.
            _ => return Err(LineFault::BareLineEnd),
        }
        let start = self.line_start;
        self.line_start = end + 2;
        self.searched = end + 2;
        Ok(Some((start, end)))
    }
}
