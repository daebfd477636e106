//! `multipart/form-data` (RFC 7578), strictly: what parsers disagree about is an error.

use super::{Fault, Sink, TOO_MANY};
use crate::variables::Var;

const PARTS_MAX: usize = 1000;
const BAD: Fault = "Multipart: syntax error";

/// The boundary parameter of a content type.
pub(crate) fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
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
/// `MULTIPART_PART_HEADERS`. Answers the size of all files together.
pub(crate) fn parse(input: &[u8], boundary: &[u8], sink: &mut Sink<'_>) -> Result<usize, Fault> {
    let opening = [b"--", boundary].concat();
    let separator = [b"\r\n--", boundary].concat();
    let mut rest = input
        .strip_prefix(opening.as_slice())
        .ok_or("Multipart: the body does not begin with the boundary")?;
    let mut files_size = 0;
    for _ in 0..PARTS_MAX {
        match rest {
            [b'-', b'-'] | [b'-', b'-', b'\r', b'\n'] => return Ok(files_size),
            [b'-', b'-', ..] => return Err("Multipart: data after the final boundary"),
            [b'\r', b'\n', tail @ ..] => rest = tail,
            _ => return Err("Multipart: invalid boundary line"),
        }
        let end = memchr::memmem::find(rest, &separator).ok_or("Multipart: the final boundary is missing")?;
        let (part, tail) = rest.split_at(end);
        files_size += self::part(part, sink)?;
        rest = tail.get(separator.len()..).unwrap_or_default();
    }
    Err("Multipart: too many parts")
}

fn part(part: &[u8], sink: &mut Sink<'_>) -> Result<usize, Fault> {
    let split = memchr::memmem::find(part, b"\r\n\r\n").ok_or("Multipart: a part without end of headers")?;
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
    let mut size = 0;
    if let Some(filename) =
        parameter(disposition, b"filename").or_else(|| parameter(disposition, b"filename*"))
    {
        size = body.len();
        all &= sink(Var::Files, &name, &filename) && sink(Var::FilesNames, &name, &name);
        all &= sink(Var::FilesSizes, &name, size.to_string().as_bytes());
    } else {
        all &= sink(Var::ArgsPost, &name, body);
    }
    if all { Ok(size) } else { Err(TOO_MANY) }
}
