//! What is known about values that come again and again: names of fields, arguments and cookies, and the headers that a
//! client sends with every request. Each thread remembers their masks between transactions.
//!
//! Safety argument. A mask is a function of the filter and the bytes, and an operator that did not match a value will
//! not match the same bytes again (its argument is a constant). An entry is used only for the same filter and equal
//! bytes, which are compared; a hash only says where to look. The memory is bounded: a value of more than
//! [`BYTES_MAX`] bytes is not remembered, and a new value takes the place of an old one.

use std::cell::RefCell;

use smallvec::SmallVec;

/// Longest value that is remembered.
pub(crate) const BYTES_MAX: usize = 256;
/// Values that a thread remembers.
const PLACES: usize = 1024;

#[derive(Default)]
struct Memory {
    filter: u64,
    bytes: SmallVec<[u8; 32]>,
    mask: SmallVec<[u64; 6]>,
}

thread_local! {
    static MEMORIES: RefCell<Vec<Memory>> = const { RefCell::new(Vec::new()) };
}

fn with<T>(filter: u64, hash: u64, bytes: &[u8], act: impl FnOnce(&mut Memory) -> T) -> Option<T> {
    MEMORIES.with_borrow_mut(|all| {
        let memory = all.get_mut((hash ^ filter) as usize % PLACES)?;
        (memory.filter == filter && memory.bytes.as_slice() == bytes).then(|| act(memory))
    })
}

/// Appends the mask of a value that is remembered.
pub(crate) fn recall(filter: u64, hash: u64, bytes: &[u8], out: &mut Vec<u64>) -> bool {
    with(filter, hash, bytes, |memory| out.extend_from_slice(&memory.mask)).is_some()
}

/// Remembers the mask of a value.
pub(crate) fn remember(filter: u64, hash: u64, bytes: &[u8], mask: &[u64]) {
    MEMORIES.with_borrow_mut(|all| {
        if all.is_empty() {
            all.resize_with(PLACES, Memory::default);
        }
        if let Some(memory) = all.get_mut((hash ^ filter) as usize % PLACES) {
            memory.filter = filter;
            memory.bytes = SmallVec::from_slice(bytes);
            memory.mask = SmallVec::from_slice(mask);
        }
    });
}

/// Remembers that an operator does not match a value.
pub(crate) fn rule_out(filter: u64, hash: u64, bytes: &[u8], operator: usize) {
    with(filter, hash, bytes, |memory| {
        if let Some(word) = memory.mask.get_mut(operator / 64) {
            *word &= !(1 << (operator % 64));
        }
    });
}
