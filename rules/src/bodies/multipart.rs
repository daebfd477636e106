//! `multipart/form-data` (RFC 7578), strictly: what parsers disagree about is an error.

use super::carry::Carry;
use super::{Fault, Sink, TOO_MANY};
use crate::variables::Var;

const PARTS_MAX: usize = 1000;
const BAD: Fault = "Multipart: syntax error";
const NO_BEGINNING: Fault = "Multipart: the body does not begin with the boundary";

/// The boundary parameter of a content type.
pub(super) fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    let value = parameter(content_type, b"boundary")?;
    ((1..=70).contains(&value.len())).then_some(value)
}

/// The value of a `; name=value` parameter, quoted or not.
fn parameter(header: &[u8], wanted: &[u8]) -> Option<Vec<u8>> {
    let mut rest = header.get(memchr::memchr(b';', header)? + 1..)?;
    loop {
        let equals = memchr::memchr(b'=', rest)?;
        let (name, value) = rest.split_at(equals);
        let value = value.get(1..)?.trim_ascii_start();
        let (value, tail) = match value.strip_prefix(b"\"") {
            Some(quoted) => quoted_string(quoted)?,
            None => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                (value.get(..end)?.trim_ascii().to_vec(), value.get(end..)?)
            }
        };
        if name.trim_ascii().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = tail.get(memchr::memchr(b';', tail)? + 1..)?;
    }
}

fn quoted_string(input: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = input;
    loop {
        match rest {
            [b'\\', next @ (b'"' | b'\\'), tail @ ..] => {
                value.push(*next);
                rest = tail;
            }
            [b'"', tail @ ..] => return Some((value, tail)),
            [byte, tail @ ..] => {
                value.push(*byte);
                rest = tail;
            }
            [] => return None,
        }
    }
}

/// Fields go to `ARGS_POST`, file names to `FILES`, their fields to `FILES_NAMES`, part headers to
/// `MULTIPART_PART_HEADERS`.
#[derive(Debug)]
pub(super) struct Reader {
    /// `\r\n--boundary`; the first one comes without the line end.
    separator: Vec<u8>,
    state: State,
    /// What stands behind a boundary, so far.
    line: Vec<u8>,
    part: Carry,
    parts: usize,
    files: Files,
}

#[derive(Debug)]
enum State {
    /// So many bytes of the first boundary were there.
    Opening(usize),
    /// Behind a boundary.
    Boundary,
    Part,
}

/// What files are read for.
#[derive(Debug)]
struct Files {
    /// Bytes of all.
    length: usize,
    /// Whether rules look at their contents.
    contents: bool,
}

impl Reader {
    pub(super) fn new(boundary: &[u8], file_contents: bool) -> Self {
        Self {
            separator: [b"\r\n--", boundary].concat(),
            state: State::Opening(2),
            line: Vec::new(),
            part: Carry::default(),
            parts: 0,
            files: Files {
                length: 0,
                contents: file_contents,
            },
        }
    }

    /// Bytes of all files together.
    pub(super) fn files_length(&self) -> usize {
        self.files.length
    }

    pub(super) fn push(&mut self, chunk: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let mut rest = chunk;
        loop {
            match &mut self.state {
                State::Opening(matched) => {
                    let wanted = self.separator.get(*matched..).unwrap_or_default();
                    let length = wanted.len().min(rest.len());
                    if wanted.get(..length) != rest.get(..length) {
                        return Err(NO_BEGINNING);
                    }
                    *matched += length;
                    rest = rest.get(length..).unwrap_or_default();
                    if *matched < self.separator.len() {
                        return Ok(());
                    }
                    self.state = State::Boundary;
                }
                State::Boundary => {
                    let Some((byte, tail)) = rest.split_first() else {
                        return Ok(());
                    };
                    self.line.push(*byte);
                    rest = tail;
                    let line = self.line.as_slice();
                    if line == b"\r\n" {
                        self.state = State::Part;
                    } else if !b"--\r\n".starts_with(line) && line != b"\r" {
                        return Err(line_fault(line));
                    }
                }
                State::Part => {
                    let Some(part) = self.part.until(&mut rest, &self.separator) else {
                        return Ok(());
                    };
                    self.files.part(part, sink)?;
                    self.parts += 1;
                    if self.parts >= PARTS_MAX {
                        return Err("Multipart: too many parts");
                    }
                    self.line.clear();
                    self.state = State::Boundary;
                }
            }
        }
    }

    pub(super) fn finish(&self) -> Result<(), Fault> {
        match &self.state {
            State::Opening(_) => Err(NO_BEGINNING),
            State::Boundary if matches!(self.line.as_slice(), b"--" | b"--\r\n") => Ok(()),
            State::Boundary => Err(line_fault(&self.line)),
            State::Part => Err("Multipart: the final boundary is missing"),
        }
    }
}

/// What is wrong behind a boundary.
fn line_fault(line: &[u8]) -> Fault {
    if line.starts_with(b"--") {
        "Multipart: data after the final boundary"
    } else {
        "Multipart: invalid boundary line"
    }
}

impl Files {
    fn part(&mut self, part: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let split =
            memchr::memmem::find(part, b"\r\n\r\n").ok_or("Multipart: a part without end of headers")?;
        let (head, body) = part.split_at(split);
        let body = body.get(4..).unwrap_or_default();
        let mut disposition: Option<&[u8]> = None;
        let mut lines = Vec::new();
        for line in head.split(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let colon = memchr::memchr(b':', line).ok_or("Multipart: invalid header line")?;
            let (name, value) = line.split_at(colon);
            if name.eq_ignore_ascii_case(b"content-disposition")
                && disposition
                    .replace(value.get(1..).unwrap_or_default().trim_ascii())
                    .is_some()
            {
                return Err("Multipart: repeated Content-Disposition");
            }
            lines.push(line);
        }
        let disposition = disposition.ok_or("Multipart: a part without Content-Disposition")?;
        if !disposition
            .get(..9)
            .is_some_and(|kind| kind.eq_ignore_ascii_case(b"form-data"))
        {
            return Err("Multipart: a part that is no form-data");
        }
        let name = parameter(disposition, b"name").ok_or(BAD)?;
        let mut all = lines
            .iter()
            .all(|line| sink(Var::MultipartPartHeaders, &name, line));
        let plain = parameter(disposition, b"filename");
        // An origin may take it for a field all the same: Go where the name is empty, PHP where only `filename*` gives one.
        if plain.as_ref().is_none_or(Vec::is_empty) {
            all &= sink(Var::ArgsPost, &name, body);
        }
        if let Some(filename) = plain.or_else(|| parameter(disposition, b"filename*")) {
            self.length += body.len();
            all &= sink(Var::Files, &name, &filename) && sink(Var::FilesNames, &name, &name);
            all &= sink(Var::FilesSizes, &name, body.len().to_string().as_bytes());
            all &= !self.contents || sink(Var::FilesTmpContent, &name, body);
        }
        if all { Ok(()) } else { Err(TOO_MANY) }
    }
}
