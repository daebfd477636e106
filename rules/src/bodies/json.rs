//! JSON (RFC 8259) to arguments: `{"a": [{"b": 1}]}` is `json.a.array_0.b` = `1`. An explicit stack, no recursion.

use std::io::Write;

use super::{Fault, Sink, TOO_MANY};
use crate::variables::Var;

const BAD: Fault = "JSON: syntax error";
/// Bytes of a member's name with those of all that it is in.
const PATH_BYTES_MAX: usize = 4096;

#[derive(Debug)]
struct Level {
    /// The length of the path before this level's own part.
    path: usize,
    /// The next index, for arrays.
    index: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the document.
    Start,
    /// A value begins.
    Value,
    /// A container was opened: a member, or its end.
    First,
    /// The name of an object's member begins.
    Name,
    /// In a string; whether it is a member's name.
    Text(bool, Escape),
    /// After a member's name.
    Colon,
    /// In a number, `true`, `false` or `null`.
    Word,
    /// A value ended.
    After,
}

/// Where in an escape sequence a string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Backslash,
    /// Digits of `\uXXXX` so far, their number, and the high surrogate before them.
    Unicode(u32, u8, Option<u32>),
    /// After the high half of a pair.
    High(u32),
    HighBackslash(u32),
}

/// Scalars go to `ARGS_POST`. Containers deeper than `depth_max` are refused.
#[derive(Debug)]
pub(super) struct Reader {
    depth_max: usize,
    state: State,
    stack: Vec<Level>,
    path: Vec<u8>,
    /// What a value that is being read has so far.
    text: Vec<u8>,
}

impl Reader {
    pub(super) fn new(depth_max: usize) -> Self {
        Self {
            depth_max,
            state: State::Start,
            stack: Vec::new(),
            path: b"json".to_vec(),
            text: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let mut rest = chunk;
        while !rest.is_empty() {
            match self.state {
                State::Text(is_name, escape) => rest = self.string(rest, is_name, escape, sink)?,
                State::Word => rest = self.word(rest, sink)?,
                _ => match rest {
                    [b' ' | b'\t' | b'\n' | b'\r', tail @ ..] => rest = tail,
                    [byte, tail @ ..] => {
                        // A word's first byte belongs to it.
                        let taken = self.structure(*byte)?;
                        rest = if taken { tail } else { rest };
                    }
                    [] => {}
                },
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Fault> {
        if self.state == State::Word {
            self.end_word(sink)?;
        }
        match self.state {
            State::Start => Ok(()),
            State::After if self.stack.is_empty() => Ok(()),
            _ => Err(BAD),
        }
    }

    /// One byte outside strings and words; false when it is to be looked at again.
    fn structure(&mut self, byte: u8) -> Result<bool, Fault> {
        match self.state {
            State::Start | State::Value => return self.value(byte),
            State::First => {
                if !self.close(byte) {
                    self.member()?;
                    return Ok(false);
                }
            }
            State::Name if byte == b'"' => self.state = State::Text(true, Escape::None),
            State::Colon if byte == b':' => self.state = State::Value,
            State::After => {
                let Some(level) = self.stack.last() else {
                    return Err("JSON: text after the document");
                };
                self.path.truncate(level.path);
                if byte == b',' {
                    self.member()?;
                } else if !self.close(byte) {
                    return Err(BAD);
                }
            }
            _ => return Err(BAD),
        }
        Ok(true)
    }

    fn value(&mut self, byte: u8) -> Result<bool, Fault> {
        self.text.clear();
        match byte {
            b'{' | b'[' => {
                if self.stack.len() >= self.depth_max {
                    return Err("JSON: too deeply nested");
                }
                self.stack.push(Level {
                    path: self.path.len(),
                    index: (byte == b'[').then_some(0),
                });
                self.state = State::First;
            }
            b'"' => self.state = State::Text(false, Escape::None),
            _ => {
                self.state = State::Word;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Closes the innermost container if the byte does.
    fn close(&mut self, byte: u8) -> bool {
        let closes = self
            .stack
            .last()
            .is_some_and(|level| byte == if level.index.is_some() { b']' } else { b'}' });
        if closes {
            self.stack.pop();
            self.state = State::After;
        }
        closes
    }

    /// A member begins: an array's has a number for a name.
    fn member(&mut self) -> Result<(), Fault> {
        let level = self.stack.last_mut().ok_or(BAD)?;
        self.path.push(b'.');
        let Some(index) = &mut level.index else {
            self.state = State::Name;
            return Ok(());
        };
        write!(self.path, "array_{index}").map_err(|_| BAD)?;
        *index += 1;
        self.state = State::Value;
        self.check_path()
    }

    fn check_path(&self) -> Result<(), Fault> {
        if self.path.len() > PATH_BYTES_MAX {
            return Err("JSON: a member's path is too long");
        }
        Ok(())
    }

    fn word<'c>(&mut self, rest: &'c [u8], sink: &mut Sink<'_>) -> Result<&'c [u8], Fault> {
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || b"+-.".contains(b);
        let length = rest.iter().take_while(|b| is_word(b)).count();
        let (word, tail) = rest.split_at(length);
        self.text.extend_from_slice(word);
        if !tail.is_empty() {
            self.end_word(sink)?;
        }
        Ok(tail)
    }

    fn end_word(&mut self, sink: &mut Sink<'_>) -> Result<(), Fault> {
        let word = self.text.as_slice();
        let is_number = || serde_json::from_slice::<serde_json::Number>(word).is_ok();
        if word == b"null" {
            self.text.clear();
        } else if !matches!(word, b"true" | b"false") && !is_number() {
            return Err(BAD);
        }
        self.state = State::After;
        give(sink, &self.path, &self.text)
    }

    /// Reads on in a string, up to its end or the chunk's.
    fn string<'c>(
        &mut self,
        rest: &'c [u8],
        is_name: bool,
        escape: Escape,
        sink: &mut Sink<'_>,
    ) -> Result<&'c [u8], Fault> {
        let [byte, tail @ ..] = rest else {
            return Ok(rest);
        };
        if escape != Escape::None {
            let (next, taken) = self.escape(is_name, escape, *byte)?;
            self.state = State::Text(is_name, next);
            return Ok(if taken { tail } else { rest });
        }
        let at = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let (plain, tail) = rest.split_at(at);
        if is_name {
            self.name(plain)?;
        } else {
            printable(plain)?;
        }
        match tail {
            [b'"', tail @ ..] => {
                self.state = if is_name { State::Colon } else { State::After };
                if !is_name && self.text.is_empty() {
                    give(sink, &self.path, plain)?;
                } else if !is_name {
                    self.text.extend_from_slice(plain);
                    give(sink, &self.path, &self.text)?;
                }
                Ok(tail)
            }
            _ => {
                if !is_name {
                    self.text.extend_from_slice(plain);
                }
                let Some((_, tail)) = tail.split_first() else {
                    return Ok(tail);
                };
                self.state = State::Text(is_name, Escape::Backslash);
                Ok(tail)
            }
        }
    }

    /// A part of a member's name. Only as much is looked at as may be one, so that which fault comes first does not hang on
    /// where chunks end.
    fn name(&mut self, plain: &[u8]) -> Result<(), Fault> {
        let room = PATH_BYTES_MAX.saturating_sub(self.path.len());
        let plain = plain.get(..=room).unwrap_or(plain);
        printable(plain)?;
        self.path.extend_from_slice(plain);
        self.check_path()
    }

    /// One byte of an escape sequence, and whether it belongs to it.
    fn escape(&mut self, is_name: bool, escape: Escape, byte: u8) -> Result<(Escape, bool), Fault> {
        let out = if is_name { &mut self.path } else { &mut self.text };
        Ok(match (escape, byte) {
            (Escape::Unicode(code, count, high), _) => {
                let digit = char::from(byte).to_digit(16).ok_or(BAD)?;
                let code = code << 4 | digit;
                let next = match (count, high) {
                    (0..3, _) => Escape::Unicode(code, count + 1, high),
                    (_, None) if (0xD800..0xDC00).contains(&code) => Escape::High(code),
                    (_, None) => character(out, code),
                    (_, Some(high)) => {
                        let low = code.wrapping_sub(0xDC00).min(0x3FF);
                        character(out, 0x10000 + ((high - 0xD800) << 10) + low)
                    }
                };
                (next, true)
            }
            (Escape::Backslash, b'u') => (Escape::Unicode(0, 0, None), true),
            (Escape::HighBackslash(high), b'u') => (Escape::Unicode(0, 0, Some(high)), true),
            (Escape::High(high), b'\\') => (Escape::HighBackslash(high), true),
            // Half a pair stands for nothing.
            (Escape::High(high), _) => (character(out, high), false),
            (Escape::HighBackslash(high), _) => {
                character(out, high);
                (Escape::Backslash, false)
            }
            (Escape::Backslash | Escape::None, _) => {
                out.push(match byte {
                    b'"' | b'\\' | b'/' => byte,
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    _ => return Err(BAD),
                });
                (Escape::None, true)
            }
        })
    }
}

fn character(out: &mut Vec<u8>, code: u32) -> Escape {
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Escape::None
}

fn printable(text: &[u8]) -> Result<(), Fault> {
    if text.iter().any(|b| *b < 0x20) {
        return Err("JSON: a control character in a string");
    }
    Ok(())
}

fn give(sink: &mut Sink<'_>, path: &[u8], value: &[u8]) -> Result<(), Fault> {
    if sink(Var::ArgsPost, path, value) {
        Ok(())
    } else {
        Err(TOO_MANY)
    }
}
