//! XML to text and attributes. Document types are refused, so there are no external or growing entities.

use super::carry::Carry;
use super::{Fault, Sink, TOO_MANY};
use crate::variables::Var;

const DEPTH_MAX: usize = 512;
const BAD: Fault = "XML: not well-formed";
const DOCTYPE: Fault = "XML: document types are refused";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After `<`.
    Markup,
    /// After `<!`.
    Bang,
    /// After `<!-`.
    Dash,
    /// So many bytes of `[CDATA[` were there.
    Bracket(usize),
    Comment,
    Data,
    Instruction,
    EndTag,
    Name,
    /// In a start tag, between attributes.
    Inside,
    /// After the `/` of a start tag.
    Slash,
    Attribute,
    /// After an attribute's `=`.
    Equals,
    /// In an attribute's value, and its quote.
    Value(u8),
}

/// All text goes to `XML:/*` as one value, each attribute to `XML://@*`.
#[derive(Debug, Default)]
pub(super) struct Reader {
    state: State,
    piece: Carry,
    text: Vec<u8>,
    /// The names of the open elements, one after another, and where each begins.
    names: Vec<u8>,
    open: Vec<usize>,
    attribute: Vec<u8>,
    value: Vec<u8>,
    seen_root: bool,
}

impl Reader {
    pub(super) fn push(&mut self, chunk: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let mut rest = chunk;
        let mut read = Ok(());
        while read.is_ok() && !rest.is_empty() {
            read = self.step(&mut rest, sink);
        }
        match read {
            Ok(()) => Ok(()),
            Err(fault) => self.give_text(sink).and(Err(fault)),
        }
    }

    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Fault> {
        let outcome = match self.state {
            State::Text => {
                unescape(self.piece.held(), &mut self.text);
                let whole = self.open.is_empty() && self.seen_root;
                if whole { Ok(()) } else { Err(BAD) }
            }
            State::Bang | State::Dash | State::Bracket(_) => Err(DOCTYPE),
            _ => Err(BAD),
        };
        self.give_text(sink)?;
        outcome
    }

    /// What was read before an error is judged too.
    fn give_text(&mut self, sink: &mut Sink<'_>) -> Result<(), Fault> {
        if !self.text.is_empty() && !sink(Var::XmlText, b"/*", &self.text) {
            return Err(TOO_MANY);
        }
        Ok(())
    }

    /// Reads up to the end of a piece, or of the chunk.
    fn step(&mut self, rest: &mut &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let next = match self.state {
            State::Text => self.piece.until(rest, b"<").map(|plain| {
                unescape(plain, &mut self.text);
                State::Markup
            }),
            State::Comment => self.piece.until(rest, b"-->").map(|_| State::Text),
            State::Instruction => self.piece.until(rest, b"?>").map(|_| State::Text),
            State::Data => self.piece.until(rest, b"]]>").map(|data| {
                self.text.extend_from_slice(data);
                State::Text
            }),
            State::EndTag => match self.piece.until(rest, b">") {
                Some(name) => {
                    let from = self.open.pop().ok_or(BAD)?;
                    if self.names.get(from..) != Some(name.trim_ascii_end()) {
                        return Err(BAD);
                    }
                    self.names.truncate(from);
                    Some(State::Text)
                }
                None => None,
            },
            State::Name => {
                let stops = |b: u8| b.is_ascii_whitespace() || b"/>=\"'<".contains(&b);
                match self.piece.before(rest, stops) {
                    Some(b"") => return Err(BAD),
                    Some(name) => {
                        self.open.push(self.names.len());
                        self.names.extend_from_slice(name);
                        Some(State::Inside)
                    }
                    None => None,
                }
            }
            State::Attribute => match self.piece.until(rest, b"=") {
                Some(name) => {
                    let name = name.trim_ascii();
                    if name.is_empty() || name.iter().any(|b| b"<>/\"'".contains(b)) {
                        return Err(BAD);
                    }
                    self.attribute.clear();
                    self.attribute.extend_from_slice(name);
                    Some(State::Equals)
                }
                None => None,
            },
            State::Value(quote) => match self.piece.until(rest, &[quote]) {
                Some(value) => {
                    self.value.clear();
                    unescape(value, &mut self.value);
                    if !sink(Var::XmlAttributes, &self.attribute, &self.value) {
                        return Err(TOO_MANY);
                    }
                    Some(State::Inside)
                }
                None => None,
            },
            _ => return self.byte(rest),
        };
        self.state = next.unwrap_or(self.state);
        Ok(())
    }

    /// Reads one byte where each decides.
    fn byte(&mut self, rest: &mut &[u8]) -> Result<(), Fault> {
        let [byte, tail @ ..] = *rest else {
            return Ok(());
        };
        let before = *rest;
        *rest = tail;
        self.state = match (self.state, *byte) {
            (State::Markup, b'!') => State::Bang,
            (State::Markup, b'?') => State::Instruction,
            (State::Markup, b'/') => State::EndTag,
            (State::Markup, _) => {
                *rest = before;
                State::Name
            }
            (State::Bang, b'-') => State::Dash,
            (State::Dash, b'-') => State::Comment,
            (State::Bang, b'[') => State::Bracket(1),
            (State::Bracket(6), b'[') => State::Data,
            (State::Bracket(count), byte) if b"[CDATA".get(count) == Some(&byte) => State::Bracket(count + 1),
            (State::Bang | State::Dash | State::Bracket(_), _) => return Err(DOCTYPE),
            (State::Inside | State::Equals, byte) if byte.is_ascii_whitespace() => self.state,
            (State::Inside, b'>') => {
                self.seen_root = true;
                if self.open.len() > DEPTH_MAX {
                    return Err("XML: too deeply nested");
                }
                State::Text
            }
            (State::Inside, b'/') => State::Slash,
            (State::Slash, b'>') => {
                self.seen_root = true;
                // The element ends where it begins.
                self.names.truncate(self.open.pop().ok_or(BAD)?);
                State::Text
            }
            (State::Inside, _) => {
                *rest = before;
                State::Attribute
            }
            (State::Equals, quote @ (b'"' | b'\'')) => State::Value(quote),
            _ => return Err(BAD),
        };
        Ok(())
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
