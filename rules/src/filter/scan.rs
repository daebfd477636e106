//! Which bytes and which strings a value holds.

use super::Effect;

/// The set of byte values in a string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ByteMap([u64; 4]);

/// One row per byte value with its bit set: two vector loads and ORs per byte of the value, and no chain of stores
/// through memory.
static ROWS: [[u64; 4]; 256] = rows();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, bounds included"
)]
const fn rows() -> [[u64; 4]; 256] {
    let mut rows = [[0; 4]; 256];
    let mut byte = 0;
    while byte < 256 {
        rows[byte][byte / 64] = 1 << (byte % 64);
        byte += 1;
    }
    rows
}

impl ByteMap {
    pub(crate) fn of(value: &[u8]) -> Self {
        let mut all = [0_u64; 4];
        for byte in value {
            if let Some(row) = ROWS.get(usize::from(*byte)) {
                all.iter_mut().zip(row).for_each(|(a, b)| *a |= b);
            }
        }
        Self(all)
    }

    /// The bytes of inclusive ranges.
    pub(crate) fn of_ranges(ranges: &[(u8, u8)]) -> Self {
        let mut set = Self::default();
        ranges
            .iter()
            .flat_map(|(low, high)| *low..=*high)
            .for_each(|b| set.insert(b));
        set
    }

    pub(crate) fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte / 64)) {
            *word |= 1 << (byte % 64);
        }
    }

    pub(crate) fn contains(&self, byte: u8) -> bool {
        self.0
            .get(usize::from(byte / 64))
            .is_some_and(|word| word >> (byte % 64) & 1 == 1)
    }

    /// Whether the two sets have a byte in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    pub(crate) fn union(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    /// Every byte that is not in the set.
    pub(crate) fn complement(&self) -> Self {
        Self(self.0.map(|word| !word))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().zip([0_u8, 64, 128, 192]).flat_map(|(word, base)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                u8::try_from(bit).ok().filter(|b| *b < 64).map(|b| b + base)
            })
        })
    }
}

/// Classes of three consecutive bytes: the low five bits of each, which both cases of a letter share.
const CLASSES: usize = 1 << 15;
const PAIRS: usize = 1 << 10;

/// Strings of two bytes and more, all looked for in one pass.
#[derive(Debug, Default)]
pub(super) struct Strings {
    /// Classes after whose third byte a string may have its key.
    hit: Vec<u64>,
    /// Per class: the first of its keys.
    triples: Vec<u32>,
    /// Per class of two bytes, for strings of two bytes.
    pairs: Vec<u32>,
    keys: Vec<Key>,
    text: Vec<u8>,
    effects: Vec<Effect>,
}

/// A string and where in it the two or three bytes stand that it is found by.
#[derive(Debug, Clone, Copy)]
struct Key {
    text: u32,
    length: u16,
    /// Bytes of the string up to and with the key.
    end: u16,
    effects: u32,
    effect_count: u16,
}

impl Strings {
    /// The atoms are in lower case and have at least two bytes.
    pub(super) fn new(mut atoms: Vec<(Vec<u8>, Effect)>) -> Self {
        atoms.sort();
        atoms.dedup();
        let mut all = Self {
            hit: vec![0; CLASSES / 64],
            ..Self::default()
        };
        let mut triples: Vec<(usize, Key)> = Vec::new();
        let mut pairs: Vec<(usize, Key)> = Vec::new();
        for group in atoms.chunk_by(|a, b| a.0 == b.0) {
            let Some((text, _)) = group.first() else { continue };
            let (end, class) = rarest_key(text);
            let key = Key {
                text: small(all.text.len()),
                length: u16::try_from(text.len()).unwrap_or(u16::MAX),
                end,
                effects: small(all.effects.len()),
                effect_count: u16::try_from(group.len()).unwrap_or(u16::MAX),
            };
            all.text.extend_from_slice(text);
            all.effects.extend(group.iter().map(|(_, effect)| *effect));
            if text.len() == 2 {
                pairs.push((class % PAIRS, key));
                (0..CLASSES / PAIRS).for_each(|before| all.mark(before * PAIRS + class % PAIRS));
            } else {
                triples.push((class, key));
                all.mark(class);
            }
        }
        all.triples = all.table(triples, CLASSES);
        all.pairs = all.table(pairs, PAIRS);
        all
    }

    fn mark(&mut self, class: usize) {
        if let Some(word) = self.hit.get_mut(class / 64) {
            *word |= 1 << (class % 64);
        }
    }

    /// Appends the keys by class and answers where each class begins.
    fn table(&mut self, mut found: Vec<(usize, Key)>, classes: usize) -> Vec<u32> {
        if found.is_empty() {
            return Vec::new();
        }
        found.sort_by_key(|(class, _)| *class);
        let mut starts = Vec::with_capacity(classes + 1);
        let mut at = 0;
        for class in 0..=classes {
            starts.push(small(self.keys.len()));
            while let Some((_, key)) = found.get(at).filter(|(c, _)| *c == class) {
                self.keys.push(*key);
                at += 1;
            }
        }
        starts
    }

    /// Calls `satisfy` for every effect of every string in the value, perhaps more than once.
    pub(super) fn find(&self, value: &[u8], satisfy: &mut impl FnMut(&Effect)) {
        if self.keys.is_empty() {
            return;
        }
        let mut class = 0_usize;
        for (at, byte) in value.iter().enumerate() {
            class = (class << 5 | usize::from(byte & 31)) % CLASSES;
            if self
                .hit
                .get(class / 64)
                .is_some_and(|word| word >> (class % 64) & 1 == 1)
            {
                self.compare(value, at + 1, &self.triples, class, satisfy);
                self.compare(value, at + 1, &self.pairs, class % PAIRS, satisfy);
            }
        }
    }

    #[inline(never)]
    fn compare(
        &self,
        value: &[u8],
        end: usize,
        starts: &[u32],
        class: usize,
        satisfy: &mut impl FnMut(&Effect),
    ) {
        let (Some(from), Some(to)) = (starts.get(class), starts.get(class + 1)) else {
            return;
        };
        for key in self.keys.get(*from as usize..*to as usize).unwrap_or_default() {
            let Some(start) = end.checked_sub(usize::from(key.end)) else {
                continue;
            };
            let length = usize::from(key.length);
            let text = self
                .text
                .get(key.text as usize..key.text as usize + length)
                .unwrap_or_default();
            if value
                .get(start..start + length)
                .is_some_and(|found| found.eq_ignore_ascii_case(text))
            {
                let from = key.effects as usize;
                let effects = self.effects.get(from..from + usize::from(key.effect_count));
                effects.unwrap_or_default().iter().for_each(&mut *satisfy);
            }
        }
    }
}

/// Where in the string its least common triple (or its only pair) ends, and the triple's class.
fn rarest_key(text: &[u8]) -> (u16, usize) {
    let class = |part: &[u8]| part.iter().fold(0, |class, b| class << 5 | usize::from(b & 31));
    let size = text.len().min(3);
    let best = text
        .windows(size)
        .enumerate()
        .take(usize::from(u16::MAX) - 3)
        .min_by(|a, b| super::need::frequency(a.1).total_cmp(&super::need::frequency(b.1)));
    let (at, part) = best.unwrap_or((0, text));
    (u16::try_from(at + size).unwrap_or(0), class(part))
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
