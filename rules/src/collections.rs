//! Persistent collections (`IP`, `GLOBAL`, `SESSION`, `USER`, `RESOURCE`): what rules remember from one request to the next.
//!
//! One store per tenant, beside its compiled rules, so that a reload keeps it. Every operation is one step under the lock
//! of a shard: increments of several threads all count, and a rule reads what is true at that moment. Bounded: records
//! that nothing was written to for [`RECORD_MS`] are over, and where the bytes run out the record that was written to
//! longest ago goes first. The stores of a process share a [`CollectionsPool`], which bounds all of them together.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use pool::CollectionsPool;

use crate::operators::integer;
use crate::variables::Var;

/// Locks of a store.
const SHARDS: usize = 16;
/// Bytes that a store holds at most, with what its tables take.
const BYTES_MAX: usize = 8 << 20;
/// What a record and a variable take beside their bytes.
const RECORD_COST: usize = 192;
const VARIABLE_COST: usize = 96;
/// Variables of a record; bytes of a record's key, of a variable's name and of its value. More is not kept.
const VARIABLES_MAX: usize = 32;
const KEY_MAX: usize = 256;
const NAME_MAX: usize = 64;
const VALUE_MAX: usize = 256;
/// Milliseconds after the last write when a record is over (ModSecurity's default of `SecCollectionTimeout`).
const RECORD_MS: u64 = 3_600_000;

mod pool;

/// Which record of which collection.
type Key = (Var, Arc<[u8]>);

/// What rules of one tenant remember between requests.
#[derive(Debug)]
pub struct Collections {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    counts: Counts,
    refused: AtomicU64,
    pool: Option<Arc<CollectionsPool>>,
}

/// How full a store is and what it could not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectionsUse {
    /// Records, with those that are over and not yet dropped.
    pub records: usize,
    /// Bytes, with what the tables take.
    pub bytes: usize,
    /// Records dropped for room before their time.
    pub evicted: u64,
    /// Writes that were not kept: a name, value or number of variables beyond its bound.
    pub refused: u64,
}

#[derive(Debug, Default)]
struct Shard {
    records: HashMap<Key, Record>,
    /// By the order of the last writes.
    order: BTreeMap<u64, Key>,
    turn: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Record {
    variables: Vec<Variable>,
    turn: u64,
    written_ms: u64,
}

#[derive(Debug)]
struct Variable {
    name: Box<[u8]>,
    value: Vec<u8>,
    written_ms: u64,
    expires_ms: u64,
}

/// What a rule does to one variable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Write<'a> {
    Set(&'a [u8]),
    /// Adds; a variable that is not set counts as 0.
    Add(i64),
    Unset,
    /// Ends it in so many seconds.
    Expire(u64),
    /// Takes `amount` off for each `seconds` since it was last written, down to 0.
    Decay {
        amount: i64,
        seconds: u64,
    },
}

impl Default for Collections {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: Default::default(),
            counts: Counts::default(),
            refused: AtomicU64::new(0),
            pool: None,
        }
    }
}

impl Drop for Collections {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.changed(Size::default(), self.counts.size());
        }
    }
}

/// What a store, or a part of one, takes.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    records: usize,
    bytes: usize,
}

/// How full a store is, or all of a pool.
#[derive(Debug, Default)]
struct Counts {
    records: AtomicUsize,
    bytes: AtomicUsize,
    evicted: AtomicU64,
}

impl Counts {
    /// Adds and takes off in one step.
    fn changed(&self, more: Size, less: Size) {
        let add = |counter: &AtomicUsize, more: usize, less: usize| {
            counter.fetch_add(more.wrapping_sub(less), Ordering::Relaxed);
        };
        add(&self.records, more.records, less.records);
        add(&self.bytes, more.bytes, less.bytes);
    }

    fn evicted(&self, count: u64) {
        self.evicted.fetch_add(count, Ordering::Relaxed);
    }

    fn size(&self) -> Size {
        Size {
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    fn usage(&self, refused: u64) -> CollectionsUse {
        let Size { records, bytes } = self.size();
        let evicted = self.evicted.load(Ordering::Relaxed);
        CollectionsUse {
            records,
            bytes,
            evicted,
            refused,
        }
    }
}

impl Collections {
    /// A store whose bytes count in a pool.
    #[must_use]
    pub fn in_pool(pool: &Arc<CollectionsPool>) -> Arc<Self> {
        let mut store = Self::default();
        store.pool = Some(Arc::clone(pool));
        let store = Arc::new(store);
        pool.join(&store);
        store
    }

    /// How full the store is.
    #[must_use]
    pub fn usage(&self) -> CollectionsUse {
        self.counts.usage(self.refused.load(Ordering::Relaxed))
    }

    /// The key of a record; what is beyond the bound is cut.
    pub(crate) fn key(text: &[u8]) -> Arc<[u8]> {
        text.get(..KEY_MAX).unwrap_or(text).into()
    }

    /// Calls `found` with the name and the value of every variable of a record.
    pub(crate) fn each(&self, var: Var, key: &Arc<[u8]>, now_ms: u64, mut found: impl FnMut(&[u8], &[u8])) {
        let key = (var, Arc::clone(key));
        let shard = self.shard(&key);
        if let Some(record) = shard.records.get(&key).filter(|r| !r.is_over(now_ms)) {
            for variable in record.variables.iter().filter(|v| !v.is_over(now_ms)) {
                found(&variable.name, &variable.value);
            }
        }
    }

    /// Writes one variable; `name` is in lower case.
    pub(crate) fn write(&self, var: Var, key: &Arc<[u8]>, name: &[u8], write: Write<'_>, now_ms: u64) {
        let fits = !matches!(write, Write::Set(value) if value.len() > VALUE_MAX);
        let key = (var, Arc::clone(key));
        let mut shard = self.shard(&key);
        let before = shard.usage();
        let kept = fits && name.len() <= NAME_MAX && shard.write(&key, name, write, now_ms);
        if !kept {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        let evicted = shard.shrink(now_ms, BYTES_MAX / SHARDS);
        self.account(before, shard.usage(), evicted);
        drop(shard);
        if let Some(pool) = &self.pool {
            pool.relieve(now_ms);
        }
    }

    /// Counts what changed in a shard, whose lock is held: so no counter is ever below what was counted before.
    fn account(&self, before: Size, after: Size, evicted: u64) {
        self.counts.changed(after, before);
        self.counts.evicted(evicted);
        if let Some(pool) = &self.pool {
            pool.changed(after, before);
            pool.evicted(evicted);
        }
    }

    /// Drops the oldest eighth of every shard.
    fn give_way(&self, now_ms: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let before = shard.usage();
            let evicted = shard.shrink(now_ms, before.bytes - before.bytes.div_ceil(8));
            self.account(before, shard.usage(), evicted);
        }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(key) as usize % SHARDS;
        let [first, ..] = &self.shards;
        let shard = self.shards.get(at).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn usage(&self) -> Size {
        Size {
            records: self.records.len(),
            bytes: self.bytes,
        }
    }

    /// False when the variable has no room.
    fn write(&mut self, key: &Key, name: &[u8], write: Write<'_>, now_ms: u64) -> bool {
        if self.records.get(key).is_some_and(|record| record.is_over(now_ms)) {
            self.remove(key);
        }
        let creates = matches!(write, Write::Set(_) | Write::Add(_));
        if !creates && !self.records.contains_key(key) {
            return true;
        }
        let record = self.records.entry((key.0, Arc::clone(&key.1))).or_default();
        let before = if record.turn == 0 { 0 } else { record.cost(key) };
        let kept = record.write(name, write, now_ms);
        if record.variables.is_empty() {
            if before == 0 {
                self.records.remove(key);
            } else {
                // Its cost has changed already: what it was is taken off.
                self.order.remove(&record.turn);
                self.records.remove(key);
                self.bytes = self.bytes.saturating_sub(before);
            }
            return kept;
        }
        let after = record.cost(key);
        self.order.remove(&record.turn);
        self.turn += 1;
        record.turn = self.turn;
        record.written_ms = now_ms;
        self.order.insert(self.turn, (key.0, Arc::clone(&key.1)));
        self.bytes = self.bytes.saturating_sub(before) + after;
        kept
    }

    fn remove(&mut self, key: &Key) {
        if let Some(record) = self.records.remove(key) {
            self.bytes = self.bytes.saturating_sub(record.cost(key));
            self.order.remove(&record.turn);
        }
    }

    /// Drops what is over, and the oldest while there is more than `bytes_max`; answers how many of the latter.
    fn shrink(&mut self, now_ms: u64, bytes_max: usize) -> u64 {
        let mut evicted = 0;
        while let Some((_, key)) = self.order.first_key_value() {
            let over = self.records.get(key).is_none_or(|record| record.is_over(now_ms));
            if !over && self.bytes <= bytes_max {
                break;
            }
            evicted += u64::from(!over);
            let Some((_, key)) = self.order.pop_first() else {
                break;
            };
            self.remove(&key);
        }
        evicted
    }
}

impl Record {
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.written_ms) >= RECORD_MS
    }

    fn cost(&self, key: &Key) -> usize {
        let variables = self
            .variables
            .iter()
            .map(|v| v.name.len() + v.value.len() + VARIABLE_COST);
        RECORD_COST + 2 * key.1.len() + variables.sum::<usize>()
    }

    fn write(&mut self, name: &[u8], write: Write<'_>, now_ms: u64) -> bool {
        self.variables.retain(|v| !v.is_over(now_ms));
        let at = self.variables.iter().position(|v| *v.name == *name);
        let known = at.and_then(|at| self.variables.get_mut(at));
        match (known, write) {
            (None, Write::Unset | Write::Expire(_) | Write::Decay { .. }) => {}
            (Some(_), Write::Unset) => self.variables.retain(|v| *v.name != *name),
            (Some(variable), write) => variable.write(write, now_ms),
            (None, write) => {
                if self.variables.len() >= VARIABLES_MAX {
                    return false;
                }
                let mut variable = Variable {
                    name: name.into(),
                    value: Vec::new(),
                    written_ms: now_ms,
                    expires_ms: u64::MAX,
                };
                variable.write(write, now_ms);
                self.variables.push(variable);
            }
        }
        true
    }
}

impl Variable {
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.expires_ms
    }

    fn write(&mut self, write: Write<'_>, now_ms: u64) {
        match write {
            Write::Set(value) => self.value = value.to_vec(),
            Write::Add(number) => self.number(integer(&self.value).saturating_add(number)),
            Write::Expire(seconds) => {
                self.expires_ms = now_ms.saturating_add(seconds.saturating_mul(1000));
                return;
            }
            Write::Decay { amount, seconds } => {
                let period = seconds.saturating_mul(1000).max(1);
                let periods = now_ms.saturating_sub(self.written_ms) / period;
                if periods == 0 {
                    return;
                }
                let periods = i64::try_from(periods).unwrap_or(i64::MAX);
                let now = integer(&self.value);
                let less = now.saturating_sub(amount.saturating_mul(periods));
                self.number(less.max(0).min(now));
            }
            Write::Unset => return,
        }
        self.written_ms = now_ms;
    }

    fn number(&mut self, number: i64) {
        self.value = number.to_string().into_bytes();
    }
}
