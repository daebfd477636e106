//! The action list of a rule: `name`, `name:value`, `name:'value, with commas'`.

use super::{Arg, Diagnostic, Place};

/// One action as written.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) place: Place,
}

/// Splits a list at the commas outside single quotes; `\'` inside quotes is a quote.
pub(crate) fn split_actions(arg: &Arg, found: &mut Vec<Diagnostic>) -> Vec<Action> {
    let mut all = Vec::new();
    let text = arg.text.as_str();
    let bytes = text.as_bytes();
    let next = |from: usize, mark: u8| {
        let rest = bytes.get(from..).unwrap_or_default();
        memchr::memchr2(mark, b'\'', rest).map(|at| from + at)
    };
    let (mut start, mut look) = (0, 0);
    while let Some(at) = next(look, b',') {
        look = at + 1;
        if bytes.get(at) == Some(&b',') {
            one(arg, start, text.get(start..at).unwrap_or_default(), &mut all);
            start = look;
            continue;
        }
        loop {
            let Some(at) = next(look, b'\\') else {
                let problem = arg.place(start);
                found.push(problem.error("unclosed_quote", "the quoted value of this action does not end"));
                look = bytes.len();
                break;
            };
            look = at + 1;
            if bytes.get(at) == Some(&b'\'') {
                break;
            }
            look += 1;
        }
    }
    one(arg, start, text.get(start..).unwrap_or_default(), &mut all);
    all
}

fn one(arg: &Arg, start: usize, text: &str, all: &mut Vec<Action>) {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return;
    }
    let place = arg.place(start + (text.len() - text.trim_start().len()));
    let (name, value) = match trimmed.split_once(':') {
        Some((name, value)) => (name, Some(unquote(value.trim()))),
        None => (trimmed, None),
    };
    all.push(Action {
        name: name.trim().to_owned(),
        value,
        place,
    });
}

fn unquote(value: &str) -> String {
    match value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')) {
        Some(inner) => inner.replace("\\'", "'"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::seclang::directives;

    /// Byte by byte: what stands between the commas, and whether a quote is left open.
    fn slow(text: &str) -> (Vec<String>, bool) {
        let (mut parts, mut quoted, mut escaped) = (vec![String::new()], false, false);
        for c in text.chars() {
            match c {
                ',' if !quoted => {
                    parts.push(String::new());
                    continue;
                }
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '\'' => quoted = !quoted,
                _ => {}
            }
            parts.last_mut().unwrap().push(c);
        }
        (parts, quoted)
    }

    proptest! {
        #[test]
        fn lists_are_split_as_the_slow_reading_splits_them(text in "[ab:é,'\\\\ ]{0,40}") {
            let path = Arc::new(PathBuf::from("f"));
            let mut arg = directives(&path, "SecAction x", &mut Vec::new()).remove(0).args.remove(0);
            arg.text = text.clone();
            let mut found = Vec::new();
            let names: Vec<String> = split_actions(&arg, &mut found).into_iter().map(|action| action.name).collect();
            let (parts, open) = slow(&text);
            let expected: Vec<String> = parts
                .iter()
                .map(|part| part.trim())
                .filter(|part| !part.is_empty())
                .map(|part| part.split_once(':').map_or(part, |(name, _)| name).trim().to_owned())
                .collect();
            prop_assert_eq!(names, expected);
            prop_assert_eq!(!found.is_empty(), open);
        }
    }
}
