//! XML to text and attributes. Document types are refused, so there are no external or growing entities.

use super::carry::Carry;
use super::{Fault, Sink, TOO_MANY};
use crate::compile::XmlArgs;
use crate::variables::Var;

const DEPTH_MAX: usize = 512;
/// Bytes of an element's name with those of all that it is in, where it is an argument's.
const PATH_BYTES_MAX: usize = 4096;
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

/// All text goes to `XML:/*` as one value, each attribute to `XML://@*`. Where it is asked for, the text of each element is
/// an argument too: `<a><b c="1">2</b></a>` is `xml.a.b` = `2` and `xml.a.b.@c` = `1`.
#[derive(Debug)]
pub(super) struct Reader {
    args: XmlArgs,
    state: State,
    piece: Carry,
    text: Vec<u8>,
    /// `xml`, and the names of the open elements, each behind a dot.
    path: Vec<u8>,
    open: Vec<Element>,
    attribute: Vec<u8>,
    value: Vec<u8>,
    seen_root: bool,
}

#[derive(Debug)]
struct Element {
    /// Where its dot stands in the path.
    dot: usize,
    /// Where the part of its text begins that was not given as an argument.
    text: usize,
    has_children: bool,
}

impl Reader {
    pub(super) fn new(args: XmlArgs) -> Self {
        Self {
            args,
            state: State::Text,
            piece: Carry::default(),
            text: Vec::new(),
            path: b"xml".to_vec(),
            open: Vec::new(),
            attribute: Vec::new(),
            value: Vec::new(),
            seen_root: false,
        }
    }

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
        if self.args != XmlArgs::Only && !self.text.is_empty() && !sink(Var::XmlText, b"/*", &self.text) {
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
                    let dot = self.open.last().ok_or(BAD)?.dot;
                    if self.path.get(dot + 1..) != Some(name.trim_ascii_end()) {
                        return Err(BAD);
                    }
                    self.close(sink)?;
                    Some(State::Text)
                }
                None => None,
            },
            State::Name => {
                let stops = |b: u8| b.is_ascii_whitespace() || b"/>=\"'<".contains(&b);
                match self.piece.before(rest, stops) {
                    Some(b"") => return Err(BAD),
                    Some(name) => {
                        if let Some(parent) = self.open.last_mut() {
                            parent.has_children = true;
                            argument(self.args, &self.path, &self.text, parent, sink)?;
                        }
                        self.open.push(Element {
                            dot: self.path.len(),
                            text: self.text.len(),
                            has_children: false,
                        });
                        self.path.push(b'.');
                        self.path.extend_from_slice(name);
                        if self.args != XmlArgs::Off && self.path.len() > PATH_BYTES_MAX {
                            return Err("XML: an element's path is too long");
                        }
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
                    self.give_attribute(sink)?;
                    Some(State::Inside)
                }
                None => None,
            },
            _ => return self.byte(rest, sink),
        };
        self.state = next.unwrap_or(self.state);
        Ok(())
    }

    /// Ends the innermost element.
    fn close(&mut self, sink: &mut Sink<'_>) -> Result<(), Fault> {
        let mut element = self.open.pop().ok_or(BAD)?;
        argument(self.args, &self.path, &self.text, &mut element, sink)?;
        self.path.truncate(element.dot);
        if let Some(parent) = self.open.last_mut() {
            parent.text = self.text.len();
        }
        Ok(())
    }

    fn give_attribute(&mut self, sink: &mut Sink<'_>) -> Result<(), Fault> {
        let (name, value) = (&self.attribute, &self.value);
        let mut taken = self.args == XmlArgs::Only || sink(Var::XmlAttributes, name, value);
        if self.args != XmlArgs::Off {
            let path = [self.path.as_slice(), b".@", name].concat();
            taken &= sink(Var::ArgsPost, &path, value);
        }
        if taken { Ok(()) } else { Err(TOO_MANY) }
    }

    /// Reads one byte where each decides.
    fn byte(&mut self, rest: &mut &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
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
                self.close(sink)?;
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

/// Gives what an element has of text that was not given yet, where elements are arguments: all of one without children,
/// and of others what is not white space.
fn argument(
    args: XmlArgs,
    path: &[u8],
    text: &[u8],
    element: &mut Element,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let own = text.get(element.text..).unwrap_or_default();
    element.text = text.len();
    let blank = element.has_children && own.trim_ascii().is_empty();
    if args == XmlArgs::Off || blank || sink(Var::ArgsPost, path, own) {
        Ok(())
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
