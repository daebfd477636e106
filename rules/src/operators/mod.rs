//! Operators: what a rule asks of a value. Each compiles from its argument once, at load.

mod address;
mod bytes;

use std::path::Path;

use aho_corasick::AhoCorasick;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use crate::compile::Macro;
use crate::sources::Files;

pub(crate) use address::Network;
pub(crate) use bytes::{ByteSet, broken_url_encoding};

/// Comparisons of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
}

/// Comparisons of byte strings; the argument may hold macros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    BeginsWith,
    Contains,
    ContainsWord,
    EndsWith,
    Strmatch,
    Streq,
    Within,
}

/// A compiled operator.
#[derive(Debug)]
pub(crate) enum Operator {
    Always,
    Never,
    Rx(Regex),
    Phrases(AhoCorasick),
    Number(Order, Macro),
    Text(Text, Macro),
    DetectSqli,
    DetectXss,
    ByteRange(Box<ByteSet>),
    Utf8,
    UrlEncoding,
    Address(Vec<Network>),
}

/// Names of the operators, for diagnostics.
pub(crate) const NAMES: &[&str] = &[
    "beginsWith",
    "contains",
    "containsWord",
    "detectSQLi",
    "detectXSS",
    "endsWith",
    "eq",
    "ge",
    "gt",
    "ipMatch",
    "ipMatchFromFile",
    "le",
    "lt",
    "noMatch",
    "pm",
    "pmFromFile",
    "pmf",
    "rx",
    "streq",
    "strmatch",
    "unconditionalMatch",
    "validateByteRange",
    "validateUrlEncoding",
    "validateUtf8Encoding",
    "within",
];

/// A regex of SecLang: bytes, no Unicode, dot matches line ends, `$` only at the end.
pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    Regex::builder()
        .configure(
            Regex::config()
                .utf8_empty(false)
                .nfa_size_limit(Some(16 << 20))
                .onepass_size_limit(Some(1 << 18)),
        )
        .syntax(
            syntax::Config::new()
                .unicode(false)
                .utf8(false)
                .dot_matches_new_line(true)
                .nest_limit(200),
        )
        .build(&byte_escapes(pattern))
        .map_err(|e| {
            let mut text = e.to_string();
            if let Some(inner) = std::error::Error::source(&e) {
                text = format!("{text}: {inner}");
            }
            text
        })
}

/// `\x{HH}` means one byte in SecLang; regex-automata would read it as a code point, so it becomes `\xHH`.
fn byte_escapes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let braced = escape.strip_prefix("\\x{").and_then(|t| t.split_once('}'));
        if let Some((digits, after)) = braced
            && (1..=2).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_hexdigit())
        {
            out.push_str(&format!("\\x{digits:0>2}"));
            rest = after;
        } else {
            // PCRE takes an escaped `/`, `"` and the like as themselves, and so does regex-automata for
            // punctuation; `<` and `>` would be word boundaries there, so they lose the backslash.
            let next = escape.get(1..).and_then(|t| t.chars().next());
            if !matches!(next, Some('<' | '>' | '/')) {
                out.push('\\');
            }
            if let Some(c) = next {
                out.push(c);
            }
            rest = escape
                .get(1 + next.map_or(0, char::len_utf8)..)
                .unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

fn phrases(words: Vec<Vec<u8>>) -> Result<Operator, String> {
    if words.is_empty() {
        return Err("there is no phrase to look for".to_owned());
    }
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(words)
        .map(Operator::Phrases)
        .map_err(|e| e.to_string())
}

fn file(argument: &str, folder: &Path, files: &dyn Files) -> Result<Vec<Vec<u8>>, String> {
    let mut lines = Vec::new();
    for name in argument.split_ascii_whitespace() {
        let path = folder.join(name);
        let data = files
            .read(&path)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        lines.extend(
            data.split(|b| *b == b'\n')
                .map(<[u8]>::trim_ascii)
                .filter(|l| !l.is_empty() && !l.starts_with(b"#"))
                .map(<[u8]>::to_vec),
        );
    }
    Ok(lines)
}

/// `@pm` may write bytes as `|41 42|`, as Snort does.
fn pm_words(argument: &str) -> Vec<Vec<u8>> {
    argument
        .split_ascii_whitespace()
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// Compiles an operator.
///
/// # Errors
/// `None` when the name is unknown, else what is wrong with the argument.
pub(crate) fn build(
    name: &str,
    argument: &str,
    text: impl FnOnce(&str) -> Result<Macro, String>,
    folder: &Path,
    files: &dyn Files,
) -> Result<Operator, Option<String>> {
    let text = |make: &dyn Fn(Macro) -> Operator| text(argument).map(make);
    let number = |order| move |m| Operator::Number(order, m);
    let string = |kind| move |m| Operator::Text(kind, m);
    match name.to_ascii_lowercase().as_str() {
        "unconditionalmatch" => Ok(Operator::Always),
        "nomatch" => Ok(Operator::Never),
        "rx" => regex(argument).map(Operator::Rx),
        "pm" => phrases(pm_words(argument)),
        "pmfromfile" | "pmf" => file(argument, folder, files).and_then(phrases),
        "eq" => text(&number(Order::Eq)),
        "ge" => text(&number(Order::Ge)),
        "gt" => text(&number(Order::Gt)),
        "le" => text(&number(Order::Le)),
        "lt" => text(&number(Order::Lt)),
        "beginswith" => text(&string(Text::BeginsWith)),
        "contains" => text(&string(Text::Contains)),
        "containsword" => text(&string(Text::ContainsWord)),
        "endswith" => text(&string(Text::EndsWith)),
        "streq" => text(&string(Text::Streq)),
        "strmatch" => text(&string(Text::Strmatch)),
        "within" => text(&string(Text::Within)),
        "detectsqli" => Ok(Operator::DetectSqli),
        "detectxss" => Ok(Operator::DetectXss),
        "validatebyterange" => ByteSet::parse(argument).map(|set| Operator::ByteRange(Box::new(set))),
        "validateutf8encoding" => Ok(Operator::Utf8),
        "validateurlencoding" => Ok(Operator::UrlEncoding),
        "ipmatch" => argument
            .split(',')
            .map(|n| Network::parse(n.trim()))
            .collect::<Result<_, _>>()
            .map(Operator::Address),
        "ipmatchfromfile" => file(argument, folder, files).and_then(|lines| {
            let parse = |l: &Vec<u8>| Network::parse(&String::from_utf8_lossy(l));
            lines
                .iter()
                .map(parse)
                .collect::<Result<_, _>>()
                .map(Operator::Address)
        }),
        _ => return Err(None),
    }
    .map_err(Some)
}

/// The integer at the start of a value, as C's `atoi` reads it; 0 when there is none.
pub(crate) fn integer(value: &[u8]) -> i64 {
    let value = value.trim_ascii_start();
    let (negative, digits) = match value {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, value),
    };
    let number = digits
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0_i64, |n, b| {
            n.saturating_mul(10).saturating_add(i64::from(b - b'0'))
        });
    if negative { -number } else { number }
}

impl Order {
    pub(crate) fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ge => left >= right,
            Self::Gt => left > right,
            Self::Le => left <= right,
            Self::Lt => left < right,
        }
    }
}

impl Text {
    pub(crate) fn holds(self, value: &[u8], argument: &[u8]) -> bool {
        match self {
            Self::BeginsWith => value.starts_with(argument),
            Self::Contains | Self::Strmatch => memchr::memmem::find(value, argument).is_some(),
            Self::ContainsWord => bytes::contains_word(value, argument),
            Self::EndsWith => value.ends_with(argument),
            Self::Streq => value == argument,
            Self::Within => memchr::memmem::find(argument, value).is_some(),
        }
    }
}

impl Operator {
    /// Whether the value matches; the parts to capture go to `captures` if it is given. The arguments of
    /// comparisons were expanded by the caller.
    pub(crate) fn matches(&self, value: &[u8], argument: &[u8], captures: Option<&mut Vec<Vec<u8>>>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Rx(regex) => match captures {
                None => regex.is_match(value),
                Some(captures) => rx_captures(regex, value, captures),
            },
            Self::Phrases(automaton) => match automaton.find(value) {
                None => false,
                Some(found) => {
                    if let Some(captures) = captures {
                        captures.push(value.get(found.range()).unwrap_or_default().to_vec());
                    }
                    true
                }
            },
            Self::Number(order, _) => order.holds(integer(value), integer(argument)),
            Self::Text(text, _) => text.holds(value, argument),
            Self::DetectSqli => {
                let result = libinjectionrs::detect_sqli(value);
                if let (true, Some(captures), Some(print)) =
                    (result.is_injection(), captures, &result.fingerprint)
                {
                    captures.push(print.to_string().into_bytes());
                }
                result.is_injection()
            }
            Self::DetectXss => libinjectionrs::detect_xss(value).is_injection(),
            Self::ByteRange(set) => value.iter().any(|b| !set.contains(*b)),
            Self::Utf8 => std::str::from_utf8(value).is_err(),
            Self::UrlEncoding => broken_url_encoding(value),
            Self::Address(networks) => match std::str::from_utf8(value)
                .ok()
                .and_then(|v| v.trim().parse().ok())
            {
                Some(address) => networks.iter().any(|n| n.contains(address)),
                None => false,
            },
        }
    }
}

fn rx_captures(regex: &Regex, value: &[u8], captures: &mut Vec<Vec<u8>>) -> bool {
    // Finding first is cheaper: most values do not match, and captures need a slower engine.
    if !regex.is_match(value) {
        return false;
    }
    let mut found = regex.create_captures();
    regex.captures(value, &mut found);
    for group in 0..found.group_len().min(10) {
        let span = found.get_group(group);
        captures.push(
            span.and_then(|s| value.get(s.range()))
                .unwrap_or_default()
                .to_vec(),
        );
    }
    true
}
