//! The keyword list and the list of prints, in tables that are looked up without allocation.
//!
//! Both are data of `libinjectionrs`, hashed at the first look-up: a hit costs one hash and one comparison, and most
//! words that are none are refused by their first two letters and length.

use std::sync::LazyLock;

use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;

use super::token::{Kind, TEXT_MAX};

/// Slots of the table of words, a power of two: four or more for each word (1,000 in version 0.1.1).
const WORD_SLOTS: usize = 4096;
/// Slots of the table of prints: about two for each print (8,367 in version 0.1.1).
const PRINT_SLOTS: usize = 16_384;

struct Lists {
    /// The lengths of words, as bits, by their first byte.
    lengths: [u32; 256],
    /// The lower five bits of the second bytes of words, as bits, by their first byte.
    seconds: [u32; 256],
    words: Vec<Option<(&'static str, Kind)>>,
    /// Packed prints, 0 for an empty slot.
    prints: Vec<u64>,
}

static LISTS: LazyLock<Lists> = LazyLock::new(Lists::build);

impl Lists {
    fn build() -> Self {
        let mut lists = Self {
            lengths: [0; 256],
            seconds: [0; 256],
            words: vec![None; WORD_SLOTS],
            prints: vec![0; PRINT_SLOTS],
        };
        for keyword in SQL_KEYWORDS {
            match keyword.word.as_bytes() {
                [b'0', print @ ..] if keyword.token_type == b'F' => lists.add_print(pack(print)),
                _ => {
                    if let Some(kind) = Kind::of_list(keyword.token_type) {
                        lists.add_word(keyword.word, kind);
                    }
                }
            }
        }
        lists
    }

    fn add_word(&mut self, word: &'static str, kind: Kind) {
        let (Some(first), len @ 1..=TEXT_MAX) = (word.bytes().next(), word.len()) else {
            return;
        };
        for first in [first.to_ascii_uppercase(), first.to_ascii_lowercase()] {
            self.lengths[usize::from(first)] |= 1 << len;
            self.seconds[usize::from(first)] |= second_bit(word.as_bytes());
        }
        let mut slot = word_hash(word.as_bytes());
        for _ in 0..WORD_SLOTS {
            match self.words.get_mut(slot % WORD_SLOTS) {
                Some(free @ None) => return *free = Some((word, kind)),
                _ => slot += 1,
            }
        }
    }

    fn add_print(&mut self, print: u64) {
        let mut slot = print_hash(print);
        for _ in 0..PRINT_SLOTS {
            match self.prints.get_mut(slot % PRINT_SLOTS) {
                Some(free @ 0) => return *free = print,
                _ => slot += 1,
            }
        }
    }
}

/// Whether a word of the list can have this length and begin with the first two bytes of a text, or with its only one
/// and a space.
pub(super) fn may_begin(text: &[u8], len: usize) -> bool {
    text.first().map(|b| usize::from(*b)).is_some_and(|first| {
        let lists = &*LISTS;
        len <= TEXT_MAX
            && lists.lengths[first] >> len & 1 == 1
            && lists.seconds[first] & second_bit(text) != 0
    })
}

/// The word of the keyword list that a text is, in any case, and its kind.
pub(super) fn word(text: &[u8]) -> Option<(&'static str, Kind)> {
    if !may_begin(text, text.len()) {
        return None;
    }
    let lists = &*LISTS;
    let mut slot = word_hash(text);
    loop {
        let (word, kind) = (*lists.words.get(slot % WORD_SLOTS)?)?;
        if word.as_bytes().eq_ignore_ascii_case(text) {
            return Some((word, kind));
        }
        slot += 1;
    }
}

/// One bit for the second byte. The two cases of a letter share it, as do no byte, NUL and the space.
fn second_bit(text: &[u8]) -> u32 {
    1 << (text.get(1).copied().unwrap_or(0) & 31)
}

/// Whether the letters of a print are on the list of attacks. Their case does not count.
pub(super) fn is_print(letters: &[u8]) -> bool {
    let print = pack(letters);
    let mut slot = print_hash(print);
    print != 0
        && loop {
            match LISTS.prints.get(slot % PRINT_SLOTS) {
                Some(0) | None => return false,
                Some(found) if *found == print => return true,
                Some(_) => slot += 1,
            }
        }
}

fn pack(letters: &[u8]) -> u64 {
    let upper = |packed, letter: &u8| packed << 8 | u64::from(letter.to_ascii_uppercase());
    letters.iter().fold(0, upper)
}

fn print_hash(print: u64) -> usize {
    (print.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
}

fn word_hash(text: &[u8]) -> usize {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(byte.to_ascii_uppercase())).wrapping_mul(0x0100_0193);
    let hash = text.iter().fold(0x811C_9DC5, mix);
    (hash ^ hash >> 15) as usize
}
