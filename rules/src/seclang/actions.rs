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
    let mut start = 0;
    let mut quoted = false;
    let mut escaped = false;
    let text = arg.text.as_str();
    for (at, byte) in text.bytes().chain(std::iter::once(b',')).enumerate() {
        let end = at == text.len();
        match byte {
            _ if escaped && !end => escaped = false,
            b'\\' if quoted => escaped = true,
            b'\'' => quoted = !quoted,
            b',' if !quoted || end => {
                if end && quoted {
                    found.push(
                        arg.place(start)
                            .error("unclosed_quote", "the quoted value of this action does not end"),
                    );
                }
                one(arg, start, text.get(start..at).unwrap_or_default(), &mut all);
                start = at + 1;
            }
            _ => {}
        }
    }
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
