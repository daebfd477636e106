//! XML to text and attributes. Document types are refused, so there are no external or growing entities.

use super::{Fault, Sink, TOO_MANY};
use crate::variables::Var;

const DEPTH_MAX: usize = 512;
const BAD: Fault = "XML: not well-formed";

/// All text goes to `XML:/*` as one value, each attribute to `XML://@*`.
pub(crate) fn parse(input: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
    let mut text = Vec::new();
    let mut open: Vec<&[u8]> = Vec::new();
    let mut seen_root = false;
    let mut rest = input;
    let outcome = loop {
        let at = memchr::memchr(b'<', rest).unwrap_or(rest.len());
        let (plain, tag) = rest.split_at(at);
        unescape(plain, &mut text);
        if tag.is_empty() {
            break if open.is_empty() && seen_root {
                Ok(())
            } else {
                Err(BAD)
            };
        }
        match markup(tag, &mut open, &mut text, sink) {
            Ok(tail) => rest = tail,
            Err(e) => break Err(e),
        }
        seen_root |= tag.get(1).is_some_and(|b| !b"!?/".contains(b));
        if open.len() > DEPTH_MAX {
            break Err("XML: too deeply nested");
        }
    };
    // What was read before an error is still judged.
    if !text.is_empty() && !sink(Var::XmlText, b"/*", &text) {
        return Err(TOO_MANY);
    }
    outcome
}

fn after<'a>(input: &'a [u8], end: &[u8]) -> Result<(&'a [u8], &'a [u8]), Fault> {
    let at = memchr::memmem::find(input, end).ok_or(BAD)?;
    Ok((
        input.get(..at).unwrap_or_default(),
        input.get(at + end.len()..).unwrap_or_default(),
    ))
}

/// Reads one piece of markup and answers what follows it.
fn markup<'a>(
    tag: &'a [u8],
    open: &mut Vec<&'a [u8]>,
    text: &mut Vec<u8>,
    sink: &mut Sink<'_>,
) -> Result<&'a [u8], Fault> {
    if let Some(inside) = tag.strip_prefix(b"<!--") {
        return after(inside, b"-->").map(|(_, tail)| tail);
    }
    if let Some(inside) = tag.strip_prefix(b"<![CDATA[") {
        let (data, tail) = after(inside, b"]]>")?;
        text.extend_from_slice(data);
        return Ok(tail);
    }
    if let Some(inside) = tag.strip_prefix(b"<?") {
        return after(inside, b"?>").map(|(_, tail)| tail);
    }
    if tag.starts_with(b"<!") {
        return Err("XML: document types are refused");
    }
    if let Some(inside) = tag.strip_prefix(b"</") {
        let (name, tail) = after(inside, b">")?;
        return if open.pop() == Some(name.trim_ascii_end()) {
            Ok(tail)
        } else {
            Err(BAD)
        };
    }
    let inside = tag.get(1..).unwrap_or_default();
    let length = inside
        .iter()
        .take_while(|b| !b.is_ascii_whitespace() && !b"/>=\"'<".contains(b))
        .count();
    let (name, mut rest) = inside.split_at(length);
    if name.is_empty() {
        return Err(BAD);
    }
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [b'>', tail @ ..] => {
                open.push(name);
                return Ok(tail);
            }
            [b'/', b'>', tail @ ..] => return Ok(tail),
            _ => rest = attribute(rest, sink)?,
        }
    }
}

fn attribute<'a>(input: &'a [u8], sink: &mut Sink<'_>) -> Result<&'a [u8], Fault> {
    let (name, value) = after(input, b"=")?;
    let name = name.trim_ascii();
    if name.is_empty() || name.iter().any(|b| b"<>/\"'".contains(b)) {
        return Err(BAD);
    }
    let (quote, value) = value
        .trim_ascii_start()
        .split_first()
        .filter(|(q, _)| matches!(q, b'"' | b'\''))
        .ok_or(BAD)?;
    let (value, tail) = after(value, std::slice::from_ref(quote))?;
    let mut decoded = Vec::new();
    unescape(value, &mut decoded);
    if sink(Var::XmlAttributes, name, &decoded) {
        Ok(tail)
    } else {
        Err(TOO_MANY)
    }
}

/// The five predefined entities and character references.
fn unescape(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    while let Some(at) = memchr::memchr(b'&', rest) {
        let (plain, entity) = rest.split_at(at);
        out.extend_from_slice(plain);
        let tail = entity.get(1..).unwrap_or_default();
        let end = tail.iter().take(12).position(|b| *b == b';');
        let c = end.and_then(|end| tail.get(..end)).and_then(|name| match name {
            b"lt" => Some('<'),
            b"gt" => Some('>'),
            b"amp" => Some('&'),
            b"quot" => Some('"'),
            b"apos" => Some('\''),
            [b'#', b'x' | b'X', hex @ ..] => reference(hex, 16),
            [b'#', decimal @ ..] => reference(decimal, 10),
            _ => None,
        });
        match (c, end) {
            (Some(c), Some(end)) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = tail.get(end + 1..).unwrap_or_default();
            }
            _ => {
                out.push(b'&');
                rest = tail;
            }
        }
    }
    out.extend_from_slice(rest);
}

fn reference(digits: &[u8], base: u32) -> Option<char> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|d| u32::from_str_radix(d, base).ok())
        .and_then(char::from_u32)
}
