//! The values of one transaction: one byte buffer, and indexes into it. Transformed values are kept and reused.

use std::collections::HashMap;

use crate::compile::RuleSet;
use crate::transformations::TABLE;
use crate::variables::{COLLECTIONS, STORED, Var};

/// A value: an index into `Store::values`.
pub(super) type Id = u32;

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) name: Id,
    pub(super) value: Id,
}

pub(crate) struct Store {
    bytes: Vec<u8>,
    values: Vec<(u32, u32)>,
    pub(super) collections: [Vec<Entry>; COLLECTIONS],
    scalars: [Option<Id>; STORED],
    /// By slot of the rule set.
    pub(super) tx: Vec<Option<Id>>,
    /// TX variables whose names are made at run time.
    pub(super) tx_other: Vec<Entry>,
    /// (value, transformation) -> value; a step that changes nothing answers its input.
    steps: HashMap<(Id, u16), Id>,
    pub(super) matched_name: Id,
    pub(super) matched: Id,
}

/// More bytes than this are not kept: far beyond what body limits let in.
const BYTES_MAX: usize = 512 << 20;

impl Store {
    pub(super) fn new(rules: &RuleSet) -> Self {
        let mut store = Self {
            bytes: Vec::with_capacity(4096),
            values: Vec::with_capacity(128),
            collections: Default::default(),
            scalars: [None; STORED],
            tx: vec![None; rules.tx_names.len()],
            tx_other: Vec::new(),
            steps: HashMap::new(),
            matched_name: 0,
            matched: 0,
        };
        store.add(b"");
        store
    }

    pub(super) fn add(&mut self, value: &[u8]) -> Id {
        let start = self.bytes.len();
        let room = BYTES_MAX.saturating_sub(start);
        self.bytes.extend_from_slice(value.get(..room).unwrap_or(value));
        self.seal(start)
    }

    /// Makes a value of everything from `start` on.
    fn seal(&mut self, start: usize) -> Id {
        let span = (
            u32::try_from(start).unwrap_or(u32::MAX),
            u32::try_from(self.bytes.len() - start).unwrap_or(0),
        );
        self.values.push(span);
        u32::try_from(self.values.len() - 1).unwrap_or(0)
    }

    pub(super) fn get(&self, id: Id) -> &[u8] {
        let (start, length) = self.values.get(id as usize).copied().unwrap_or_default();
        let start = start as usize;
        self.bytes.get(start..start + length as usize).unwrap_or_default()
    }

    pub(super) fn set(&mut self, var: Var, value: &[u8]) {
        let id = self.add(value);
        if let Some(slot) = self.scalars.get_mut(var as usize) {
            *slot = Some(id);
        }
    }

    pub(super) fn scalar(&self, var: Var) -> Option<Id> {
        self.scalars.get(var as usize).copied().flatten()
    }

    pub(super) fn push(&mut self, var: Var, name: &[u8], value: &[u8]) {
        let entry = Entry {
            name: self.add(name),
            value: self.add(value),
        };
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

    /// Applies one transformation, once per value.
    pub(super) fn transform(&mut self, id: Id, step: u16, budget: &mut u64) -> Id {
        if let Some(known) = self.steps.get(&(id, step)) {
            return *known;
        }
        let input = self.get(id).to_vec();
        *budget = budget.saturating_sub(input.len() as u64);
        let start = self.bytes.len();
        let changed = TABLE
            .get(usize::from(step))
            .is_some_and(|t| (t.apply)(&input, &mut self.bytes));
        let result = if changed && self.bytes.len() < BYTES_MAX {
            self.seal(start)
        } else {
            self.bytes.truncate(start);
            id
        };
        self.steps.insert((id, step), result);
        result
    }

    /// The value of a TX variable by its name in lower case.
    pub(super) fn tx_named(&self, rules: &RuleSet, name: &[u8]) -> Option<Id> {
        match rules.tx_slots.get(name) {
            Some(slot) => self.tx.get(usize::from(*slot)).copied().flatten(),
            None => self
                .tx_other
                .iter()
                .find(|e| self.get(e.name) == name)
                .map(|e| e.value),
        }
    }

    pub(super) fn tx_number(&self, rules: &RuleSet, name: &[u8]) -> i64 {
        self.tx_named(rules, name)
            .map_or(0, |id| crate::operators::integer(self.get(id)))
    }

    pub(super) fn tx_set(&mut self, rules: &RuleSet, name: &[u8], value: Option<Id>) {
        if let Some(slot) = rules.tx_slots.get(name) {
            if let Some(place) = self.tx.get_mut(usize::from(*slot)) {
                *place = value;
            }
            return;
        }
        let at = self.tx_other.iter().position(|e| self.get(e.name) == name);
        match (at, value) {
            (Some(at), Some(value)) => {
                if let Some(entry) = self.tx_other.get_mut(at) {
                    entry.value = value;
                }
            }
            (Some(at), None) => {
                self.tx_other.remove(at);
            }
            (None, Some(value)) if self.tx_other.len() < 4096 => {
                let name = self.add(name);
                self.tx_other.push(Entry { name, value });
            }
            _ => {}
        }
    }
}
