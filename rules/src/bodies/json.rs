//! JSON (RFC 8259) to arguments: `{"a": [{"b": 1}]}` is `json.a.array_0.b` = `1`. An explicit stack, no recursion.

use super::{Fault, Sink, TOO_MANY};
use crate::variables::Var;

struct Level {
    /// The length of the path before this level's own part.
    path: usize,
    /// The next index, for arrays.
    index: Option<usize>,
}

struct Reader<'a> {
    rest: &'a [u8],
}

/// What one call of the value reader met.
enum Token {
    Open(bool),
    Scalar,
}

const BAD: Fault = "JSON: syntax error";

/// Parses a document; scalars go to `ARGS_POST`. Containers deeper than `depth_max` are refused.
pub(crate) fn parse(input: &[u8], depth_max: usize, sink: &mut Sink<'_>) -> Result<(), Fault> {
    let mut reader = Reader { rest: input };
    let mut path = b"json".to_vec();
    let mut stack: Vec<Level> = Vec::new();
    let mut text = Vec::new();
    reader.space();
    if reader.rest.is_empty() {
        return Ok(());
    }
    loop {
        // A value begins here.
        match reader.value(&mut text)? {
            Token::Open(is_array) => {
                if stack.len() >= depth_max {
                    return Err("JSON: too deeply nested");
                }
                stack.push(Level {
                    path: path.len(),
                    index: is_array.then_some(0),
                });
                reader.space();
                let close = if is_array { b']' } else { b'}' };
                if !reader.take(close) {
                    reader.member(&mut stack, &mut path, &mut text)?;
                    continue;
                }
                stack.pop();
            }
            Token::Scalar => {
                if !sink(Var::ArgsPost, &path, &text) {
                    return Err(TOO_MANY);
                }
            }
        }
        // A value ended: go on with the next member, or close containers.
        loop {
            reader.space();
            let Some(level) = stack.last() else {
                return if reader.rest.is_empty() {
                    Ok(())
                } else {
                    Err("JSON: text after the document")
                };
            };
            path.truncate(level.path);
            let close = if level.index.is_some() { b']' } else { b'}' };
            if reader.take(b',') {
                reader.member(&mut stack, &mut path, &mut text)?;
                break;
            }
            if !reader.take(close) {
                return Err(BAD);
            }
            stack.pop();
        }
    }
}

impl Reader<'_> {
    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', tail @ ..] = self.rest {
            self.rest = tail;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, tail @ ..] if *first == byte => {
                self.rest = tail;
                true
            }
            _ => false,
        }
    }

    /// Reads up to where the member's value begins and adds its name to the path.
    fn member(&mut self, stack: &mut [Level], path: &mut Vec<u8>, text: &mut Vec<u8>) -> Result<(), Fault> {
        self.space();
        let level = stack.last_mut().ok_or(BAD)?;
        path.push(b'.');
        if let Some(index) = &mut level.index {
            path.extend_from_slice(format!("array_{index}").as_bytes());
            *index += 1;
        } else {
            if !self.take(b'"') {
                return Err(BAD);
            }
            text.clear();
            self.string(text)?;
            path.extend_from_slice(text);
            self.space();
            if !self.take(b':') {
                return Err(BAD);
            }
        }
        if path.len() > 4096 {
            return Err("JSON: a member's path is too long");
        }
        self.space();
        Ok(())
    }

    fn value(&mut self, text: &mut Vec<u8>) -> Result<Token, Fault> {
        text.clear();
        match self.rest {
            [b'{', tail @ ..] => {
                self.rest = tail;
                Ok(Token::Open(false))
            }
            [b'[', tail @ ..] => {
                self.rest = tail;
                Ok(Token::Open(true))
            }
            [b'"', tail @ ..] => {
                self.rest = tail;
                self.string(text)?;
                Ok(Token::Scalar)
            }
            _ => {
                let end = self
                    .rest
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
                    .count();
                let (word, tail) = self.rest.split_at(end);
                let is_number = serde_json::from_slice::<serde_json::Number>(word).is_ok();
                if !is_number && !matches!(word, b"true" | b"false" | b"null") {
                    return Err(BAD);
                }
                if word != b"null" {
                    text.extend_from_slice(word);
                }
                self.rest = tail;
                Ok(Token::Scalar)
            }
        }
    }

    /// The rest of a string whose opening quote is gone.
    fn string(&mut self, text: &mut Vec<u8>) -> Result<(), Fault> {
        loop {
            let at = memchr::memchr2(b'"', b'\\', self.rest).ok_or(BAD)?;
            let (plain, tail) = self.rest.split_at(at);
            if plain.iter().any(|b| *b < 0x20) {
                return Err("JSON: a control character in a string");
            }
            text.extend_from_slice(plain);
            match tail {
                [b'"', tail @ ..] => {
                    self.rest = tail;
                    return Ok(());
                }
                [b'\\', b'u', tail @ ..] => {
                    self.rest = tail;
                    self.unicode(text)?;
                }
                [b'\\', kind, tail @ ..] => {
                    text.push(match kind {
                        b'"' | b'\\' | b'/' => *kind,
                        b'b' => 8,
                        b'f' => 12,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        _ => return Err(BAD),
                    });
                    self.rest = tail;
                }
                _ => return Err(BAD),
            }
        }
    }

    fn quad(&mut self) -> Option<u32> {
        let digits = std::str::from_utf8(self.rest.get(..4)?).ok()?;
        let code = u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'))?;
        self.rest = self.rest.get(4..)?;
        Some(code)
    }

    fn unicode(&mut self, text: &mut Vec<u8>) -> Result<(), Fault> {
        let mut code = self.quad().ok_or(BAD)?;
        if (0xD800..0xDC00).contains(&code)
            && let [b'\\', b'u', tail @ ..] = self.rest
        {
            self.rest = tail;
            let low = self.quad().ok_or(BAD)?;
            code = 0x10000 + ((code - 0xD800) << 10) + low.wrapping_sub(0xDC00).min(0x3FF);
        }
        let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}
