//! The variable list of a rule: `ARGS|!ARGS:token|&TX:x|REQUEST_COOKIES:/^a|b/|XML:/*`.

use std::path::Path;
use std::sync::Arc;

use super::{Arg, Diagnostic, Place};

/// What follows the colon of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawSelector {
    All,
    Key(String),
    Regex(String),
    XPath(String),
}

/// One target as written.
#[derive(Debug, Clone)]
pub(crate) struct RawTarget {
    pub(crate) name: String,
    pub(crate) selector: RawSelector,
    pub(crate) count: bool,
    pub(crate) exclude: bool,
    pub(crate) place: Place,
}

/// A target as written outside of a rule file, to be excluded.
pub(crate) fn target_of(text: &str, path: &Path) -> RawTarget {
    let place = Place {
        path: Arc::new(path.to_path_buf()),
        line: 1,
        column: 1,
    };
    let empty = RawTarget {
        name: String::new(),
        selector: RawSelector::All,
        count: false,
        exclude: true,
        place: place.clone(),
    };
    parse(text.trim(), place).unwrap_or(empty)
}

/// Splits a list at `|`, except inside a `/regex/` or `'/regex/'` selector.
pub(crate) fn split_targets(arg: &Arg, found: &mut Vec<Diagnostic>) -> Vec<RawTarget> {
    let mut all = Vec::new();
    let text = arg.text.as_str();
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let length = target_length(rest);
        let part = rest.get(..length).unwrap_or(rest);
        let place = arg.place(at);
        match parse(part.trim(), place.clone()) {
            Some(target) => all.push(target),
            None => found.push(place.error("empty_variable", "a variable name is missing here")),
        }
        at += length + 1;
    }
    all
}

fn target_length(text: &str) -> usize {
    let plain = text.find(['|', ',']).unwrap_or(text.len());
    let Some(colon) = text.find(':').filter(|colon| *colon < plain) else {
        return plain;
    };
    let selector = text.get(colon + 1..).unwrap_or_default();
    let is_xml = text
        .get(..colon)
        .is_some_and(|n| n.trim_start_matches(['&', '!']).eq_ignore_ascii_case("XML"));
    let open = if selector.starts_with("'/") { 2 } else { 1 };
    if is_xml || !(selector.starts_with('/') || selector.starts_with("'/")) {
        return plain;
    }
    let mut escaped = false;
    for (at, c) in selector.char_indices().skip(open) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '/' => {
                let after = colon + 1 + at + 1;
                return text
                    .get(after..)
                    .and_then(|t| t.find(['|', ',']))
                    .map_or(text.len(), |n| after + n);
            }
            _ => {}
        }
    }
    text.len()
}

fn parse(part: &str, place: Place) -> Option<RawTarget> {
    let (exclude, part) = part.strip_prefix('!').map_or((false, part), |p| (true, p));
    let (count, part) = part.strip_prefix('&').map_or((false, part), |p| (true, p));
    let (name, key) = part
        .split_once(':')
        .map_or((part, None), |(name, key)| (name, Some(key)));
    if name.is_empty() {
        return None;
    }
    let key = key.map(|k| {
        k.strip_prefix('\'')
            .and_then(|k| k.strip_suffix('\''))
            .unwrap_or(k)
    });
    let selector = match key {
        None => RawSelector::All,
        Some(path) if name.eq_ignore_ascii_case("XML") => RawSelector::XPath(path.to_owned()),
        Some(key) => match key.strip_prefix('/').and_then(|k| k.strip_suffix('/')) {
            Some(pattern) => RawSelector::Regex(pattern.to_owned()),
            None => RawSelector::Key(key.to_owned()),
        },
    };
    Some(RawTarget {
        name: name.to_owned(),
        selector,
        count,
        exclude,
        place,
    })
}
