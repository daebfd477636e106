//! Lines to directives: comments, continuation lines, quoted arguments. Every byte of an argument keeps its position.

use std::ops::Range;
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

/// A directive's lines as one text.
#[derive(Default)]
struct Joined {
    text: String,
    /// Where in the text each line begins that has a part in it, and the line's number.
    lines: Vec<(usize, u32)>,
}

impl Joined {
    fn add(&mut self, line: &str, number: u32) {
        let from = self.text.len();
        // Of lines without a part, the last is the one that the next byte is in.
        self.lines.pop_if(|(at, _)| *at == from);
        self.lines.push((from, number));
        self.text.push_str(line);
    }

    fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
    }

    /// Line and column of a byte.
    fn place(&self, at: usize) -> (u32, u32) {
        let index = self.lines.partition_point(|(from, _)| *from <= at);
        let line = self.lines.get(index.saturating_sub(1)).copied();
        let (from, number) = line.unwrap_or((0, 1));
        (number, u32::try_from(at - from + 1).unwrap_or(u32::MAX))
    }

    /// Appends a part of the text to an argument.
    fn give(&self, part: Range<usize>, arg: &mut Arg) {
        let Some(text) = self.text.get(part.clone()).filter(|text| !text.is_empty()) else {
            return;
        };
        let (line, column) = self.place(part.start);
        let start = arg.text.len();
        arg.starts.push((start, line, column));
        let first = self.lines.partition_point(|(from, _)| *from <= part.start);
        let further = self.lines.iter().skip(first);
        for (from, number) in further.take_while(|(from, _)| *from < part.end) {
            arg.starts.push((start + from - part.start, *number, 1));
        }
        arg.text.push_str(text);
    }
}

/// Splits a file. A broken line yields a diagnostic and the others still count.
pub(crate) fn directives(path: &Arc<PathBuf>, text: &str, found: &mut Vec<Diagnostic>) -> Vec<Directive> {
    let mut all = Vec::new();
    let mut joined = Joined::default();
    for (number, line) in lines(text).enumerate() {
        let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
        if joined.text.is_empty() && line.trim_start().starts_with('#') {
            continue;
        }
        let (body, continues) = match line.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (line, false),
        };
        joined.add(body, number);
        if !continues {
            finish(path, &joined, &mut all, found);
            joined.clear();
        }
    }
    finish(path, &joined, &mut all, found);
    all
}

/// The lines of a text without their ends.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).chain(std::iter::once(text.len()));
    let mut from = 0;
    ends.filter_map(move |end| {
        let line = text.get(from..end);
        from = end + 1;
        line.map(|line| line.strip_suffix('\r').unwrap_or(line))
    })
}

fn finish(path: &Arc<PathBuf>, line: &Joined, all: &mut Vec<Directive>, found: &mut Vec<Diagnostic>) {
    match words(path, line) {
        Ok(mut args) if !args.is_empty() => {
            let name = args.remove(0);
            all.push(Directive { name, args });
        }
        Ok(_) => {}
        Err(problem) => found.push(problem),
    }
}

fn words(path: &Arc<PathBuf>, line: &Joined) -> Result<Vec<Arg>, Diagnostic> {
    let mut args = Vec::new();
    let mut at = 0;
    loop {
        let rest = line.text.get(at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        let Some(first) = trimmed.chars().next() else {
            return Ok(args);
        };
        let mut arg = Arg {
            text: String::new(),
            path: Arc::clone(path),
            starts: Vec::new(),
        };
        let begin = at;
        let closed = match first {
            '"' => quoted(line, b'"', &mut at, &mut arg),
            '\'' => quoted(line, b'\'', &mut at, &mut arg),
            _ => {
                at += trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
                line.give(begin..at, &mut arg);
                true
            }
        };
        if arg.starts.is_empty() {
            let (line, column) = line.place(begin);
            arg.starts.push((0, line, column));
        }
        if !closed {
            return Err(arg
                .place(0)
                .error("unclosed_quote", "this quoted argument does not end"));
        }
        args.push(arg);
    }
}

/// Reads from an opening quote to behind the closing one; false if there is none.
fn quoted(line: &Joined, quote: u8, at: &mut usize, arg: &mut Arg) -> bool {
    let bytes = line.text.as_bytes();
    // What is taken so far begins at `from`; `look` is where the next mark may be.
    let mut from = *at + 1;
    let mut look = from;
    while let Some(found) = memchr::memchr2(quote, b'\\', bytes.get(look..).unwrap_or_default()) {
        let mark = look + found;
        look = mark + 1;
        if bytes.get(mark) == Some(&quote) {
            line.give(from..mark, arg);
            *at = look;
            return true;
        }
        if bytes.get(look) == Some(&quote) {
            line.give(from..mark, arg);
            from = look;
            look += 1;
        }
    }
    line.give(from..bytes.len(), arg);
    *at = bytes.len();
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Arguments with the line and column of each character, and whether the last quote ends.
    type Words = (Vec<Vec<(char, u32, u32)>>, bool);

    /// Character by character.
    fn slow(text: &str) -> Vec<Words> {
        let mut lines: Vec<Vec<(char, u32, u32)>> = vec![Vec::new()];
        for (number, line) in (1..).zip(text.split('\n')) {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let Some(joined) = lines.last_mut() else { continue };
            if joined.is_empty() && line.trim_start().starts_with('#') {
                continue;
            }
            let body = line.strip_suffix('\\');
            let chars = body.unwrap_or(line).char_indices();
            joined.extend(chars.map(|(at, c)| (c, number, u32::try_from(at + 1).unwrap())));
            if body.is_none() {
                lines.push(Vec::new());
            }
        }
        lines.iter().map(|line| slow_words(line)).collect()
    }

    fn slow_words(mut rest: &[(char, u32, u32)]) -> Words {
        let mut args = Vec::new();
        while let Some((first, _, _)) = rest.first() {
            if first.is_whitespace() {
                rest = &rest[1..];
                continue;
            }
            let quote = Some(*first).filter(|c| matches!(c, '"' | '\''));
            let mut arg = Vec::new();
            let mut closed = quote.is_none();
            rest = &rest[usize::from(quote.is_some())..];
            while let Some((c, _, _)) = rest.first() {
                let escape = *c == '\\' && quote.is_some() && rest.get(1).map(|next| next.0) == quote;
                if Some(*c) == quote || (quote.is_none() && c.is_whitespace()) {
                    closed = true;
                    rest = &rest[usize::from(quote.is_some())..];
                    break;
                }
                arg.push(rest[usize::from(escape)]);
                rest = &rest[1 + usize::from(escape)..];
            }
            args.push(arg);
            if !closed {
                return (args, false);
            }
        }
        (args, true)
    }

    proptest! {
        #[test]
        fn arguments_and_their_places_are_those_of_the_slow_reading(text in "[ab#é\"'\\\\ \n\r]{0,60}") {
            let mut found = Vec::new();
            let all = directives(&Arc::new(PathBuf::from("f")), &text, &mut found);
            let slow = slow(&text);
            let sound: Vec<_> = slow.iter().filter(|(args, closed)| *closed && !args.is_empty()).collect();
            prop_assert_eq!(found.len(), slow.iter().filter(|(_, closed)| !closed).count());
            prop_assert_eq!(all.len(), sound.len());
            for (directive, (args, _)) in all.iter().zip(sound) {
                let read: Vec<&Arg> = std::iter::once(&directive.name).chain(&directive.args).collect();
                prop_assert_eq!(read.len(), args.len());
                for (arg, expected) in read.iter().zip(args) {
                    let located: Vec<(char, u32, u32)> = arg.text.char_indices()
                        .map(|(at, c)| (c, arg.place(at).line, arg.place(at).column)).collect();
                    prop_assert_eq!(&located, expected);
                }
            }
        }
    }
}
