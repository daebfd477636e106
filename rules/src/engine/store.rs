//! The values of one transaction: one byte buffer, and indexes into it. What was found out about a value (its bytes,
//! its transformed forms, the operators that may match it) is kept with it and never asked twice.

use std::cell::RefCell;

use super::Buffers;
use crate::bits::Bits;
use crate::compile::RuleSet;
use crate::filter::{self, ByteMap, Filter};
use crate::transformations::{TABLE, triggered};
use crate::variables::{COLLECTIONS, STORED, Var};

/// A value: an index into `Store::values`.
pub(super) type Id = u32;
/// The empty value.
pub(super) const EMPTY: Id = 0;
/// The value `0`.
pub(super) const ZERO: Id = 1;

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) name: Id,
    pub(super) value: Id,
}

/// Filters a transaction may ask: for requests and for responses.
const FILTERS: usize = 2;
/// Bytes beyond which a value is long.
const LONG: u32 = 256;
/// Not computed yet.
const UNKNOWN: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    start: u32,
    length: u32,
    /// Index into `facts`.
    facts: u32,
    /// Index into `forms`.
    forms: u32,
    /// Where in `masks` the mask of each filter begins.
    masks: [u32; FILTERS],
    /// The same before any operator was ruled out, if that is known.
    raw: [u32; FILTERS],
    /// The value that this one is in lower case.
    lower_of: Id,
    /// Whether later transactions are likely to bring the value again.
    recurs: bool,
}

/// What a value consists of.
#[derive(Debug, Clone, Copy)]
struct Facts {
    bytes: ByteMap,
    /// Transformations that may change it.
    triggered: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    bytes: Vec<u8>,
    values: Vec<Value>,
    facts: Vec<Facts>,
    /// Per value that was transformed: the result of each row of the table.
    forms: Vec<[Id; TABLE.len()]>,
    masks: Vec<u64>,
    /// Hash table of the values that came with the request, so that equal ones share what is known about them.
    known: Vec<Id>,
    known_count: usize,
    pub(super) collections: [Vec<Entry>; COLLECTIONS],
    scalars: Scalars,
    /// By slot of the rule set.
    pub(super) tx: Vec<Option<Id>>,
    /// TX variables whose names are made at run time, and the hash of each name: requests choose how many there are, and
    /// each is looked for among all.
    pub(super) tx_other: Vec<Entry>,
    tx_other_hashes: Vec<u64>,
    scratch: Vec<u64>,
    input: Vec<u8>,
    /// Those of the transaction while the store is in the pool.
    pub(super) buffers: Buffers,
    /// Bytes that may still be looked at.
    pub(super) budget: u64,
}

#[derive(Debug)]
struct Scalars([Option<Id>; STORED]);

impl Default for Scalars {
    fn default() -> Self {
        Self([None; STORED])
    }
}

/// More bytes than this are not kept: far beyond what body limits let in.
const BYTES_MAX: usize = 512 << 20;
/// Run-time TX variables of one transaction.
const TX_OTHER_MAX: usize = 4096;
/// Stores that a thread keeps for its next transactions, and the largest buffer that one may keep.
const POOL_MAX: usize = 32;
const POOLED_BYTES_MAX: usize = 256 << 10;

thread_local! {
    #[expect(clippy::vec_box, reason = "a transaction owns its store as a box, which is handed over as it is")]
    static POOL: RefCell<Vec<Box<Store>>> = const { RefCell::new(Vec::new()) };
}

impl Store {
    /// An empty store, with the buffers of an earlier transaction of this thread if there are any.
    pub(super) fn take(rules: &RuleSet) -> Box<Self> {
        let mut store = POOL.with_borrow_mut(Vec::pop).unwrap_or_default();
        store.add(b"");
        store.add(b"0");
        store.tx.resize(rules.tx_count, None);
        for (slot, value) in &rules.plan.initial {
            let id = store.add(value);
            store.tx_set_slot(*slot, Some(id));
        }
        store
    }

    /// Leaves the buffers to the next transaction.
    pub(super) fn give_back(mut self: Box<Self>) {
        let large =
            self.bytes.capacity() > POOLED_BYTES_MAX || self.values.capacity() > POOLED_BYTES_MAX / 32;
        if large || self.masks.capacity() > POOLED_BYTES_MAX / 8 || self.forms.capacity() > 1024 {
            return;
        }
        self.bytes.clear();
        self.values.clear();
        self.facts.clear();
        self.forms.clear();
        self.masks.clear();
        self.known.clear();
        self.known_count = 0;
        self.collections.iter_mut().for_each(Vec::clear);
        self.scalars = Scalars::default();
        self.tx.clear();
        self.tx_other.clear();
        self.tx_other_hashes.clear();
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOL_MAX {
                pool.push(self);
            }
        });
    }

    pub(super) fn add(&mut self, value: &[u8]) -> Id {
        let start = self.bytes.len();
        let room = BYTES_MAX.saturating_sub(start);
        self.bytes.extend_from_slice(value.get(..room).unwrap_or(value));
        self.seal(start)
    }

    /// Adds the bytes of several parts as one value.
    pub(super) fn add_parts(&mut self, parts: &[&[u8]]) -> Id {
        let start = self.bytes.len();
        if start < BYTES_MAX {
            parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        }
        self.seal(start)
    }

    /// Adds what `write` appends.
    pub(super) fn add_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Id {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.bytes.truncate(BYTES_MAX.max(start));
        self.seal(start)
    }

    /// Adds a value that is a part of another.
    pub(super) fn add_range(&mut self, of: Id, range: (usize, usize)) -> Id {
        let Some(whole) = self.values.get(of as usize) else {
            return EMPTY;
        };
        let (from, to) = range;
        let start = whole.start as usize + from;
        self.push_value(start, to.saturating_sub(from))
    }

    pub(super) fn add_number(&mut self, number: i64) -> Id {
        if number == 0 {
            return ZERO;
        }
        self.add_with(|out| decimal(number, out))
    }

    /// Makes a value of everything from `start` on.
    fn seal(&mut self, start: usize) -> Id {
        self.push_value(start, self.bytes.len() - start)
    }

    fn push_value(&mut self, start: usize, length: usize) -> Id {
        self.values.push(Value {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            length: u32::try_from(length).unwrap_or(0),
            facts: UNKNOWN,
            forms: UNKNOWN,
            masks: [UNKNOWN; FILTERS],
            raw: [UNKNOWN; FILTERS],
            lower_of: UNKNOWN,
            recurs: false,
        });
        u32::try_from(self.values.len() - 1).unwrap_or(EMPTY)
    }

    pub(super) fn get(&self, id: Id) -> &[u8] {
        let Some(value) = self.values.get(id as usize) else {
            return b"";
        };
        let start = value.start as usize;
        self.bytes
            .get(start..start + value.length as usize)
            .unwrap_or_default()
    }

    pub(super) fn set(&mut self, var: Var, value: &[u8]) {
        let id = self.intern(value);
        self.set_id(var, id);
    }

    pub(super) fn set_id(&mut self, var: Var, id: Id) {
        if let Some(slot) = self.scalars.0.get_mut(var as usize) {
            *slot = Some(id);
        }
    }

    pub(super) fn scalar(&self, var: Var) -> Option<Id> {
        self.scalars.0.get(var as usize).copied().flatten()
    }

    /// Adds a value, or answers an equal one that was added so.
    pub(super) fn intern(&mut self, value: &[u8]) -> Id {
        let id = self.add(value);
        self.merge(id)
    }

    /// The equal value that was merged before, or `id`.
    pub(super) fn merge(&mut self, id: Id) -> Id {
        if (self.known_count + 1) * 2 > self.known.len() {
            self.grow_known();
        }
        // The table's size is a power of two.
        let last = self.known.len().saturating_sub(1);
        let mut at = hash(self.get(id)) as usize & last;
        loop {
            match self.known.get(at) {
                Some(&other) if other == UNKNOWN => break,
                Some(&other) if self.get(other) == self.get(id) => return other,
                Some(_) => at = (at + 1) & last,
                None => return id,
            }
        }
        if let Some(slot) = self.known.get_mut(at) {
            *slot = id;
            self.known_count += 1;
        }
        id
    }

    fn grow_known(&mut self) {
        let old = std::mem::take(&mut self.known);
        let places = (old.len() * 4).max(256);
        self.known.resize(places, UNKNOWN);
        for id in old.into_iter().filter(|id| *id != UNKNOWN) {
            let mut at = hash(self.get(id)) as usize % places;
            while self.known.get(at).is_some_and(|other| *other != UNKNOWN) {
                at = (at + 1) % places;
            }
            if let Some(slot) = self.known.get_mut(at) {
                *slot = id;
            }
        }
    }

    pub(super) fn push(&mut self, var: Var, name: &[u8], value: &[u8]) {
        let entry = Entry {
            name: self.intern(name),
            value: self.intern(value),
        };
        self.set_recurs(entry.name);
        if matches!(var, Var::RequestHeaders | Var::ResponseHeaders) {
            self.set_recurs(entry.value);
        }
        self.push_entry(var, entry);
    }

    /// Notes that later transactions are likely to bring the value again.
    pub(super) fn set_recurs(&mut self, id: Id) {
        if let Some(value) = self.values.get_mut(id as usize) {
            value.recurs = value.length as usize <= filter::RECALL_BYTES_MAX;
        }
    }

    pub(super) fn push_entry(&mut self, var: Var, entry: Entry) {
        if let Some(list) = self.collections.get_mut(var as usize) {
            list.push(entry);
        }
    }

    pub(super) fn list(&self, var: Var) -> &[Entry] {
        self.collections
            .get(var as usize)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The value of the first entry of a name.
    pub(super) fn first(&self, var: Var, name: &[u8]) -> Option<Id> {
        self.list(var)
            .iter()
            .find(|e| self.get(e.name).eq_ignore_ascii_case(name))
            .map(|e| e.value)
    }

    /// Which stored variables have a value, as bits by variable.
    pub(super) fn present(&self) -> u64 {
        let lists = self
            .collections
            .iter()
            .enumerate()
            .filter(|(_, list)| !list.is_empty());
        let scalars = self.scalars.0.iter().enumerate().filter(|(_, id)| id.is_some());
        let places = lists.map(|(at, _)| at).chain(scalars.map(|(at, _)| at));
        places.fold(0, |all, at| all | 1 << at)
    }

    fn facts(&mut self, id: Id) -> Option<Facts> {
        let value = self.values.get(id as usize).copied()?;
        if let Some(known) = self.facts.get(value.facts as usize) {
            return Some(*known);
        }
        self.budget = self.budget.saturating_sub(u64::from(value.length));
        let bytes = ByteMap::of(self.get(id));
        let facts = Facts {
            bytes,
            triggered: triggered(&bytes),
        };
        let at = u32::try_from(self.facts.len()).unwrap_or(UNKNOWN);
        self.facts.push(facts);
        if let Some(value) = self.values.get_mut(id as usize) {
            value.facts = at;
        }
        Some(facts)
    }

    /// The transformations that may change a value, as bits by row of the table.
    #[inline]
    pub(super) fn triggered(&mut self, id: Id) -> u64 {
        let known = self.values.get(id as usize).map_or(UNKNOWN, |v| v.facts);
        match self.facts.get(known as usize) {
            Some(facts) => facts.triggered,
            None => self.facts(id).map_or(0, |facts| facts.triggered),
        }
    }

    /// Applies one transformation, once per value; a step that changes nothing answers its input. A value without any
    /// byte that the step reacts to is not looked at, unless `plain`.
    pub(super) fn transform(&mut self, id: Id, row: u16, plain: bool) -> Id {
        let row = usize::from(row);
        if !plain && self.triggered(id) >> row & 1 == 0 {
            return id;
        }
        let Some(value) = self.values.get_mut(id as usize) else {
            return id;
        };
        if value.forms == UNKNOWN {
            value.forms = u32::try_from(self.forms.len()).unwrap_or(UNKNOWN);
            self.forms.push([UNKNOWN; TABLE.len()]);
        }
        let (start, length, forms) = (value.start as usize, value.length as usize, value.forms as usize);
        if let Some(known) = self
            .forms
            .get(forms)
            .and_then(|f| f.get(row))
            .filter(|f| **f != UNKNOWN)
        {
            return *known;
        }
        self.budget = self.budget.saturating_sub(length as u64);
        let result = self.apply(id, row, start, length);
        if let Some(slot) = self.forms.get_mut(forms).and_then(|f| f.get_mut(row)) {
            *slot = result;
        }
        result
    }

    fn apply(&mut self, id: Id, row: usize, start: usize, length: usize) -> Id {
        let Some(transformation) = TABLE.get(row) else {
            return id;
        };
        // The output grows the buffer that holds the input, so the input is copied aside.
        let mut input = std::mem::take(&mut self.input);
        input.clear();
        input.extend_from_slice(self.bytes.get(start..start + length).unwrap_or_default());
        let from = self.bytes.len();
        let changed = (transformation.apply)(&input, &mut self.bytes);
        self.input = input;
        if changed && self.bytes.len() < BYTES_MAX {
            let made = self.seal(from);
            if self.recurs(id) {
                self.set_recurs(made);
            }
            if let Some(value) = self
                .values
                .get_mut(made as usize)
                .filter(|_| transformation.keeps_mask)
            {
                value.lower_of = id;
            }
            self.merge(made)
        } else {
            self.bytes.truncate(from);
            id
        }
    }

    /// Whether a value is so long that the filter is only asked about it for many operators at once.
    pub(super) fn is_long(&self, id: Id) -> bool {
        self.values.get(id as usize).is_some_and(|v| v.length > LONG)
    }

    /// Whether the filter was asked about a value.
    pub(super) fn has_mask(&self, which: usize, id: Id) -> bool {
        let masks = self.values.get(id as usize).map(|v| v.masks);
        masks.is_some_and(|masks| masks.get(which).is_some_and(|at| *at != UNKNOWN))
    }

    /// What the mask of a value says about one operator, if the filter was asked.
    #[inline]
    pub(super) fn known_candidate(&self, which: usize, id: Id, operator: usize) -> Option<bool> {
        let at = *self.values.get(id as usize)?.masks.get(which)?;
        // Not known is beyond every mask.
        let word = self.masks.get((at as usize).checked_add(operator / 64)?)?;
        Some(word >> (operator % 64) & 1 == 1)
    }

    /// Whether it is known that an operator cannot match a value behind a chain of these rows, which do not change it.
    #[inline]
    pub(super) fn is_refused(&self, id: Id, chain: u64, which: usize, operator: usize) -> bool {
        let Some(value) = self.values.get(id as usize) else {
            return false;
        };
        let facts = self.facts.get(value.facts as usize);
        facts.is_some_and(|facts| facts.triggered & chain == 0)
            && self.known_candidate(which, id, operator) == Some(false)
    }

    /// False only where the bytes or the length of a value show that the operator cannot match it.
    pub(super) fn has_bytes_for(&mut self, filter: &Filter, id: Id, operator: usize) -> bool {
        let Some(facts) = self.facts(id) else {
            return true;
        };
        let length = self.values.get(id as usize).map_or(0, |v| v.length);
        filter.may_match(operator, &facts.bytes, length as usize)
    }

    /// The mask of the operators that may match a value.
    pub(super) fn mask(&mut self, filter: &Filter, which: usize, id: Id) -> &[u64] {
        let place = |value: &Value| value.masks.get(which).copied().unwrap_or(UNKNOWN);
        let mut at = self.values.get(id as usize).map_or(UNKNOWN, place);
        if at == UNKNOWN {
            at = self.compute_mask(filter, which, id);
        }
        let at = at as usize;
        self.masks.get(at..at + filter.words()).unwrap_or_default()
    }

    #[inline(never)]
    fn compute_mask(&mut self, filter: &Filter, which: usize, id: Id) -> u32 {
        let Some(facts) = self.facts(id) else {
            return UNKNOWN;
        };
        if let Some(shared) = self.shared_mask(which, id) {
            self.set_mask(which, id, shared, shared);
            return shared;
        }
        let at = u32::try_from(self.masks.len()).unwrap_or(UNKNOWN);
        let mut masks = std::mem::take(&mut self.masks);
        let mut scratch = std::mem::take(&mut self.scratch);
        let length = self.get(id).len() as u64;
        self.budget = self.budget.saturating_sub(length);
        let value = self.get(id);
        let key = self.recurs(id).then(|| hash(value));
        let mut raw = UNKNOWN;
        if !key.is_some_and(|key| filter::recall(filter.number(), key, value, &mut masks)) {
            filter.candidates(value, &facts.bytes, &mut scratch, &mut masks);
            raw = at;
            if let (Some(key), Some(mask)) = (key, masks.get(at as usize..)) {
                filter::remember(filter.number(), key, value, mask);
            }
        }
        self.scratch = scratch;
        self.masks = masks;
        self.set_mask(which, id, at, raw);
        at
    }

    /// The mask of the value that this one is in lower case: the filter does not tell the case of letters.
    fn shared_mask(&self, which: usize, id: Id) -> Option<u32> {
        let of = self.values.get(id as usize)?.lower_of;
        let raw = *self.values.get(of as usize)?.raw.get(which)?;
        (raw != UNKNOWN).then_some(raw)
    }

    fn set_mask(&mut self, which: usize, id: Id, mask: u32, raw: u32) {
        let Some(value) = self.values.get_mut(id as usize) else {
            return;
        };
        if let (Some(slot), Some(raw_slot)) = (value.masks.get_mut(which), value.raw.get_mut(which)) {
            *slot = mask;
            *raw_slot = raw;
        }
    }

    /// Notes that an operator does not match a value, so that it is not asked again for an equal one.
    pub(super) fn rule_out(&mut self, filter: &Filter, which: usize, id: Id, operator: usize) {
        let Some(value) = self.values.get(id as usize) else {
            return;
        };
        let (Some(&mask), Some(&raw)) = (value.masks.get(which), value.raw.get(which)) else {
            return;
        };
        let mut at = mask;
        let bit = 1 << (operator % 64);
        let holds = |masks: &[u64], at: u32| {
            masks
                .get(at as usize + operator / 64)
                .is_some_and(|w| w & bit != 0)
        };
        if at == UNKNOWN || !holds(&self.masks, at) {
            return;
        }
        if at == raw {
            // The raw mask stays as it is for the forms that share it.
            at = u32::try_from(self.masks.len()).unwrap_or(UNKNOWN);
            let from = raw as usize;
            self.masks.extend_from_within(from..from + filter.words());
            self.set_mask(which, id, at, raw);
        }
        if let Some(word) = self.masks.get_mut(at as usize + operator / 64) {
            *word &= !bit;
        }
        if self.recurs(id) {
            let value = self.get(id);
            filter::rule_out(filter.number(), hash(value), value, operator);
        }
    }

    /// Whether later transactions are likely to bring the value again.
    pub(super) fn recurs(&self, id: Id) -> bool {
        self.values.get(id as usize).is_some_and(|v| v.recurs)
    }

    /// Adds to `found` the operators of a set that may match a value.
    pub(super) fn add_candidates(
        &mut self,
        filter: &Filter,
        which: usize,
        id: Id,
        of: &Bits,
        found: &mut Bits,
    ) {
        found.or_and(self.mask(filter, which, id), of);
    }

    /// The value of a TX variable by its name in lower case.
    pub(super) fn tx_named(&self, rules: &RuleSet, name: &[u8]) -> Option<Id> {
        match rules.tx_slot(name) {
            Some(slot) => self.tx_slot(slot),
            None => self.tx_other_named(name),
        }
    }

    pub(super) fn tx_other_named(&self, name: &[u8]) -> Option<Id> {
        let at = self.tx_other_place(name, hash(name))?;
        self.tx_other.get(at).map(|e| e.value)
    }

    /// Names are compared where their hashes are equal.
    fn tx_other_place(&self, name: &[u8], key: u64) -> Option<usize> {
        let mut from = 0;
        loop {
            let rest = self.tx_other_hashes.get(from..)?;
            let at = from + rest.iter().position(|own| *own == key)?;
            if self.tx_other.get(at).is_some_and(|e| self.get(e.name) == name) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    pub(super) fn tx_number(&self, rules: &RuleSet, name: &[u8]) -> i64 {
        self.tx_named(rules, name)
            .map_or(0, |id| crate::operators::integer(self.get(id)))
    }

    pub(super) fn tx_slot(&self, slot: u16) -> Option<Id> {
        self.tx.get(usize::from(slot)).copied().flatten()
    }

    pub(super) fn tx_set_slot(&mut self, slot: u16, value: Option<Id>) {
        if let Some(place) = self.tx.get_mut(usize::from(slot)) {
            *place = value;
        }
    }

    /// Sets a TX variable whose name was made at run time and is that of no slot.
    pub(super) fn tx_other_set(&mut self, name: &[u8], value: Option<Id>) {
        let key = hash(name);
        let at = self.tx_other_place(name, key);
        match (at, value) {
            (Some(at), Some(value)) => {
                if let Some(entry) = self.tx_other.get_mut(at) {
                    entry.value = value;
                }
            }
            (Some(at), None) => {
                self.tx_other.remove(at);
                self.tx_other_hashes.remove(at);
            }
            (None, Some(value)) if self.tx_other.len() < TX_OTHER_MAX => {
                let name = self.add(name);
                self.tx_other.push(Entry { name, value });
                self.tx_other_hashes.push(key);
            }
            _ => {}
        }
    }
}

/// Mixes a value eight bytes at a time; only equality within one transaction rests on it. Colliding values cost a
/// comparison each, and their number is bounded by the argument limit.
fn hash(value: &[u8]) -> u64 {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    let (words, rest) = value.as_chunks::<8>();
    let mut state = value.len() as u64;
    for word in words {
        state = (state.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(MIX);
    }
    let last = rest.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    state = (state.rotate_left(5) ^ last).wrapping_mul(MIX);
    state ^ state >> 32
}

/// Appends a number in decimal.
pub(super) fn decimal(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    let mut left = number.unsigned_abs();
    let from = out.len();
    loop {
        out.push(b'0' + u8::try_from(left % 10).unwrap_or(0));
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(from..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn numbers_are_written_in_decimal() {
        for n in [0, 7, -10, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            decimal(n, &mut out);
            assert_eq!(out, n.to_string().into_bytes());
        }
    }
}
