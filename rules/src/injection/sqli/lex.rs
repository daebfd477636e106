//! The lexer: one token at a time, in the union of what the common databases read.

use super::bytes::{self, Class};
use super::literals;
use super::token::{Kind, TEXT_MAX, Token};
use super::words;

/// How comment marks are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `--` begins a comment, `#` is an operator.
    Ansi,
    /// `--` begins a comment before a space only, `#` always.
    MySql,
}

/// One way to read a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// The quote that is thought to stand open before the value.
    pub(super) quote: Option<u8>,
    pub(super) dialect: Dialect,
}

/// Reads tokens from a value.
pub(super) struct Lexer<'a> {
    value: &'a [u8],
    at: usize,
    reading: Reading,
    /// Tokens read, comments too.
    pub(super) count: usize,
    /// Whether a mark was met that the other dialect reads otherwise.
    pub(super) ambiguous: bool,
}

/// A token, and the bytes it takes.
pub(super) type Taken<'a> = (Token<'a>, usize);

impl<'a> Lexer<'a> {
    pub(super) fn new(value: &'a [u8], reading: Reading) -> Self {
        Self {
            value,
            at: 0,
            reading,
            count: 0,
            ambiguous: false,
        }
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        if let (0, Some(quote)) = (self.at, self.reading.quote) {
            let (token, taken) = literals::string(self.value, quote, 0);
            return Some(self.take(token.quoted(0, token.close), taken));
        }
        loop {
            let rest = self.value.get(self.at..).unwrap_or_default();
            let class = bytes::class(*rest.first()?);
            if class == Class::White {
                self.at += 1;
                continue;
            }
            match self.token(class, rest) {
                Ok((token, taken)) => return Some(self.take(token, taken)),
                Err(taken) => self.at += taken,
            }
        }
    }

    fn take(&mut self, token: Token<'a>, taken: usize) -> Token<'a> {
        self.at += taken;
        self.count += 1;
        token
    }

    /// The token at the beginning of `rest`, or the bytes to pass over that make none.
    fn token(&mut self, class: Class, rest: &'a [u8]) -> Result<Taken<'a>, usize> {
        Ok(match class {
            Class::White => return Err(1),
            Class::At => literals::variable(rest),
            Class::Backslash if rest.get(1) == Some(&b'N') => sized(Kind::Number, rest, 2),
            Class::Backslash => sized(Kind::Backslash, rest, 1),
            Class::Bracket => {
                let len = memchr::memchr(b']', rest).map_or(rest.len(), |end| end + 1);
                sized(Kind::Bareword, rest, len)
            }
            Class::Dash => self.dash(rest),
            Class::Digit => return literals::number(rest),
            Class::Dollar => literals::dollar(rest).unwrap_or_else(|| word(rest)),
            Class::Hash => {
                self.ambiguous = true;
                match self.reading.dialect {
                    Dialect::Ansi => sized(Kind::Operator, rest, 1),
                    Dialect::MySql => line_comment(rest),
                }
            }
            Class::Operator => sized(Kind::Operator, rest, 1),
            Class::OperatorPair => operator(rest),
            Class::Punctuation => sized(punctuation(rest), rest, 1),
            Class::Quote => literals::string(rest, rest.first().copied().unwrap_or(0), 1),
            Class::Slash => slash(rest),
            Class::Tick => literals::tick(rest),
            Class::Unknown => sized(Kind::Unknown, rest, 1),
            Class::Word => word(rest),
            Class::BinaryString
            | Class::EscapeString
            | Class::HexString
            | Class::NationalString
            | Class::OracleString
            | Class::UnicodeString => literals::prefixed(class, rest).unwrap_or_else(|| word(rest)),
        })
    }

    /// `--` and its two meanings, or a minus.
    fn dash(&mut self, rest: &'a [u8]) -> Taken<'a> {
        match rest {
            [_, b'-'] => line_comment(rest),
            [_, b'-', next, ..] if bytes::is_white(*next) => line_comment(rest),
            [_, b'-', ..] if self.reading.dialect == Dialect::Ansi => {
                self.ambiguous = true;
                line_comment(rest)
            }
            _ => sized(Kind::Operator, rest, 1),
        }
    }
}

/// A token of the first bytes of `rest`.
pub(super) fn sized(kind: Kind, rest: &[u8], len: usize) -> Taken<'_> {
    (Token::new(kind, rest.get(..len).unwrap_or(rest)), len)
}

fn punctuation(rest: &[u8]) -> Kind {
    match rest.first() {
        Some(b'(') => Kind::LeftParen,
        Some(b')') => Kind::RightParen,
        Some(b',') => Kind::Comma,
        Some(b';') => Kind::Semicolon,
        Some(b'{') => Kind::LeftBrace,
        Some(b'}') => Kind::RightBrace,
        _ => Kind::Unknown,
    }
}

fn line_comment(rest: &[u8]) -> Taken<'_> {
    match memchr::memchr(b'\n', rest) {
        Some(end) => (sized(Kind::Comment, rest, end).0, end + 1),
        None => sized(Kind::Comment, rest, rest.len()),
    }
}

/// `/` or a comment. Comments inside comments and MySQL's conditional ones are read differently by each database: they
/// make the value evil.
fn slash(rest: &[u8]) -> Taken<'_> {
    let [_, b'*', body @ ..] = rest else {
        return sized(Kind::Operator, rest, 1);
    };
    let end = memchr::memmem::find(body, b"*/");
    // The star of the end counts too, as in `/*/*/`.
    let nested = |end: usize| memchr::memmem::find(body.get(..=end).unwrap_or_default(), b"/*").is_some();
    let evil = body.first() == Some(&b'!') || end.is_some_and(nested);
    let kind = if evil { Kind::Evil } else { Kind::Comment };
    sized(kind, rest, end.map_or(rest.len(), |end| end + 4))
}

fn operator(rest: &[u8]) -> Taken<'_> {
    if rest.starts_with(b"<=>") {
        return sized(Kind::Operator, rest, 3);
    }
    if let Some((_, kind)) = rest.get(..2).and_then(words::word) {
        return sized(kind, rest, 2);
    }
    let colon = rest.len() > 1 && rest.first() == Some(&b':');
    sized(if colon { Kind::Colon } else { Kind::Operator }, rest, 1)
}

/// A word: the keyword before its first `.` or backtick if there is one, else the whole.
///
/// Its whole length is only measured when no keyword ends it early: words such as "IS`IS`IS`" give many keywords, and measuring all
/// that follows for each of them would be quadratic (found by fuzzing, 2026-11-25).
pub(super) fn word(rest: &[u8]) -> Taken<'_> {
    let shown_len = bytes::word_len(rest.get(..TEXT_MAX).unwrap_or(rest));
    let shown = rest.get(..shown_len).unwrap_or(rest);
    for (mark, _) in shown.iter().enumerate().filter(|(_, b)| matches!(b, b'.' | b'`')) {
        match shown.get(..mark).and_then(words::word) {
            None | Some((_, Kind::Bareword)) => {}
            Some((_, kind)) => return sized(kind, rest, mark),
        }
    }
    let len = bytes::word_len(rest);
    let whole = rest.get(..len).unwrap_or(rest);
    let kind = words::word(whole).map_or(Kind::Bareword, |(_, kind)| kind);
    sized(kind, rest, len)
}
