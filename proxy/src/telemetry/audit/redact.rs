//! What of a value may be written down. Names say what is secret, digits with a check sum what is a card number; a value
//! that carries `name=value` pairs itself ends where a secret name begins.

use std::borrow::Cow;

use weir_schema::config::checked::AuditLog;

pub(super) const REDACTED: &str = "[redacted]";
const CARD: &str = "[card]";

/// Parts of names, lower case. `cookie` covers `REQUEST_COOKIES` and the headers.
const SECRET_PARTS: &[&str] = &[
    "access_key",
    "api-key",
    "api_key",
    "apikey",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "csrf",
    "cvc",
    "cvv",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "pwd",
    "secret",
    "session",
    "token",
];

/// Digits of a card number (ISO/IEC 7812-1: 8 to 19; payment cards have 13 at least).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Characters between a secret name and its `=` or `:`, such as the end of a longer name or a quote.
const NAME_REST_MAX: usize = 16;

fn secret_parts(log: &AuditLog) -> impl Iterator<Item = &str> {
    SECRET_PARTS
        .iter()
        .copied()
        .chain(log.redact.iter().map(String::as_str))
}

/// Whether the value of a variable or parameter of this name is secret. A list of names is not.
pub(super) fn is_secret(log: &AuditLog, name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let collection = lower.split(':').next().unwrap_or_default();
    !collection.ends_with("_names") && secret_parts(log).any(|part| lower.contains(part))
}

/// The value of a name that is not secret, without what looks secret in it.
pub(super) fn clean<'a>(log: &AuditLog, value: &'a str) -> Cow<'a, str> {
    let lower = value.to_ascii_lowercase();
    let cut = secret_parts(log)
        .filter_map(|part| first_pair(&lower, part))
        .min();
    let kept = cut.and_then(|at| value.get(..at)).unwrap_or(value);
    let mut text = cards(kept);
    if cut.is_some() {
        text.to_mut().push_str(REDACTED);
    }
    text
}

/// Where the value of the first `part...=` or `part...:` begins; also percent-encoded. `>` ends the name of an element.
fn first_pair(lower: &str, part: &str) -> Option<usize> {
    lower.match_indices(part).find_map(|(at, _)| {
        let mut at = at + part.len();
        for _ in 0..NAME_REST_MAX {
            let rest = lower.get(at..)?;
            match rest.as_bytes() {
                [b'=' | b':' | b'>', ..] => return Some(at + 1),
                [b'%', b'3', b'a' | b'd' | b'e', ..] => return Some(at + 3),
                // A blank, a quote, a bracket.
                [b'%', b'2', b'0' | b'2' | b'7', ..] | [b'%', b'5', b'd', ..] => at += 3,
                [
                    b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'"' | b'\'' | b' ' | b']' | b'.' | b'\\',
                    ..,
                ] => at += 1,
                _ => return None,
            }
        }
        None
    })
}

/// The text with card numbers replaced.
fn cards(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out: Option<String> = None;
    let (mut at, mut copied) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        if !byte.is_ascii_digit() {
            at += 1;
            continue;
        }
        let (card, group) = card_from(bytes, at);
        if let Some(end) = card {
            let out = out.get_or_insert_with(String::new);
            out.push_str(text.get(copied..at).unwrap_or_default());
            out.push_str(CARD);
            copied = end;
        }
        at = card.unwrap_or(group);
    }
    match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(text.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// Where the longest card number that begins here ends, and where its first group of digits does. Groups have single blanks
/// or hyphens between them.
fn card_from(bytes: &[u8], start: usize) -> (Option<usize>, usize) {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let (mut digits, mut card, mut group, mut at) = (Vec::new(), None, None, start);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'0'..=b'9' => {
                digits.push(byte - b'0');
                if !is_digit(at + 1) {
                    group.get_or_insert(at + 1);
                    card = if is_card(&digits) { Some(at + 1) } else { card };
                }
            }
            b' ' | b'-' | b'+' if is_digit(at + 1) && digits.len() < *CARD_DIGITS.end() => {}
            _ => break,
        }
        at += 1;
    }
    (card, group.unwrap_or(at))
}

/// A first digit that payment cards have, and the check digit of ISO/IEC 7812-1 (Luhn).
fn is_card(digits: &[u8]) -> bool {
    if !CARD_DIGITS.contains(&digits.len()) || !matches!(digits.first(), Some(2..=6)) {
        return false;
    }
    let weigh = |(at, digit): (usize, &u8)| {
        let doubled = u32::from(*digit) << (at % 2);
        if doubled > 9 { doubled - 9 } else { doubled }
    };
    digits.iter().rev().enumerate().map(weigh).sum::<u32>() % 10 == 0
}

/// The value of a variable, or a note that it is secret.
pub(super) fn value<'a>(log: &AuditLog, name: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret(log, name) {
        return Cow::Borrowed(REDACTED);
    }
    clean(log, value)
}

/// A query with the values of secret parameters replaced; `values` false leaves only names.
pub(super) fn query(log: &AuditLog, query: &str, values: bool) -> String {
    let mut out = String::with_capacity(query.len());
    for (at, part) in query.split('&').enumerate() {
        if at > 0 {
            out.push('&');
        }
        let Some((name, value)) = part.split_once('=') else {
            // Without a name it may be a value.
            if values {
                out.push_str(&clean(log, part));
            }
            continue;
        };
        out.push_str(name);
        out.push('=');
        if values {
            out.push_str(&self::value(log, &percent_decoded(name), value));
        }
    }
    out
}

fn percent_decoded(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The first `max` bytes, at a character's end.
pub(super) fn cut(text: Cow<'_, str>, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text;
    }
    let end = text.floor_char_boundary(max);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
