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

    /// The set with the other case of every letter in it.
    pub(crate) fn with_both_cases(&self) -> Self {
        let mut both = *self;
        self.iter()
            .for_each(|byte| both.insert(byte.to_ascii_lowercase()));
        self.iter()
            .for_each(|byte| both.insert(byte.to_ascii_uppercase()));
        both
    }

    /// The set with the lower case of every capital letter in it.
    pub(crate) fn folded(&self) -> Self {
        /// Where `A` to `Z` are in the second word; the lower case of each is 32 bits further up.
        const CAPITALS: u64 = ((1 << 26) - 1) << 1;
        let [a, b, c, d] = self.0;
        Self([a, b | (b & CAPITALS) << 32, c, d])
    }

    /// Whether every byte of the other set is in this one.
    pub(crate) fn holds_all(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| b & !a == 0)
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut both = *self;
        both.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
        both
    }

    pub(crate) fn union(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    /// Every byte that is not in the set.
    pub(crate) fn complement(&self) -> Self {
        Self(self.0.map(|word| !word))
    }

    #[inline]
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

/// Bits of a byte's class: both cases of a letter share one, digits and common marks have their own.
const CLASS_BITS: usize = 6;
const PAIRS: usize = 1 << (2 * CLASS_BITS);
const TRIPLES: usize = 1 << (3 * CLASS_BITS);
/// Strings that are taken in between two pauses.
const GROUPS_AT_ONCE: usize = 256;

static CLASS: [u8; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, bounds included"
)]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b @ b'a'..=b'z' => b - b'a',
            b @ b'A'..=b'Z' => b - b'A',
            b @ b'0'..=b'9' => 26 + b - b'0',
            b @ b' '..=b'/' => 36 + b - b' ',
            b @ b':'..=b'@' => 52 + (b - b':') % 4,
            b @ b'['..=b'`' => 56 + (b - b'[') % 4,
            b'{'..=b'~' => 60,
            0x80..=0xFF => 61,
            b'\r' | b'\n' => 62,
            _ => 63,
        };
        byte += 1;
    }
    classes
}

fn class_of(byte: u8) -> usize {
    CLASS.get(usize::from(byte)).copied().map_or(0, usize::from)
}

/// Strings of two bytes and more, all looked for in one pass.
#[derive(Debug, Default)]
pub(super) struct Strings {
    /// Classes of three bytes after whose last one a string may have its key.
    hit: Option<Box<[u64; TRIPLES / 64]>>,
    /// Per word of `hit`: the classes in the words before it.
    ranks: Vec<u32>,
    /// Per class in `hit`, in their order: the first of its keys; and where the last one's end.
    starts: Vec<u32>,
    /// By class.
    keys: Vec<Key>,
    /// Per class of two bytes: one more than the index of the first string of two bytes in `pair_keys`.
    pairs: Option<Box<[u16; PAIRS]>>,
    pair_keys: Vec<Key>,
    text: Vec<u8>,
    effects: Vec<Effect>,
}

/// A string and where in it the two or three bytes stand that it is found by.
#[derive(Debug, Clone, Copy)]
struct Key {
    /// Its key's bytes in lower case, last one lowest.
    bytes: u32,
    text: u32,
    length: u16,
    /// Bytes of the string up to and with the key.
    end: u16,
    effects: u32,
    effect_count: u16,
    /// The byte behind the key, in lower case, if the string goes on.
    next: Option<u8>,
}

/// The class of a key of three bytes.
fn class_of_key(bytes: u32) -> usize {
    let [_, a, b, c] = bytes.to_be_bytes();
    (class_of(a) << CLASS_BITS | class_of(b)) << CLASS_BITS | class_of(c)
}

impl Strings {
    /// The atoms are in lower case and have at least two bytes.
    pub(super) fn new(atoms: Vec<(&[u8], Effect)>, pause: &dyn Fn()) -> Self {
        pause();
        let atoms = sorted(atoms, pause);
        if atoms.is_empty() {
            return Self::default();
        }
        let mut all = Self {
            hit: Some(Box::new([0; TRIPLES / 64])),
            keys: Vec::with_capacity(atoms.len()),
            text: Vec::with_capacity(atoms.iter().map(|(text, _)| text.len()).sum()),
            effects: Vec::with_capacity(atoms.len()),
            ..Self::default()
        };
        let mut pairs: Vec<(usize, Key)> = Vec::new();
        for (number, group) in atoms.chunk_by(|a, b| a.0 == b.0).enumerate() {
            if number % GROUPS_AT_ONCE == 0 {
                pause();
            }
            let Some((text, _)) = group.first() else { continue };
            let (end, key) = rarest_key(text);
            let made = Key {
                bytes: key.iter().fold(0, |all, b| all << 8 | u32::from(*b)),
                text: small(all.text.len()),
                length: u16::try_from(text.len()).unwrap_or(u16::MAX),
                end,
                effects: small(all.effects.len()),
                effect_count: u16::try_from(group.chunk_by(|a, b| a.1.word == b.1.word).count())
                    .unwrap_or(u16::MAX),
                next: text.get(usize::from(end)).copied(),
            };
            all.text.extend_from_slice(text);
            for same_word in group.chunk_by(|a, b| a.1.word == b.1.word) {
                let Some((_, first)) = same_word.first() else {
                    continue;
                };
                all.effects.push(Effect {
                    word: first.word,
                    operators: same_word
                        .iter()
                        .fold(0, |all, (_, effect)| all | effect.operators),
                });
            }
            let class = key.iter().fold(0, |class, b| class << CLASS_BITS | class_of(*b));
            if key.len() == 2 {
                pairs.push((class, made));
            } else {
                all.keys.push(made);
                all.mark(class);
            }
        }
        all.add_pairs(pairs);
        all.keys.shrink_to_fit();
        all.text.shrink_to_fit();
        all.effects.shrink_to_fit();
        pause();
        all.keys.sort_by_key(|key| class_of_key(key.bytes));
        let mut at = 0;
        for group in all
            .keys
            .chunk_by(|a, b| class_of_key(a.bytes) == class_of_key(b.bytes))
        {
            all.starts.push(small(at));
            at += group.len();
        }
        all.starts.push(small(at));
        let mut rank = 0;
        for word in all.hit.iter().flat_map(|hit| hit.iter()) {
            all.ranks.push(rank);
            rank += word.count_ones();
        }
        all
    }

    fn add_pairs(&mut self, mut pairs: Vec<(usize, Key)>) {
        let mut firsts = Box::new([0; PAIRS]);
        pairs.sort_by_key(|(class, _)| *class);
        for (class, key) in pairs {
            self.pair_keys.push(key);
            let number = u16::try_from(self.pair_keys.len()).unwrap_or(u16::MAX);
            if let Some(first) = firsts.get_mut(class).filter(|first| **first == 0) {
                *first = number;
            }
        }
        self.pairs = Some(firsts);
    }

    fn mark(&mut self, class: usize) {
        if let Some(word) = self.hit.as_mut().and_then(|hit| hit.get_mut(class / 64)) {
            *word |= 1 << (class % 64);
        }
    }

    /// How many strings there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len() + self.pair_keys.len()
    }

    /// Calls `satisfy` for every effect of every string in the value, perhaps more than once. `seen` has a bit per string
    /// for those that were found, or is empty.
    pub(super) fn find(&self, value: &[u8], seen: &mut [u64], satisfy: &mut impl FnMut(&Effect)) {
        let (Some(hit), Some(pairs)) = (&self.hit, &self.pairs) else {
            return;
        };
        let mut class = 0_usize;
        for (at, byte) in value.iter().enumerate() {
            class = (class << CLASS_BITS | class_of(*byte)) % TRIPLES;
            let first = pairs.get(class % PAIRS).copied().unwrap_or(0);
            if first > 0 {
                self.pair(value, at + 1, first, seen, satisfy);
            }
            let word = hit.get(class / 64).copied().unwrap_or(0);
            if word >> (class % 64) & 1 == 1 {
                let before = (word & ((1 << (class % 64)) - 1)).count_ones();
                let rank = self.ranks.get(class / 64).map_or(0, |rank| rank + before);
                self.triple(value, at + 1, rank as usize, seen, satisfy);
            }
        }
    }

    /// Looks for strings of two bytes that end at `end`; the first of their class is number `first`, counted from 1.
    fn pair(
        &self,
        value: &[u8],
        end: usize,
        first: u16,
        seen: &mut [u64],
        satisfy: &mut impl FnMut(&Effect),
    ) {
        let Some([a, b]) = end.checked_sub(2).and_then(|from| value.get(from..end)) else {
            return;
        };
        let bytes = u32::from(a.to_ascii_lowercase()) << 8 | u32::from(b.to_ascii_lowercase());
        // Classes hold few pairs, one behind the other; a pair of another class ends them.
        let class = |bytes: u32| class_of((bytes >> 8) as u8) << CLASS_BITS | class_of(bytes as u8);
        let own = class(bytes);
        for (number, pair) in self.pair_keys.iter().enumerate().skip(usize::from(first) - 1) {
            if pair.bytes == bytes {
                let number = self.keys.len() + number;
                if !is_seen(seen, number) {
                    self.satisfy(pair, number, seen, satisfy);
                }
                return;
            }
            if class(pair.bytes) != own {
                return;
            }
        }
    }

    /// Looks for longer strings whose key ends at `end` and is of the class of this rank.
    fn triple(
        &self,
        value: &[u8],
        end: usize,
        rank: usize,
        seen: &mut [u64],
        satisfy: &mut impl FnMut(&Effect),
    ) {
        let Some([a, b, c]) = end.checked_sub(3).and_then(|from| value.get(from..end)) else {
            return;
        };
        let [a, b, c] = [a, b, c].map(u8::to_ascii_lowercase);
        let bytes = u32::from_be_bytes([0, a, b, c]);
        let (Some(from), Some(to)) = (self.starts.get(rank), self.starts.get(rank + 1)) else {
            return;
        };
        let from = *from as usize;
        let next = value.get(end).map(u8::to_ascii_lowercase);
        let keys = self.keys.get(from..*to as usize).unwrap_or_default();
        for (at, key) in keys.iter().enumerate() {
            // The next byte tells apart most strings that have their key in common.
            let goes_on = key.next.is_none_or(|own| Some(own) == next);
            if key.bytes != bytes || !goes_on || is_seen(seen, from + at) {
                continue;
            }
            let length = usize::from(key.length);
            if length > 3 && !self.stands_at(value, end, key) {
                continue;
            }
            self.satisfy(key, from + at, seen, satisfy);
        }
    }

    /// Whether the whole string of a key that ends at `end` is there.
    fn stands_at(&self, value: &[u8], end: usize, key: &Key) -> bool {
        let length = usize::from(key.length);
        let from = key.text as usize;
        let text = self.text.get(from..from + length).unwrap_or_default();
        let start = end.checked_sub(usize::from(key.end));
        let found = start.and_then(|start| value.get(start..start + length));
        found.is_some_and(|found| found.eq_ignore_ascii_case(text))
    }

    fn satisfy(&self, key: &Key, number: usize, seen: &mut [u64], satisfy: &mut impl FnMut(&Effect)) {
        if let Some(word) = seen.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
        let from = key.effects as usize;
        let effects = self.effects.get(from..from + usize::from(key.effect_count));
        effects.unwrap_or_default().iter().for_each(satisfy);
    }
}

fn is_seen(seen: &[u64], number: usize) -> bool {
    seen.get(number / 64)
        .is_some_and(|word| word >> (number % 64) & 1 == 1)
}

/// The atoms in order, each once.
fn sorted<'a>(atoms: Vec<(&'a [u8], Effect)>, pause: &dyn Fn()) -> Vec<(&'a [u8], Effect)> {
    // Comparing the first bytes as one number spares most looks at the texts, which lie all over the memory: a reload sorts
    // thousands of them.
    let begin = |text: &[u8]| {
        let mut first = [0; 8];
        first.iter_mut().zip(text).for_each(|(to, byte)| *to = *byte);
        u64::from_be_bytes(first)
    };
    // By their first byte, so that no piece of the work is long.
    let mut groups = vec![Vec::new(); 256];
    let count = atoms.len();
    for atom in atoms {
        let first = atom.0.first().copied().map_or(0, usize::from);
        if let Some(group) = groups.get_mut(first) {
            group.push((begin(atom.0), atom));
        }
    }
    let mut all = Vec::with_capacity(count);
    for mut group in groups {
        pause();
        group.sort_unstable();
        group.dedup();
        all.extend(group.into_iter().map(|(_, atom)| atom));
    }
    all
}

/// The least common three bytes of the string (or its only two), and where in it they end.
fn rarest_key(text: &[u8]) -> (u16, &[u8]) {
    let mut best = (0, f32::INFINITY);
    for (at, three) in text
        .array_windows::<3>()
        .enumerate()
        .take(usize::from(u16::MAX) - 3)
    {
        let frequency = super::need::frequency(three);
        if frequency < best.1 {
            best = (at, frequency);
        }
    }
    let end = (best.0 + 3).min(text.len());
    let key = text.get(best.0..end).unwrap_or(text);
    (u16::try_from(end).unwrap_or(0), key)
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
