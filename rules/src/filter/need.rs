//! What an operator needs to find in a value: a conjunction of clauses that every match implies.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::evasion;
use super::scan::ByteMap;

/// Most strings that a part of a pattern may stand for and still be taken as their list.
const EXACT_MAX: usize = 24;
/// Longest string of such a list.
const EXACT_BYTES_MAX: usize = 24;
/// Most strings of a clause made from a pattern.
const CLAUSE_STRINGS_MAX: usize = 600;
/// A clause that holds for nearly every value is not worth looking at.
const LIKELIHOOD_MAX: f32 = 0.97;
/// Clauses that are carried along while a pattern is taken apart.
const CLAUSES_MAX: usize = 12;

/// At least one of these bytes or strings (in lower case, two bytes and more) is in every value that matches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clause {
    pub(crate) bytes: ByteMap,
    pub(crate) strings: Vec<Vec<u8>>,
}

/// All that is known about values that match.
#[derive(Debug, Clone, Default)]
pub(crate) struct Need {
    /// Every one holds; the one that the fewest ordinary values satisfy is first.
    clauses: Vec<Clause>,
    /// They are at least this long, in bytes.
    length_min: usize,
    /// What holds for such a value without its common marks, if it has no others (`stripped`).
    stripped: Option<Clause>,
}

/// That clause must be satisfied so much less often than any other to be worth a pass of its own.
const STRIPPED_GAIN_MIN: f32 = 0.8;

/// How often a byte is at a place of an ordinary value, very roughly. It only steers which clauses are kept.
const fn byte_frequency(byte: u8) -> f32 {
    match byte.to_ascii_lowercase() {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 0.06,
        b'q' | b'z' | b'x' | b'j' => 0.004,
        b'k' | b'v' | b'w' | b'y' | b'b' => 0.012,
        b'a'..=b'z' => 0.03,
        b' ' => 0.06,
        b'0'..=b'9' => 0.02,
        b'-' | b'_' | b'.' | b'/' => 0.015,
        b',' | b':' | b'=' | b';' | b'(' | b')' => 0.006,
        b'"' | b'\'' | b'&' | b'?' | b'+' | b'%' => 0.003,
        _ => 0.0006,
    }
}

static FREQUENCIES: [f32; 256] = frequencies();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, bounds included"
)]
const fn frequencies() -> [f32; 256] {
    let mut all = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = byte_frequency(byte as u8);
        byte += 1;
    }
    all
}

fn frequency_of(byte: u8) -> f32 {
    FREQUENCIES.get(usize::from(byte)).copied().unwrap_or(0.0)
}

/// How often a string stands at a place of an ordinary value.
pub(super) fn frequency(text: &[u8]) -> f32 {
    text.iter().map(|b| frequency_of(*b)).product()
}

impl Clause {
    /// How likely an ordinary value of some 30 bytes satisfies the clause.
    pub(super) fn likelihood(&self) -> f32 {
        let bytes: f32 = self.bytes.iter().map(|b| frequency_of(b) / 2.0).sum();
        let strings: f32 = self.strings.iter().map(|s| frequency(s)).sum();
        1.0 - (1.0 - (bytes + strings).min(1.0)).powi(30)
    }

    fn of_strings(strings: &[Vec<u8>]) -> Option<Self> {
        let mut clause = Self::default();
        for text in strings {
            match text.as_slice() {
                [] => return None,
                [byte] => {
                    clause.bytes.insert(byte.to_ascii_lowercase());
                    clause.bytes.insert(byte.to_ascii_uppercase());
                }
                _ => clause.strings.push(text.clone()),
            }
        }
        clause.strings.sort();
        clause.strings.dedup();
        Some(clause).filter(|_| !strings.is_empty())
    }

    /// Whether the other clause has all that is in this one. The strings of both are sorted.
    fn implies(&self, other: &Self) -> bool {
        let has = |text: &Vec<u8>| other.strings.binary_search(text).is_ok();
        other.bytes.holds_all(&self.bytes) && self.strings.iter().all(has)
    }

    fn merge(&mut self, other: &Self) {
        self.bytes.union(&other.bytes);
        self.strings.extend(other.strings.iter().cloned());
        self.strings.sort();
        self.strings.dedup();
    }
}

impl Need {
    pub(crate) fn new(clauses: Vec<Clause>, length_min: usize) -> Self {
        Self::of_rated(rated(clauses), length_min)
    }

    fn kept(clauses: Vec<Clause>, length_min: usize) -> Self {
        let mut rated = rated(clauses);
        rated.retain(|(likelihood, clause)| {
            *likelihood < LIKELIHOOD_MAX && clause.strings.len() <= CLAUSE_STRINGS_MAX
        });
        Self::of_rated(rated, length_min)
    }

    fn of_rated(mut rated: Vec<(f32, Clause)>, length_min: usize) -> Self {
        rated.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self {
            clauses: rated.into_iter().map(|(_, clause)| clause).collect(),
            length_min,
            stripped: None,
        }
    }

    /// The clause of a value without its common marks.
    pub(super) fn stripped(&self) -> Option<&Clause> {
        self.stripped.as_ref()
    }

    pub(crate) fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    pub(crate) fn length_min(&self) -> usize {
        self.length_min
    }
}

/// Clauses with their likelihood.
fn rated(clauses: Vec<Clause>) -> Vec<(f32, Clause)> {
    clauses
        .into_iter()
        .map(|clause| (clause.likelihood(), clause))
        .collect()
}

/// What a phrase list needs: one of its phrases.
pub(crate) fn of_phrases(phrases: &[Vec<u8>]) -> Need {
    let lower: Vec<Vec<u8>> = phrases.iter().map(|p| p.to_ascii_lowercase()).collect();
    let length_min = phrases.iter().map(Vec::len).min().unwrap_or(0);
    Need::new(Clause::of_strings(&lower).into_iter().collect(), length_min)
}

/// What a text that must stand in the value needs.
pub(crate) fn of_text(text: &[u8]) -> Need {
    of_phrases(&[text.to_vec()])
}

/// Values with a byte outside of a set.
pub(crate) fn of_bytes_outside(set: &ByteMap) -> Need {
    let clause = Clause {
        bytes: set.complement(),
        strings: Vec::new(),
    };
    Need::new(vec![clause], 1)
}

/// What a pattern needs, read as the operator reads it.
///
/// # Errors
/// `None` when the pattern does not parse.
#[cfg(test)]
pub(crate) fn of_regex(pattern: &str) -> Option<Need> {
    crate::operators::parse_regex(pattern)
        .ok()
        .map(|hir| of_hir(&hir))
}

/// What a parsed pattern needs.
pub(crate) fn of_hir(hir: &Hir) -> Need {
    let length_min = hir.properties().minimum_len().unwrap_or(0);
    let mut clauses = part(hir).into_clauses();
    let marks = evasion::marks();
    let stripped = stripped(hir, &clauses);
    let unmarked = match evasion::without(hir, &marks) {
        Some(unmarked) => part(&unmarked).into_clauses(),
        None => vec![Clause::default()],
    };
    for mut clause in unmarked {
        clause.bytes.union(&marks);
        if !clauses.iter().any(|known| known.implies(&clause)) {
            clauses.push(clause);
        }
    }
    Need {
        stripped,
        ..Need::kept(clauses, length_min)
    }
}

/// The best clause of a value without its common marks, if it is far better than those of any value.
fn stripped(hir: &Hir, clauses: &[Clause]) -> Option<Clause> {
    let (common, other) = evasion::common_and_other_marks();
    let Some(left) = evasion::without(hir, &other) else {
        // It matches no value without the other marks: a clause that nothing satisfies.
        return Some(Clause::default());
    };
    let rated = rated(part(&evasion::erased(&left, &common)?).into_clauses());
    let usable = rated
        .into_iter()
        .filter(|(_, clause)| clause.strings.len() <= CLAUSE_STRINGS_MAX);
    let (likelihood, best) = usable.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let others = clauses.iter().map(Clause::likelihood).fold(1.0, f32::min);
    Some(best).filter(|_| likelihood < others * STRIPPED_GAIN_MIN)
}

/// What is known about a part of a pattern.
struct Part {
    /// Every string (in lower case) that the part can match, if they are few.
    exact: Option<Vec<Vec<u8>>>,
    clauses: Vec<Clause>,
}

impl Part {
    fn exact(strings: Vec<Vec<u8>>) -> Self {
        Self {
            exact: Some(strings),
            clauses: Vec::new(),
        }
    }

    fn clauses(clauses: Vec<Clause>) -> Self {
        Self { exact: None, clauses }
    }

    /// The clauses alone, the list of strings as one of them.
    fn into_clauses(self) -> Vec<Clause> {
        let mut clauses = self.clauses;
        if let Some(exact) = self.exact {
            clauses.extend(Clause::of_strings(&exact));
        }
        clauses
    }
}

fn part(hir: &Hir) -> Part {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Part::exact(vec![Vec::new()]),
        HirKind::Literal(literal) => {
            let lower = literal.0.to_ascii_lowercase();
            if lower.len() > EXACT_BYTES_MAX {
                return Part::clauses(Clause::of_strings(&[lower]).into_iter().collect());
            }
            Part::exact(vec![lower])
        }
        HirKind::Class(class) => class_part(class),
        HirKind::Capture(capture) => part(&capture.sub),
        HirKind::Repetition(repetition) => {
            let inner = part(&repetition.sub);
            match (repetition.min, repetition.max) {
                (0, Some(1)) => match inner.exact {
                    Some(mut exact) => {
                        exact.push(Vec::new());
                        Part::exact(exact)
                    }
                    None => Part::clauses(Vec::new()),
                },
                (0, _) => Part::clauses(Vec::new()),
                (1, Some(1)) => inner,
                // Two and more in a row: what one needs is needed, and a single string repeats.
                (min, max) => match inner.exact {
                    Some(exact) if exact.len() == 1 && Some(min) == max && min <= 8 => {
                        let text = exact.first().map(|t| t.repeat(min as usize)).unwrap_or_default();
                        Part::exact(vec![text])
                    }
                    exact => Part::clauses(
                        Part {
                            exact,
                            clauses: inner.clauses,
                        }
                        .into_clauses(),
                    ),
                },
            }
        }
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(parts) => alternation(parts),
    }
}

fn class_part(class: &Class) -> Part {
    let Some(class) = evasion::bytes_of(class) else {
        return Part::clauses(Vec::new());
    };
    let mut set = ByteMap::default();
    for range in class.ranges() {
        (range.start()..=range.end()).for_each(|b| set.insert(b));
    }
    let mut folded: Vec<Vec<u8>> = set.iter().map(|b| vec![b.to_ascii_lowercase()]).collect();
    folded.sort();
    folded.dedup();
    if folded.len() <= 5 && !folded.is_empty() {
        return Part::exact(folded);
    }
    Part::clauses(vec![Clause {
        bytes: set,
        strings: Vec::new(),
    }])
}

fn concat(parts: &[Hir]) -> Part {
    let mut clauses = Vec::new();
    let mut whole = true;
    let mut run: Vec<Vec<u8>> = vec![Vec::new()];
    let flush = |run: &mut Vec<Vec<u8>>, clauses: &mut Vec<Clause>| {
        clauses.extend(Clause::of_strings(run));
        *run = vec![Vec::new()];
    };
    for hir in parts {
        let part = part(hir);
        clauses.extend(part.clauses);
        let Some(exact) = part.exact else {
            whole = false;
            flush(&mut run, &mut clauses);
            continue;
        };
        let product: Vec<Vec<u8>> = run
            .iter()
            .flat_map(|a| exact.iter().map(|b| [a.as_slice(), b.as_slice()].concat()))
            .collect();
        if exact.len() * run.len() <= EXACT_MAX && product.iter().all(|s| s.len() <= EXACT_BYTES_MAX) {
            run = product;
            run.sort();
            run.dedup();
        } else {
            whole = false;
            flush(&mut run, &mut clauses);
            run = exact;
        }
    }
    if whole {
        return Part {
            exact: Some(run),
            clauses,
        };
    }
    flush(&mut run, &mut clauses);
    clauses.sort_by(|a, b| a.likelihood().total_cmp(&b.likelihood()));
    clauses.truncate(CLAUSES_MAX);
    Part::clauses(clauses)
}

/// `A1 and A2` or `B1 and B2` implies `A1 or B1`, and `A2 or B2`: the k-th best clauses of the branches make the
/// k-th of the whole. A branch with fewer gives its best again.
fn alternation(parts: &[Hir]) -> Part {
    let parts: Vec<Part> = parts.iter().map(part).collect();
    let total: usize = parts
        .iter()
        .map(|p| p.exact.as_ref().map_or(EXACT_MAX + 1, Vec::len))
        .sum();
    if total <= EXACT_MAX && parts.iter().all(|p| p.clauses.is_empty()) {
        let mut exact: Vec<Vec<u8>> = parts
            .into_iter()
            .flat_map(|p| p.exact.unwrap_or_default())
            .collect();
        exact.sort();
        exact.dedup();
        return Part::exact(exact);
    }
    let mut branches: Vec<Vec<Clause>> = Vec::new();
    for part in parts {
        let mut clauses = part.into_clauses();
        if clauses.is_empty() {
            return Part::clauses(Vec::new());
        }
        clauses.sort_by(|a, b| a.likelihood().total_cmp(&b.likelihood()));
        branches.push(clauses);
    }
    let most = branches.iter().map(Vec::len).max().unwrap_or(0).min(CLAUSES_MAX);
    let clauses = (0..most).map(|k| {
        let mut clause = Clause::default();
        for branch in &branches {
            if let Some(own) = branch.get(k).or_else(|| branch.first()) {
                clause.merge(own);
            }
        }
        clause
    });
    Part::clauses(
        clauses
            .filter(|c| c.strings.len() <= CLAUSE_STRINGS_MAX)
            .collect(),
    )
}
