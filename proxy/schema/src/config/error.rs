//! What is wrong with a document, where, and what would be right.

use std::fmt;

use serde::Serialize;

use super::tree::Node;

/// Most errors that are kept of one document.
pub(super) const ERRORS_MAX: usize = 10_000;

/// One fault of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct ConfigError {
    /// JSON pointer (RFC 6901) of the faulty value; empty is the whole document.
    pub pointer: String,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column in characters, from 1.
    pub column: Option<u32>,
    /// Stable name of the class.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What would be valid.
    pub hint: Option<String>,
}

impl ConfigError {
    /// The error as `name:line:column: pointer: message (hint)`.
    pub fn display(&self, document_name: &str) -> String {
        let space = if self.line.is_some() { "" } else { " " };
        format!("{document_name}:{space}{self}")
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}: ")?;
        }
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Place in a document, made on the way down and written out only for an error.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// The document.
    Root,
    /// A key of a map.
    Key(&'a Self, &'a str),
    /// An item of a list.
    Item(&'a Self, usize),
}

impl<'a> At<'a> {
    pub(super) fn key(&'a self, name: &'a str) -> Self {
        At::Key(self, name)
    }

    pub(super) fn item(&'a self, place: usize) -> Self {
        At::Item(self, place)
    }

    pub(super) fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(parent, name) => {
                let short: String = name.chars().take(256).collect();
                format!(
                    "{}/{}",
                    parent.pointer(),
                    short.replace('~', "~0").replace('/', "~1")
                )
            }
            Self::Item(parent, place) => format!("{}/{place}", parent.pointer()),
        }
    }
}

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults {
    errors: Vec<(ConfigError, bool)>,
    dropped: usize,
}

impl Faults {
    /// Records a fault.
    pub(super) fn add(
        &mut self,
        at: &At<'_>,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.push(at, code, message.into(), hint.into(), false);
    }

    /// Records a fault whose pointer is written out already.
    pub(super) fn add_at(
        &mut self,
        pointer: String,
        code: &'static str,
        message: String,
        hint: Option<String>,
    ) {
        self.keep(|| pointer, code, message, hint, false);
    }

    /// Records a fault that concerns more than the tenant it is in.
    pub(super) fn add_shared(
        &mut self,
        at: &At<'_>,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.push(at, code, message.into(), hint.into(), true);
    }

    fn push(&mut self, at: &At<'_>, code: &'static str, message: String, hint: Option<String>, shared: bool) {
        self.keep(|| at.pointer(), code, message, hint, shared);
    }

    fn keep(
        &mut self,
        pointer: impl FnOnce() -> String,
        code: &'static str,
        message: String,
        hint: Option<String>,
        shared: bool,
    ) {
        if self.full() {
            self.dropped += 1;
            return;
        }
        let error = ConfigError {
            pointer: pointer(),
            line: None,
            column: None,
            code,
            message,
            hint,
        };
        self.errors.push((error, shared));
    }

    /// Whether more faults would only be counted.
    pub(super) fn full(&self) -> bool {
        self.errors.len() >= ERRORS_MAX
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether each fault is wholly inside one tenant.
    pub(super) fn only_tenants(&self) -> bool {
        self.dropped == 0
            && self
                .errors
                .iter()
                .all(|(error, shared)| !shared && tenant_of(&error.pointer).is_some())
    }

    /// The faults in the order of the document, with their lines.
    pub(super) fn into_errors(mut self, tree: Option<&Node>) -> Vec<ConfigError> {
        if let Some(tree) = tree {
            for (error, _) in &mut self.errors {
                let (line, column) = tree.position(
                    &error.pointer,
                    matches!(error.code, "unknown_key" | "duplicate_key"),
                );
                (error.line, error.column) = (Some(line), Some(column));
            }
        }
        let mut errors: Vec<ConfigError> = self.errors.into_iter().map(|(error, _)| error).collect();
        errors.sort_by(|a, b| (a.line, a.column, &a.pointer).cmp(&(b.line, b.column, &b.pointer)));
        if self.dropped > 0 {
            errors.push(ConfigError {
                pointer: String::new(),
                line: None,
                column: None,
                code: "too_many_errors",
                message: format!("{} more errors are not shown", self.dropped),
                hint: None,
            });
        }
        errors
    }
}

/// The place of the tenant that a pointer is in.
pub(super) fn tenant_of(pointer: &str) -> Option<usize> {
    pointer.strip_prefix("/tenants/")?.split('/').next()?.parse().ok()
}

/// The candidate nearest to `word`, when it is near enough to be a slip of the keys.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LENGTH_MAX: usize = 64;
    if word.len() > LENGTH_MAX {
        return None;
    }
    let far = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= far)
        .map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let cell = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX - 1);
            let mut best = (cell(&row, j) + usize::from(x != y))
                .min(cell(&row, j + 1) + 1)
                .min(cell(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(cell(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_a_slip_away() {
        for (word, want) in [
            ("lisetners", Some("listeners")),
            ("pool", Some("pools")),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, ["listeners", "pools", "tenants"]), want, "{word}");
        }
    }
}
