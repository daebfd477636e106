//! Literals: strings in every database's quotes, numbers, variables.

use memchr::memmem;

use super::bytes::{self, Class, run};
use super::lex::{Taken, sized};
use super::token::{Kind, Token};
use super::words;

/// A string that begins after `skip` bytes and ends before an unescaped quote: neither doubled nor behind an odd number
/// of backslashes.
pub(super) fn string(rest: &[u8], quote: u8, skip: usize) -> Taken<'_> {
    let body = rest.get(skip..).unwrap_or_default();
    let mut from = 0;
    while let Some(found) = body.get(from..).and_then(|b| memchr::memchr(quote, b)) {
        let end = from + found;
        let before = body.get(..end).unwrap_or_default();
        let slashes = before.iter().rev().take_while(|b| **b == b'\\').count();
        if slashes % 2 == 1 {
            from = end + 1;
        } else if body.get(end + 1) == Some(&quote) {
            from = end + 2;
        } else {
            return (
                Token::new(Kind::String, before).quoted(quote, quote),
                skip + end + 1,
            );
        }
    }
    (Token::new(Kind::String, body).quoted(quote, 0), rest.len())
}

/// The literal that a letter before a quote begins; `None` if it begins a word.
pub(super) fn prefixed(class: Class, rest: &[u8]) -> Option<Taken<'_>> {
    match class {
        Class::EscapeString => escape(rest),
        Class::NationalString => escape(rest).or_else(|| oracle(rest, 1)),
        Class::OracleString => oracle(rest, 0),
        Class::BinaryString => digits_in_quotes(rest, |b| matches!(b, b'0' | b'1' | 0)),
        Class::HexString => digits_in_quotes(rest, |b| b.is_ascii_hexdigit() || b == 0),
        Class::UnicodeString => {
            let [_, b'&', quoted @ ..] = rest else { return None };
            let quoted = quoted.first().filter(|b| **b == b'\'').map(|_| quoted)?;
            let (token, taken) = string(quoted, b'\'', 1);
            let close = if token.close == b'\'' { b'u' } else { token.close };
            Some((token.quoted(b'u', close), taken + 2))
        }
        _ => None,
    }
}

/// `E'...'` and `N'...'`.
fn escape(rest: &[u8]) -> Option<Taken<'_>> {
    let [_, b'\'', _, ..] = rest else { return None };
    Some(string(rest, b'\'', 2))
}

/// Oracle's `q'(...)'` with any bracket or sign, after `skip` bytes.
fn oracle(rest: &[u8], skip: usize) -> Option<Taken<'_>> {
    let [b'q' | b'Q', b'\'', open @ b'!'..=0x7F, body @ ..] = rest.get(skip..)? else {
        return None;
    };
    let close = match open {
        b'(' => b')',
        b'[' => b']',
        b'{' => b'}',
        b'<' => b'>',
        other => *other,
    };
    Some(until(rest, body, &[close, b'\''], b'q'))
}

/// A string of `body`, the last part of `rest`, up to the mark that closes it.
fn until<'a>(rest: &'a [u8], body: &'a [u8], mark: &[u8], quote: u8) -> Taken<'a> {
    match memmem::find(body, mark) {
        Some(end) => {
            let text = body.get(..end).unwrap_or_default();
            let taken = rest.len() - body.len() + end + mark.len();
            (Token::new(Kind::String, text).quoted(quote, quote), taken)
        }
        None => (Token::new(Kind::String, body).quoted(quote, 0), rest.len()),
    }
}

/// `b'01'` and `x'7f'`: numbers.
fn digits_in_quotes(rest: &[u8], is_digit: impl Fn(u8) -> bool) -> Option<Taken<'_>> {
    let [_, b'\'', body @ ..] = rest else { return None };
    let digits = run(body, is_digit);
    (body.get(digits) == Some(&b'\'')).then(|| sized(Kind::Number, rest, digits + 3))
}

/// A name in backticks: a function of the list or a bare word.
pub(super) fn tick(rest: &[u8]) -> Taken<'_> {
    let (mut token, taken) = string(rest, b'`', 1);
    token.kind = match words::word(token.text) {
        Some((_, Kind::Function)) => Kind::Function,
        _ => Kind::Bareword,
    };
    (token, taken)
}

/// `@name`, `@@name` and their quoted forms.
pub(super) fn variable(rest: &[u8]) -> Taken<'_> {
    let marks = if rest.get(1) == Some(&b'@') { 2 } else { 1 };
    let name = rest.get(marks..).unwrap_or_default();
    let (mut token, taken) = match name.first() {
        Some(b'`') => tick(name),
        Some(quote @ (b'\'' | b'"')) => string(name, *quote, 1),
        _ => sized(Kind::Variable, name, bytes::name_len(name)),
    };
    token.kind = Kind::Variable;
    (token, marks + taken)
}

/// What begins with `$`: an amount, a string between `$$` or `$tag$`, or the sign alone; `None` if a word.
pub(super) fn dollar(rest: &[u8]) -> Option<Taken<'_>> {
    let after = rest.get(1..).unwrap_or_default();
    let amount = run(after, |b| matches!(b, b'0'..=b'9' | b'.' | b',' | 0));
    if amount == 1 && after.first() == Some(&b'.') {
        return None;
    }
    if amount > 0 {
        return Some(sized(Kind::Number, rest, amount + 1));
    }
    let tag = run(after, |b| b.is_ascii_alphabetic() || b == 0);
    if after.get(tag) != Some(&b'$') {
        return Some(sized(Kind::Bareword, rest, 1));
    }
    let (mark, body) = rest.split_at_checked(tag + 2)?;
    Some(until(rest, body, mark, b'$'))
}

/// A number, or a dot alone. An exponent without digits is what MySQL reads as nothing: the error has the bytes that
/// are passed over for it.
pub(super) fn number(rest: &[u8]) -> Result<Taken<'_>, usize> {
    if let [b'0', base @ (b'x' | b'X' | b'b' | b'B'), digits @ ..] = rest {
        let hex = matches!(base, b'x' | b'X');
        let len = run(digits, |b| {
            matches!(b, b'0' | b'1' | 0) || hex && b.is_ascii_hexdigit()
        });
        let kind = if len == 0 { Kind::Bareword } else { Kind::Number };
        return Ok(sized(kind, rest, len + 2));
    }
    let digits_at = |at: usize| run(rest.get(at..).unwrap_or_default(), |b| b.is_ascii_digit());
    let mut len = digits_at(0);
    if rest.get(len) == Some(&b'.') {
        len += 1 + digits_at(len + 1);
        if len == 1 {
            return Ok(sized(Kind::Dot, rest, 1));
        }
    }
    let mut empty_exponent = false;
    if matches!(rest.get(len), Some(b'e' | b'E')) {
        len += 1;
        if matches!(rest.get(len), Some(b'+' | b'-')) {
            len += 1;
        }
        let digits = digits_at(len);
        empty_exponent = digits == 0;
        len += digits;
    }
    len += float_suffix(rest.get(len..).unwrap_or_default());
    if empty_exponent {
        Err(len)
    } else {
        Ok(sized(Kind::Number, rest, len))
    }
}

/// Oracle's `1d` and `1f`, also in `1fUNION`.
fn float_suffix(rest: &[u8]) -> usize {
    let ends = |next: u8| bytes::is_white(next) || matches!(next, b';' | b'u' | b'U');
    match rest {
        [b'd' | b'D' | b'f' | b'F'] => 1,
        [b'd' | b'D' | b'f' | b'F', next, ..] if ends(*next) => 1,
        _ => 0,
    }
}
