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
    /// The string or word that is being read.
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
            State::Name if byte == b'"' => {
                self.text.clear();
                self.state = State::Text(true, Escape::None);
            }
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
        self.check_path(0)
    }

    fn check_path(&self, more: usize) -> Result<(), Fault> {
        if self.path.len() + more > PATH_BYTES_MAX {
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
        self.scalar(sink)
    }

    fn scalar(&mut self, sink: &mut Sink<'_>) -> Result<(), Fault> {
        self.state = State::After;
        if sink(Var::ArgsPost, &self.path, &self.text) {
            Ok(())
        } else {
            Err(TOO_MANY)
        }
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
            let (next, taken) = self.escape(escape, *byte)?;
            self.state = State::Text(is_name, next);
            return Ok(if taken { tail } else { rest });
        }
        let at = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let (plain, tail) = rest.split_at(at);
        // Of a name only as much is looked at as may be one, so that which fault comes first does not hang on chunks.
        let room = PATH_BYTES_MAX.saturating_sub(self.path.len() + self.text.len());
        let plain = plain.get(..=room).filter(|_| is_name).unwrap_or(plain);
        if plain.iter().any(|b| *b < 0x20) {
            return Err("JSON: a control character in a string");
        }
        self.text.extend_from_slice(plain);
        if is_name {
            self.check_path(self.text.len())?;
        }
        let Some((end, tail)) = tail.split_first() else {
            return Ok(tail);
        };
        if *end == b'\\' {
            self.state = State::Text(is_name, Escape::Backslash);
        } else if is_name {
            self.path.extend_from_slice(&self.text);
            self.state = State::Colon;
        } else {
            self.scalar(sink)?;
        }
        Ok(tail)
    }

    /// One byte of an escape sequence, and whether it belongs to it.
    fn escape(&mut self, escape: Escape, byte: u8) -> Result<(Escape, bool), Fault> {
        Ok(match (escape, byte) {
            (Escape::Unicode(code, count, high), _) => {
                let digit = char::from(byte).to_digit(16).ok_or(BAD)?;
                let code = code << 4 | digit;
                let next = match (count, high) {
                    (0..3, _) => Escape::Unicode(code, count + 1, high),
                    (_, None) if (0xD800..0xDC00).contains(&code) => Escape::High(code),
                    (_, None) => self.character(code),
                    (_, Some(high)) => {
                        let low = code.wrapping_sub(0xDC00).min(0x3FF);
                        self.character(0x10000 + ((high - 0xD800) << 10) + low)
                    }
                };
                (next, true)
            }
            (Escape::Backslash, b'u') => (Escape::Unicode(0, 0, None), true),
            (Escape::HighBackslash(high), b'u') => (Escape::Unicode(0, 0, Some(high)), true),
            (Escape::High(high), b'\\') => (Escape::HighBackslash(high), true),
            // Half a pair stands for nothing.
            (Escape::High(high), _) => (self.character(high), false),
            (Escape::HighBackslash(high), _) => {
                self.character(high);
                (Escape::Backslash, false)
            }
            (Escape::Backslash | Escape::None, _) => {
                self.text.push(match byte {
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

    fn character(&mut self, code: u32) -> Escape {
        let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Escape::None
    }
}
