//! Lines to directives: comments, continuation lines, quoted arguments. Every byte of an argument keeps its position.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Diagnostic, Place};

/// One argument without its quotes, with `\"` undone.
#[derive(Debug, Clone)]
pub(crate) struct Arg {
    pub(crate) text: String,
    path: Arc<PathBuf>,
    /// (offset in `text`, line, column) wherever the position is not the previous one plus one.
    starts: Vec<(usize, u32, u32)>,
}

impl Arg {
    /// Where the byte `offset` of the text stands in its file.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let index = self
            .starts
            .partition_point(|(at, _, _)| *at <= offset)
            .saturating_sub(1);
        let (at, line, column) = self.starts.get(index).copied().unwrap_or((0, 1, 1));
        let moved = u32::try_from(offset - at).unwrap_or(u32::MAX);
        Place {
            path: Arc::clone(&self.path),
            line,
            column: column.saturating_add(moved),
        }
    }
}

/// A directive and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Directive {
    pub(crate) name: Arg,
    pub(crate) args: Vec<Arg>,
}

/// Characters with their line and column.
type Located = (char, u32, u32);

/// Splits a file. A broken line yields a diagnostic and the others still count.
pub(crate) fn directives(path: &Arc<PathBuf>, text: &str, found: &mut Vec<Diagnostic>) -> Vec<Directive> {
    let mut all = Vec::new();
    let mut joined: Vec<Located> = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
        if joined.is_empty() && line.trim_start().starts_with('#') {
            continue;
        }
        let (body, continues) = match line.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (line, false),
        };
        joined.extend(
            body.char_indices()
                .map(|(at, c)| (c, number, u32::try_from(at + 1).unwrap_or(u32::MAX))),
        );
        if !continues {
            finish(path, &joined, &mut all, found);
            joined.clear();
        }
    }
    finish(path, &joined, &mut all, found);
    all
}

fn finish(path: &Arc<PathBuf>, line: &[Located], all: &mut Vec<Directive>, found: &mut Vec<Diagnostic>) {
    match words(path, line) {
        Ok(mut args) if !args.is_empty() => {
            let name = args.remove(0);
            all.push(Directive { name, args });
        }
        Ok(_) => {}
        Err(problem) => found.push(problem),
    }
}

fn words(path: &Arc<PathBuf>, line: &[Located]) -> Result<Vec<Arg>, Diagnostic> {
    let mut args = Vec::new();
    let mut rest = line;
    loop {
        while let [(c, _, _), tail @ ..] = rest
            && c.is_whitespace()
        {
            rest = tail;
        }
        let Some(&(first, line_at, column)) = rest.first() else {
            return Ok(args);
        };
        let mut arg = Arg {
            text: String::new(),
            path: Arc::clone(path),
            starts: Vec::new(),
        };
        let quote = (first == '"' || first == '\'').then_some(first);
        if quote.is_some() {
            rest = rest.get(1..).unwrap_or_default();
        }
        let mut expected = (0, 0);
        let mut closed = quote.is_none();
        while let [(c, l, col), tail @ ..] = rest {
            let (mut c, l, col) = (*c, *l, *col);
            rest = tail;
            match (quote, tail.first()) {
                (Some(q), Some(&(next, ..))) if c == '\\' && next == q => {
                    c = next;
                    rest = tail.get(1..).unwrap_or_default();
                }
                (Some(q), _) if c == q => {
                    closed = true;
                    break;
                }
                (None, _) if c.is_whitespace() => break,
                _ => {}
            }
            if expected != (l, col) {
                arg.starts.push((arg.text.len(), l, col));
            }
            arg.text.push(c);
            expected = (l, col + u32::try_from(c.len_utf8()).unwrap_or(1));
        }
        if arg.starts.is_empty() {
            arg.starts.push((0, line_at, column));
        }
        if !closed {
            return Err(arg
                .place(0)
                .error("unclosed_quote", "this quoted argument does not end"));
        }
        args.push(arg);
    }
}
