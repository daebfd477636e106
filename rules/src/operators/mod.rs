//! Operators: what a rule asks of a value. Each compiles from its argument once, at load.

mod address;
mod bytes;
mod injection;
mod patterns;
#[cfg(test)]
mod tests;
mod verify;

use std::path::Path;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_syntax::hir::Hir;

use crate::compile::Macro;
use crate::filter::{self, ByteMap, Need};
use crate::sources::Files;

pub(crate) use address::Network;
pub(crate) use bytes::broken_url_encoding;
use patterns::Pattern;
pub use patterns::Patterns;

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
    Rx(Arc<Pattern<Regex>>),
    /// As `Rx`, but the captures are those of all its matches.
    RxGlobal(Arc<Pattern<Regex>>),
    /// `@rx ^.*$`: every value, as a whole.
    Whole,
    Phrases(Arc<Pattern<AhoCorasick>>),
    Verify(verify::Number, Arc<Pattern<Regex>>),
    Number(Order, Macro),
    Text(Text, Macro),
    DetectSqli,
    DetectXss,
    ByteRange(Box<ByteMap>),
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
    "rxGlobal",
    "streq",
    "strmatch",
    "unconditionalMatch",
    "validateByteRange",
    "validateUrlEncoding",
    "validateUtf8Encoding",
    "verifyCC",
    "verifyCPF",
    "verifySSN",
    "verifySVNR",
    "within",
];

/// Operators that other engines have and Weir refuses, and why.
const REFUSED: &[(&str, &str)] = &[
    ("fuzzyHash", "there is no store of hashes"),
    (
        "geoLookup",
        "countries are decided by the geo policy of the tenant",
    ),
    ("gsbLookup", "a request does not wait for another service"),
    (
        "inspectFile",
        "rules do not start programs; look at `FILES_TMP_CONTENT`",
    ),
    (
        "rbl",
        "a request does not wait for another service; use `@ipMatchFromFile`",
    ),
    ("rsub", "bodies are not rewritten by rules"),
    ("validateDTD", "document types are refused by the XML parser"),
    ("validateHash", "there is no hash engine"),
    (
        "validateNid",
        "use `@verifyCC`, `@verifyCPF`, `@verifySSN`, `@verifySVNR`, or `@rx`",
    ),
    ("validateSchema", "there is no schema validator"),
];

/// Why an operator is refused, if it is.
pub(crate) fn refused(name: &str) -> Option<&'static str> {
    let found = REFUSED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, why)| *why)
}

/// A regex of SecLang: bytes, no Unicode, dot matches line ends, `$` only at the end.
pub(crate) fn regex(pattern: &str, patterns: &Patterns) -> Result<Arc<Regex>, String> {
    patterns.names.get(pattern, || compile(&parse_regex(pattern)?))
}

/// The pattern as a tree, read as SecLang reads it.
pub(crate) fn parse_regex(pattern: &str) -> Result<Hir, String> {
    let config = syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .nest_limit(200);
    syntax::parse_with(&byte_escapes(pattern), &config).map_err(|e| e.to_string())
}

/// Bytes of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 16 << 20;

/// Compiles the tree of a pattern.
fn compile(hir: &Hir) -> Result<Regex, String> {
    Regex::builder()
        .configure(
            Regex::config()
                .utf8_empty(false)
                .nfa_size_limit(Some(PATTERN_BYTES_MAX))
                .onepass_size_limit(Some(1 << 18)),
        )
        .build_from_hir(hir)
        .map_err(|e| {
            if e.size_limit().is_some() {
                let size_max = PATTERN_BYTES_MAX >> 20;
                return format!(
                    "the compiled pattern is beyond its size of {size_max} MB: repeat less in it"
                );
            }
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

/// Phrases, one a line.
fn phrases(lines: &[u8], patterns: &Patterns) -> Result<Operator, String> {
    if lines.is_empty() {
        return Err("there is no phrase to look for".to_owned());
    }
    let known = patterns.phrases.get(lines, || {
        let words: Vec<Vec<u8>> = lines.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(aho_corasick::AhoCorasickKind::ContiguousNFA))
            .build(&words)
            .map_err(|e| e.to_string())?;
        let need = Arc::new(filter::of_phrases(&words));
        Ok::<_, String>(Pattern { automaton, need })
    })?;
    Ok(Operator::Phrases(known))
}

/// The pattern of an operator.
fn known_regex(pattern: &str, patterns: &Patterns) -> Result<Arc<Pattern<Regex>>, String> {
    patterns.regexes.get(pattern, || {
        let hir = parse_regex(pattern)?;
        if !can_match(&hir) {
            return Err("the pattern can never match".to_owned());
        }
        Ok(Pattern {
            automaton: compile(&hir)?,
            need: Arc::new(filter::of_hir(&hir)),
        })
    })
}

/// Whether a pattern can match at all: `[^\x00-\xff]` and the like cannot.
fn can_match(hir: &Hir) -> bool {
    hir.properties().minimum_len().is_some()
}

/// The lines of files that say something, with a line feed between them.
fn file(argument: &str, folder: &Path, files: &dyn Files) -> Result<Vec<u8>, String> {
    let mut lines = Vec::new();
    for name in argument.split_ascii_whitespace() {
        let path = folder.join(name);
        let data = files
            .read(&path)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        lines.reserve(data.len() + 1);
        for line in data.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            if !lines.is_empty() {
                lines.push(b'\n');
            }
            lines.extend_from_slice(line);
        }
    }
    Ok(lines)
}

/// `@pm` may write bytes as `|41 42|`, as Snort does.
fn pm_words(argument: &str) -> Vec<u8> {
    let words: Vec<&str> = argument.split_ascii_whitespace().collect();
    words.join("\n").into_bytes()
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
    (files, patterns): (&dyn Files, &Patterns),
) -> Result<Operator, Option<String>> {
    let name = name.to_ascii_lowercase();
    if let Some((_, order)) = NUMBERS.iter().find(|(known, _)| *known == name) {
        return text(argument).map(|m| Operator::Number(*order, m)).map_err(Some);
    }
    if let Some((_, kind)) = TEXTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
        return text(argument).map(|m| Operator::Text(*kind, m)).map_err(Some);
    }
    match name.as_str() {
        "unconditionalmatch" => Ok(Operator::Always),
        "nomatch" => Ok(Operator::Never),
        // Rules capture whole values with this pattern, one by one.
        "rx" if argument == "^.*$" => Ok(Operator::Whole),
        "rx" => known_regex(argument, patterns).map(Operator::Rx),
        "rxglobal" => known_regex(argument, patterns).map(Operator::RxGlobal),
        "verifycc" => verify(verify::Number::Card, argument, patterns),
        "verifycpf" => verify(verify::Number::Cpf, argument, patterns),
        "verifyssn" => verify(verify::Number::Ssn, argument, patterns),
        "verifysvnr" => verify(verify::Number::Svnr, argument, patterns),
        "pm" => phrases(&pm_words(argument), patterns),
        "pmfromfile" | "pmf" => file(argument, folder, files).and_then(|words| phrases(&words, patterns)),
        "detectsqli" => Ok(Operator::DetectSqli),
        "detectxss" => Ok(Operator::DetectXss),
        "validatebyterange" => bytes::range(argument).map(|set| Operator::ByteRange(Box::new(set))),
        "validateutf8encoding" => Ok(Operator::Utf8),
        "validateurlencoding" => Ok(Operator::UrlEncoding),
        "ipmatch" => networks(argument.split(',')),
        "ipmatchfromfile" | "ipmatchf" => file(argument, folder, files).and_then(|lines| {
            let lines = String::from_utf8_lossy(&lines);
            networks(lines.lines())
        }),
        _ => return Err(None),
    }
    .map_err(Some)
}

const NUMBERS: &[(&str, Order)] = &[
    ("eq", Order::Eq),
    ("ge", Order::Ge),
    ("gt", Order::Gt),
    ("le", Order::Le),
    ("lt", Order::Lt),
];

const TEXTS: &[(&str, Text)] = &[
    ("beginsWith", Text::BeginsWith),
    ("contains", Text::Contains),
    ("containsWord", Text::ContainsWord),
    ("endsWith", Text::EndsWith),
    ("streq", Text::Streq),
    ("strmatch", Text::Strmatch),
    ("within", Text::Within),
];

fn verify(number: verify::Number, pattern: &str, patterns: &Patterns) -> Result<Operator, String> {
    known_regex(pattern, patterns).map(|known| Operator::Verify(number, known))
}

fn networks<'a>(list: impl Iterator<Item = &'a str>) -> Result<Operator, String> {
    let all: Result<Vec<Network>, String> = list.map(|n| Network::parse(n.trim())).collect();
    all.map(Operator::Address)
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
    /// What a match needs when the argument is known; `@within` asks the other way round.
    fn need(self, argument: &[u8]) -> Option<Need> {
        (self != Self::Within).then(|| filter::of_text(argument))
    }

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

/// Groups that are captured: `TX.0` to `TX.9`.
const GROUPS_MAX: usize = 10;

/// Where the groups of a match stand in the value.
pub(crate) type Groups = smallvec::SmallVec<[Option<(usize, usize)>; GROUPS_MAX]>;

/// What an operator puts into `TX.0` and on.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    pub(crate) groups: Groups,
    /// A text that is not a part of the value.
    pub(crate) text: Option<Vec<u8>>,
}

impl Operator {
    /// What values that match must hold, if that is known.
    pub(crate) fn need(&self) -> Option<Arc<Need>> {
        let need = match self {
            Self::Rx(pattern) | Self::RxGlobal(pattern) | Self::Verify(_, pattern) => {
                return Some(Arc::clone(&pattern.need));
            }
            Self::Phrases(pattern) => return Some(Arc::clone(&pattern.need)),
            Self::Text(text, argument) => argument.constant().and_then(|a| text.need(a)),
            Self::ByteRange(set) => Some(filter::of_bytes_outside(set)),
            Self::UrlEncoding => Some(filter::of_text(b"%")),
            Self::Utf8 => Some(filter::of_bytes_outside(&ByteMap::of_ranges(&[(0, 0x7F)]))),
            Self::DetectSqli => Some(injection::sqli_need()),
            Self::DetectXss => Some(injection::xss_need()),
            Self::Always | Self::Never | Self::Whole | Self::Number(..) | Self::Address(_) => None,
        };
        need.map(Arc::new)
    }

    /// Whether the value matches; the parts to capture go to `captures` if it is given. The arguments of
    /// comparisons were expanded by the caller.
    pub(crate) fn matches(&self, value: &[u8], argument: &[u8], captures: Option<&mut Captures>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Rx(pattern) => match captures {
                None => pattern.automaton.is_match(value),
                Some(captures) => rx_captures(&pattern.automaton, value, captures),
            },
            Self::RxGlobal(pattern) => match captures {
                None => pattern.automaton.is_match(value),
                Some(captures) => {
                    rx_captures_all(&pattern.automaton, value, captures);
                    !captures.groups.is_empty()
                }
            },
            Self::Whole => {
                if let Some(captures) = captures {
                    captures.groups.push(Some((0, value.len())));
                }
                true
            }
            Self::Phrases(pattern) => match pattern.automaton.find(value) {
                None => false,
                Some(found) => {
                    if let Some(captures) = captures {
                        captures.groups.push(Some((found.start(), found.end())));
                    }
                    true
                }
            },
            Self::Verify(number, pattern) => {
                let found = verify::find(*number, &pattern.automaton, value);
                if let (Some(range), Some(captures)) = (found, captures) {
                    captures.groups.push(Some(range));
                }
                found.is_some()
            }
            Self::Number(order, _) => order.holds(integer(value), integer(argument)),
            Self::Text(text, _) => text.holds(value, argument),
            Self::DetectSqli => {
                let print = injection::sqli(value);
                let found = print.is_some();
                if let Some(captures) = captures {
                    captures.text = print.map(String::into_bytes);
                }
                found
            }
            Self::DetectXss => injection::xss(value),
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

/// The groups of one match after another, as many as are kept.
fn rx_captures_all(regex: &Regex, value: &[u8], captures: &mut Captures) {
    for found in regex.captures_iter(value) {
        for group in 0..found.group_len() {
            if captures.groups.len() >= GROUPS_MAX {
                return;
            }
            let span = found.get_group(group);
            captures.groups.push(span.map(|span| (span.start, span.end)));
        }
    }
}

fn rx_captures(regex: &Regex, value: &[u8], captures: &mut Captures) -> bool {
    if regex.captures_len() == 1 {
        let found = regex.find(value);
        captures
            .groups
            .extend(found.map(|found| Some((found.start(), found.end()))));
        return found.is_some();
    }
    // Finding first is cheaper: most values do not match, and captures need a slower engine.
    if !regex.is_match(value) {
        return false;
    }
    let mut found = regex.create_captures();
    regex.captures(value, &mut found);
    for group in 0..found.group_len().min(GROUPS_MAX) {
        captures
            .groups
            .push(found.get_group(group).map(|span| (span.start, span.end)));
    }
    true
}
