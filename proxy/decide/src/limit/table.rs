//! Buckets of all keys in a table of fixed size.

use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;
use weir_schema::codes::RefusalCode;

use super::gcra::{GcraParams, HORIZON, Offer, TIME_BITS, seconds, ticks};

const SLOTS: usize = 8;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const TAG_MASK: u64 = !TIME_MASK;
/// Ticks between two sweeps: an eighth of the range of times, so that none is old enough to look like the future.
const SWEEP_EVERY: u64 = HORIZON;
/// Most tries to change a slot that other threads change at the same time; then the request is refused for a moment.
const TRIES_MAX: u32 = 64;

/// One bucket that a request must pass.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// Of [`super::key_hash`].
    pub key_hash: u64,
    /// Its shape.
    pub rate: GcraParams,
    /// What a refusal is called.
    pub code: RefusalCode,
    /// Name of the policy in the header fields.
    pub name: &'a str,
}

/// What a bucket holds after a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitState {
    /// Requests that would be admitted at once.
    pub remaining: u64,
    /// Seconds until it is full again, rounded up.
    pub reset_s: u64,
}

/// The bucket that refused; of several the one with the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Position in the checks.
    pub index: usize,
    /// Its code.
    pub code: RefusalCode,
    /// Seconds until it would admit, rounded up and at least 1.
    pub retry_after_s: u64,
}

/// The decision over all checks of a request.
#[derive(Clone, Debug)]
pub struct Admission {
    states: SmallVec<[LimitState; 6]>,
    refused: Option<Refused>,
}

impl Admission {
    /// The refusal; `None` when the request was admitted and charged everywhere.
    pub fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// The state of each bucket, in the order of the checks.
    pub fn states(&self) -> &[LimitState] {
        &self.states
    }
}

#[repr(align(64))]
struct Line([AtomicU64; SLOTS]);

/// Buckets of 8 bytes, 8 to a cache line; memory is fixed when it is made.
///
/// A key's hash names a line (low bits) and a tag of 20 bits (high bits). A slot holds the tag and the theoretical arrival
/// time of GCRA. What it promises and what it does not:
/// - One key by one thread: exactly GCRA with ticks of 256 ns.
/// - Two keys in one line with equal tags share a bucket: once per 131,000 pairs of key and full line (8 / 2^20). Hashes
///   are keyed, so nobody can choose such a pair.
/// - When a line is full, the bucket with the earliest time gives way, which is the fullest: keys at their limit stay,
///   and those that lose state lose the least. [`Table::evictions`] counts buckets that were not full.
/// - A request is charged to all its buckets or to none: all are looked at before any is charged, and charges are taken
///   back when another thread emptied a later bucket in between. Until then others can be refused for it, never admitted.
/// - Two threads that bring the same new key into one line at the same instant can each take another slot; that key then
///   has a second burst at most.
pub struct Table {
    lines: Box<[Line]>,
    swept: AtomicU64,
    evictions: AtomicU64,
}

impl Table {
    /// A table of at least `keys` buckets, rounded up to a power of two of lines.
    pub fn new(keys: u32) -> Self {
        let lines = (keys as usize).div_ceil(SLOTS).max(1).next_power_of_two();
        let lines = (0..lines)
            .map(|_| Line(std::array::from_fn(|_| AtomicU64::new(0))))
            .collect();
        Self {
            lines,
            swept: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// What [`Self::admit`] would say now; nothing is charged.
    pub fn peek(&self, checks: &[Check<'_>], now_ns: u64) -> Admission {
        let now = ticks(now_ns);
        let mut admission = Admission {
            states: SmallVec::new(),
            refused: None,
        };
        let mut worst_wait = 0;
        for (index, check) in checks.iter().enumerate() {
            let ahead = self.ahead(check.key_hash, now);
            if let Offer::Refuse { wait } = check.rate.offer(ahead)
                && wait > worst_wait
            {
                worst_wait = wait;
                admission.refused = Some(refused(index, check, wait));
            }
            admission.states.push(state(&check.rate, ahead));
        }
        admission
    }

    /// Decides over a request: charged to every bucket, or to none.
    pub fn admit(&self, checks: &[Check<'_>], now_ns: u64) -> Admission {
        let now = ticks(now_ns);
        self.sweep(now);
        let mut admission = self.peek(checks, now_ns);
        if admission.refused.is_some() {
            return admission;
        }
        for (index, check) in checks.iter().enumerate() {
            match self.charge(check, now) {
                Ok(ahead) => {
                    if let Some(slot) = admission.states.get_mut(index) {
                        *slot = state(&check.rate, ahead);
                    }
                }
                Err(wait) => {
                    checks
                        .iter()
                        .take(index)
                        .for_each(|charged| self.refund(charged, now));
                    admission.refused = Some(refused(index, check, wait));
                    admission.states = checks
                        .iter()
                        .map(|c| state(&c.rate, self.ahead(c.key_hash, now)))
                        .collect();
                    break;
                }
            }
        }
        admission
    }

    /// Buckets held.
    pub fn capacity(&self) -> usize {
        self.lines.len() * SLOTS
    }

    /// Buckets that gave way to others before they were full again. When it grows, the table is too small.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    fn line(&self, hash: u64) -> &[AtomicU64] {
        // The number of lines is a power of two.
        let at = usize::try_from(hash).unwrap_or(usize::MAX) & (self.lines.len() - 1);
        self.lines.get(at).map_or(&[], |line| &line.0)
    }

    /// How far a key's bucket is from being full, ticks.
    fn ahead(&self, hash: u64, now: u64) -> u64 {
        let tag = tag(hash);
        let found = self
            .line(hash)
            .iter()
            .map(|slot| slot.load(Ordering::Acquire))
            .find(|word| word & TAG_MASK == tag);
        found.map_or(0, |word| ahead(word, now))
    }

    /// Takes a request out of a bucket. `Err` is the wait.
    fn charge(&self, check: &Check<'_>, now: u64) -> Result<u64, u64> {
        let tag = tag(check.key_hash);
        for _ in 0..TRIES_MAX {
            let Some((slot, word)) = choose(self.line(check.key_hash), tag, now) else {
                break;
            };
            let own = word & TAG_MASK == tag;
            let before = if own { ahead(word, now) } else { 0 };
            let after = match check.rate.offer(before) {
                Offer::Admit { ahead } => ahead,
                Offer::Refuse { wait } => return Err(wait),
            };
            let next = tag | (now.wrapping_add(after) & TIME_MASK);
            if slot
                .compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                if !own && word != 0 && ahead(word, now) > 0 {
                    self.evictions.fetch_add(1, Ordering::Relaxed);
                }
                return Ok(after);
            }
        }
        Err(check.rate.per_request)
    }

    /// Puts a request back, if the bucket is still there.
    fn refund(&self, check: &Check<'_>, now: u64) {
        let tag = tag(check.key_hash);
        for slot in self.line(check.key_hash) {
            let back = |word: u64| {
                let less = ahead(word, now).saturating_sub(check.rate.per_request);
                (word & TAG_MASK == tag).then(|| tag | (now.wrapping_add(less) & TIME_MASK))
            };
            if slot
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, back)
                .is_ok()
            {
                return;
            }
        }
    }

    /// Times wrap: every 6.5 days full buckets are cleared, before they could be taken for empty ones.
    fn sweep(&self, now: u64) {
        let swept = self.swept.load(Ordering::Acquire);
        let since = now.saturating_sub(swept);
        if since < SWEEP_EVERY
            || self
                .swept
                .compare_exchange(swept, now, Ordering::AcqRel, Ordering::Acquire)
                .is_err()
        {
            return;
        }
        // With no request for a whole horizon after the last sweep was due, every bucket is full, whatever its time says.
        let all = since >= 2 * SWEEP_EVERY;
        for slot in self.lines.iter().flat_map(|line| &line.0) {
            let word = slot.load(Ordering::Acquire);
            if word != 0 && (all || ahead(word, now) == 0) {
                // A bucket that changed meanwhile is in use.
                let _ = slot.compare_exchange(word, 0, Ordering::AcqRel, Ordering::Acquire);
            }
        }
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let capacity = self.capacity();
        f.debug_struct("Table")
            .field("capacity", &capacity)
            .field("evictions", &self.evictions())
            .finish_non_exhaustive()
    }
}

/// The key's slot, or else the one to take: a free one, or the fullest bucket.
fn choose(line: &[AtomicU64], tag: u64, now: u64) -> Option<(&AtomicU64, u64)> {
    let mut victim: Option<(&AtomicU64, u64, i64)> = None;
    for slot in line {
        let word = slot.load(Ordering::Acquire);
        if word & TAG_MASK == tag {
            return Some((slot, word));
        }
        let age = if word == 0 { i64::MIN } else { offset(word, now) };
        if victim.is_none_or(|(_, _, earliest)| age < earliest) {
            victim = Some((slot, word, age));
        }
    }
    victim.map(|(slot, word, _)| (slot, word))
}

/// A tag is never 0: a word of 0 is a free slot.
fn tag(hash: u64) -> u64 {
    match hash & TAG_MASK {
        0 => 1 << TIME_BITS,
        tag => tag,
    }
}

/// The slot's time relative to now, ticks, negative in the past.
fn offset(word: u64, now: u64) -> i64 {
    let distance = (word.wrapping_sub(now) & TIME_MASK) << (64 - TIME_BITS);
    distance.cast_signed() >> (64 - TIME_BITS)
}

fn ahead(word: u64, now: u64) -> u64 {
    u64::try_from(offset(word, now)).unwrap_or(0)
}

fn state(rate: &GcraParams, ahead: u64) -> LimitState {
    LimitState {
        remaining: rate.remaining(ahead),
        reset_s: seconds(ahead),
    }
}

fn refused(index: usize, check: &Check<'_>, wait: u64) -> Refused {
    Refused {
        index,
        code: check.code,
        retry_after_s: seconds(wait).max(1),
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
