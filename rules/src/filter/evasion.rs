//! What a pattern needs of a value without rare marks.
//!
//! Many patterns allow marks between the letters of a word (`c"a\t` is `cat` to a shell), and of those nothing is left to
//! look for but single letters. Most values hold no such mark, and there the pattern needs the plain words.
//!
//! Safety argument. A match of a value without any byte of [`MARKS`] consumes no such byte, so it is a match of the pattern
//! with those bytes taken out of it ([`without`]: what is left matches every string that the pattern matches and that has
//! none of them), and each clause that this smaller pattern needs holds. Therefore, of every value that matches, each such
//! clause holds or the value has one of the marks: the clause with the marks as further bytes.

use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind};

use super::scan::ByteMap;

/// Bytes that are rare in ordinary values. Which ones are here decides about speed alone.
const MARKS: &[(u8, u8)] = &[
    (0x00, 0x08),
    (0x0E, 0x1F),
    (b'!', b'$'),
    (b'\'', b'*'),
    (b'<', b'<'),
    (b'>', b'>'),
    (b'[', b'^'),
    (b'`', b'`'),
    (b'{', 0xFF),
];

/// The marks.
pub(super) fn marks() -> ByteMap {
    ByteMap::of_ranges(MARKS)
}

/// Marks that stand in ordinary text now and then.
const COMMON_MARKS: &[u8] = b"\"'()[]\\";

/// The marks that text has now and then, and all others.
pub(super) fn common_and_other_marks() -> (ByteMap, ByteMap) {
    let common = ByteMap::of(COMMON_MARKS);
    (common, marks().intersection(&common.complement()))
}

/// The pattern with the bytes of a set taken out; `None` when it cannot match without them.
pub(super) fn without(hir: &Hir, set: &ByteMap) -> Option<Hir> {
    Some(match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => hir.clone(),
        HirKind::Literal(literal) => {
            return Some(hir.clone()).filter(|_| !ByteMap::of(&literal.0).meets(set));
        }
        HirKind::Class(class) => {
            let Some(class) = bytes_of(class) else {
                return Some(hir.clone());
            };
            let own = ranges(&class).filter(|b| !set.contains(*b));
            let left = ClassBytes::new(own.map(|b| ClassBytesRange::new(b, b)));
            return (!left.ranges().is_empty()).then(|| Hir::class(Class::Bytes(left)));
        }
        HirKind::Repetition(repetition) => match without(&repetition.sub, set) {
            Some(sub) => Hir::repetition(regex_syntax::hir::Repetition {
                sub: Box::new(sub),
                ..repetition.clone()
            }),
            None if repetition.min == 0 => Hir::empty(),
            None => return None,
        },
        HirKind::Capture(capture) => return without(&capture.sub, set),
        HirKind::Concat(parts) => {
            let all: Option<Vec<Hir>> = parts.iter().map(|part| without(part, set)).collect();
            Hir::concat(all?)
        }
        HirKind::Alternation(parts) => {
            let left: Vec<Hir> = parts.iter().filter_map(|part| without(part, set)).collect();
            if left.is_empty() {
                return None;
            }
            Hir::alternation(left)
        }
    })
}

/// The pattern that matches the strings of this one with the bytes of a set deleted from them, and perhaps more: it asks
/// nothing of where it stands. `None` when it has a class that is not of bytes.
pub(super) fn erased(hir: &Hir, set: &ByteMap) -> Option<Hir> {
    Some(match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) => {
            let left = literal.0.iter().copied().filter(|byte| !set.contains(*byte));
            Hir::literal(left.collect::<Vec<u8>>())
        }
        HirKind::Class(class) => {
            let class = bytes_of(class)?;
            let is_touched = ranges(&class).any(|byte| set.contains(byte));
            let own = ranges(&class).filter(|byte| !set.contains(*byte));
            let left = ClassBytes::new(own.map(|b| ClassBytesRange::new(b, b)));
            match (is_touched, left.ranges().is_empty()) {
                (_, true) => Hir::empty(),
                (true, false) => Hir::alternation(vec![Hir::class(Class::Bytes(left)), Hir::empty()]),
                (false, false) => Hir::class(Class::Bytes(left)),
            }
        }
        HirKind::Repetition(repetition) => match erased(&repetition.sub, set)? {
            empty if empty == Hir::empty() => empty,
            sub => Hir::repetition(regex_syntax::hir::Repetition {
                sub: Box::new(sub),
                ..repetition.clone()
            }),
        },
        HirKind::Capture(capture) => return erased(&capture.sub, set),
        HirKind::Concat(parts) => {
            let all: Option<Vec<Hir>> = parts.iter().map(|part| erased(part, set)).collect();
            Hir::concat(all?)
        }
        HirKind::Alternation(parts) => {
            let all: Option<Vec<Hir>> = parts.iter().map(|part| erased(part, set)).collect();
            Hir::alternation(all?)
        }
    })
}

/// The bytes of a class; `None` for one of code points beyond ASCII, which is not made with Unicode off.
pub(super) fn bytes_of(class: &Class) -> Option<ClassBytes> {
    match class {
        Class::Bytes(class) => Some(class.clone()),
        // The parser makes such a class of alternatives of one letter each.
        Class::Unicode(class) => class.to_byte_class(),
    }
}

fn ranges(class: &ClassBytes) -> impl Iterator<Item = u8> + '_ {
    class
        .ranges()
        .iter()
        .flat_map(|range| range.start()..=range.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::parse_regex;

    #[test]
    fn marks_are_taken_out_of_a_pattern() {
        let parse = |pattern: &str| parse_regex(pattern).unwrap();
        for (pattern, left) in [
            (r#"c["'\x5c]*a\x5c?t"#, Some("cat")),
            ("a|'b|c'?", Some("a|c")),
            ("x['a]y", Some("xay")),
            ("a(?:'|\")+b", None),
            ("^'*$", Some("^$")),
        ] {
            assert_eq!(without(&parse(pattern), &marks()), left.map(parse), "{pattern}");
        }
    }

    #[test]
    fn marks_are_deleted_from_a_pattern() {
        let parse = |pattern: &str| parse_regex(pattern).unwrap();
        for (pattern, left) in [
            (r#"c["'\x5c]*a\x5c?t"#, "cat"),
            ("\\bx'y'z|'", "xyz|"),
            ("^['a]b$", "(?:a|)b"),
        ] {
            assert_eq!(erased(&parse(pattern), &marks()), Some(parse(left)), "{pattern}");
        }
    }
}
