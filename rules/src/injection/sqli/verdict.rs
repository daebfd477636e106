//! The verdict on a print: the list of attacks, and the exceptions for what plain text looks like.

use std::fmt;

use super::fold::{Folder, TOKENS_MAX};
use super::token::Kind;
use super::words;

/// The letters of the kinds of an attack's tokens, as `s&1c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print {
    letters: [u8; TOKENS_MAX],
    len: usize,
}

impl Print {
    fn letters(&self) -> &[u8] {
        self.letters.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Display for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters()
            .iter()
            .try_for_each(|b| write!(f, "{}", char::from(*b)))
    }
}

/// The print of the first `count` tokens if it is one of an attack.
pub(super) fn judge(value: &[u8], folder: &Folder<'_>, count: usize) -> Option<Print> {
    let mut print = Print {
        letters: std::array::from_fn(|place| folder.kind(place) as u8),
        len: count.min(TOKENS_MAX),
    };
    // An empty name in a backtick that is never closed is a comment to PHP's users of MySQL.
    if let Some(last) = count.checked_sub(1).filter(|last| *last > 1) {
        let token = folder.at(last);
        let open_tick = (token.open, token.close) == (b'`', 0) && token.text.is_empty();
        if let (true, Kind::Bareword, Some(letter)) = (open_tick, token.kind, print.letters.get_mut(last)) {
            *letter = Kind::Comment as u8;
        }
    }
    if print.letters().contains(&(Kind::Evil as u8)) {
        print.letters = [Kind::Evil as u8; TOKENS_MAX];
        print.len = 1;
    }
    (words::is_print(print.letters()) && !is_plain(value, folder, &print)).then_some(print)
}

/// Whether a print of the list is more likely plain text.
fn is_plain(value: &[u8], folder: &Folder<'_>, print: &Print) -> bool {
    let letters = print.letters();
    // SQL Server leaves statements with this word in a comment out of its audit log.
    if matches!(letters, [_, .., b'c']) && memchr::memmem::find(value, b"sp_password").is_some() {
        return false;
    }
    match letters {
        [_, second] => is_plain_pair(value, folder, *second),
        [_, _, _] => is_plain_triple(folder, letters),
        _ => false,
    }
}

/// Two tokens: a comment after a word or a number is an attack only in its clear forms.
fn is_plain_pair(value: &[u8], folder: &Folder<'_>, second: u8) -> bool {
    let (operand, comment) = (folder.at(0), folder.at(1));
    let folded = folder.lexer.count > 2;
    if second == Kind::Union as u8 {
        return !folded;
    }
    match (operand.kind, comment.kind, comment.first()) {
        (_, _, b'#') => true,
        (Kind::Bareword, Kind::Comment, mark) => mark != b'/' || long_dashes(comment.text),
        (Kind::Number, Kind::Comment, b'/') => false,
        // Identifiers as `1234-abcd--` are no attack: a space or a comment must follow the number itself.
        (Kind::Number, Kind::Comment, _) => {
            !folded && !ends_number(value.get(operand.text.len()..).unwrap_or_default())
        }
        _ => long_dashes(comment.text),
    }
}

/// People write `--` in text, attackers at its end.
fn long_dashes(text: &[u8]) -> bool {
    text.len() > 2 && text.first() == Some(&b'-')
}

fn ends_number(after: &[u8]) -> bool {
    match after {
        [] | [b'/', b'*', ..] | [b'-', b'-', ..] => true,
        [next, ..] => *next <= b' ' || *next >= 0x80,
    }
}

/// Three tokens: joined strings and a word between two others are text unless more was folded into them.
fn is_plain_triple(folder: &Folder<'_>, letters: &[u8]) -> bool {
    let (first, second, third) = (folder.at(0), folder.at(1), folder.at(2));
    match letters {
        b"sos" | b"s&s" => first.open != 0 || third.close != 0 || first.close != third.open,
        b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s" => folder.lexer.count == 3,
        _ if second.kind == Kind::Keyword => {
            let into = second
                .text
                .get(..4)
                .is_some_and(|word| word.eq_ignore_ascii_case(b"INTO"));
            !into || second.text.len() < 5
        }
        _ => false,
    }
}
