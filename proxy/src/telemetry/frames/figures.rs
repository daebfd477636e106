//! What a worker counted since the last frame.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::counts::Counts;
use weir_schema::telemetry::frame::{ENTRIES_MAX, Entry, StatusClass};
use weir_schema::telemetry::record::{Outcome, RequestRecord};

use super::account::{Account, Hashed};

/// Time that polls took, by the cheap clock: wall time, which the kernel may have stretched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// In polls, nanoseconds.
    pub(crate) poll_ns: u64,
    /// Of `poll_ns`: in the rule engine.
    pub(crate) waf_ns: u64,
    /// Polls that ended.
    pub(crate) polls: u64,
}

impl Spent {
    pub(crate) fn add(&mut self, more: Self) {
        self.poll_ns = self.poll_ns.saturating_add(more.poll_ns);
        self.waf_ns = self.waf_ns.saturating_add(more.waf_ns);
        self.polls = self.polls.saturating_add(more.polls);
    }
}

/// What was counted for an account: an entry without its names and its share of the CPU time.
#[derive(Debug, Default)]
pub(super) struct Charged {
    pub(super) spent: Spent,
    pub(super) entry: Entry,
}

/// What one thread counted.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) accounts: HashMap<Arc<Account>, Charged, BuildHasherDefault<Hashed>>,
    pub(super) unread: Counts<RefusalCode>,
    /// Times that an account had no room.
    pub(super) folded: u64,
}

impl Figures {
    fn with(&mut self, account: &Arc<Account>, change: impl FnOnce(&mut Charged)) {
        if let Some(known) = self.accounts.get_mut(account) {
            return change(known);
        }
        let account = if self.accounts.len() < ENTRIES_MAX {
            Arc::clone(account)
        } else {
            self.folded += 1;
            Account::folded()
        };
        change(self.accounts.entry(account).or_default());
    }

    /// Counts a finished request, and the time that its task spent since it was charged last.
    pub(super) fn observe(&mut self, account: &Arc<Account>, record: &RequestRecord<'_>, spent: Spent) {
        self.with(account, |charged| {
            charged.spent.add(spent);
            let entry = &mut charged.entry;
            entry
                .requests
                .add((StatusClass::of(record.status), record.outcome), 1);
            if let Some(code) = record.code.filter(|_| record.outcome == Outcome::Refused) {
                entry.refusals.add(code, 1);
            }
            if record.outcome == Outcome::Answered {
                entry.latency.record(record.timings.total_us);
            }
            entry.bytes_in += record.bytes_in;
            entry.bytes_out += record.bytes_out;
            entry.upstream_ns += upstream_us(record) * 1000;
        });
    }

    /// Counts time.
    pub(super) fn charge(&mut self, account: &Arc<Account>, spent: Spent) {
        self.with(account, |charged| charged.spent.add(spent));
    }
}

/// From the decision to the first byte of the answer, or to the end when there was none.
fn upstream_us(record: &RequestRecord<'_>) -> u64 {
    let times = &record.timings;
    let until = match times.first_byte_us {
        0 if record.tries == 0 => times.decided_us,
        0 => times.total_us,
        first_byte => first_byte,
    };
    u64::from(until.saturating_sub(times.decided_us))
}
