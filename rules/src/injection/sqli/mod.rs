//! SQL injection: tokens, folding, the list of prints, and the exceptions that keep plain text out of it.
//!
//! A value is read as it stands, then as if it followed an open `'` (when it has one) and an open `"`. Where a comment
//! mark means one thing to ANSI SQL and another to MySQL, the value is read both ways.

mod bytes;
mod fold;
mod lex;
mod literals;
mod pairs;
mod token;
mod triples;
mod verdict;
mod words;

pub(crate) use verdict::Print;

use fold::Folder;
use lex::{Dialect, Lexer, Reading};

/// The print of an SQL injection, or `None` for a value that is none.
pub(crate) fn detect(value: &[u8]) -> Option<Print> {
    if bytes::one_token(value) {
        None
    } else {
        full(value)
    }
}

/// The detector without its early exit.
pub(crate) fn full(value: &[u8]) -> Option<Print> {
    if value.is_empty() {
        return None;
    }
    both_dialects(value, None).or_else(|| {
        let single = memchr::memchr(b'\'', value).and_then(|_| both_dialects(value, Some(b'\'')));
        single.or_else(|| {
            memchr::memchr(b'"', value)?;
            let reading = Reading {
                quote: Some(b'"'),
                dialect: Dialect::MySql,
            };
            read(value, reading).0
        })
    })
}

/// Reads as ANSI SQL and, only if the first reading met a mark that MySQL takes otherwise, as MySQL.
fn both_dialects(value: &[u8], quote: Option<u8>) -> Option<Print> {
    let ansi = Reading {
        quote,
        dialect: Dialect::Ansi,
    };
    let (print, ambiguous) = read(value, ansi);
    if print.is_some() || !ambiguous {
        return print;
    }
    let mysql = Reading {
        quote,
        dialect: Dialect::MySql,
    };
    read(value, mysql).0
}

/// One reading: the print if it is one of an attack, and whether MySQL would read the value otherwise.
fn read(value: &[u8], reading: Reading) -> (Option<Print>, bool) {
    let mut folder = Folder::new(Lexer::new(value, reading));
    let count = folder.run();
    (verdict::judge(value, &folder, count), folder.lexer.ambiguous)
}
