//! What was counted of all tenants in one region.

use serde::Serialize;
use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::counts::Counts;
use weir_schema::telemetry::frame::{Entry, Frame};

use super::latency::Fine;
use super::ring::Ring;
use super::span::{LONG, SETTLE_S, SHORT, Span};
use crate::collect::Usage;

/// Seconds that are shown one by one.
pub(in crate::dashboard) const SERIES_S: u64 = 60;
/// Seconds that are kept: those that are shown, and those whose frames are still coming.
const SECONDS_KEPT: u64 = SERIES_S + 2 * SETTLE_S;

/// One second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::dashboard) struct Second {
    /// Requests that ended.
    pub(in crate::dashboard) requests: u64,
    /// Those that failed.
    pub(in crate::dashboard) errors: u64,
    /// Those that were refused.
    pub(in crate::dashboard) refused: u64,
    /// CPU time, nanoseconds.
    pub(in crate::dashboard) cpu_ns: u64,
}

impl Second {
    fn add(&mut self, more: &Usage) {
        self.requests = self.requests.saturating_add(more.requests);
        self.errors = self.errors.saturating_add(more.errors);
        self.refused = self.refused.saturating_add(more.refused);
        self.cpu_ns = self.cpu_ns.saturating_add(more.cpu_ns);
    }

    /// Adds another region's.
    pub(super) fn merge(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.errors = self.errors.saturating_add(more.errors);
        self.refused = self.refused.saturating_add(more.refused);
        self.cpu_ns = self.cpu_ns.saturating_add(more.cpu_ns);
    }
}

/// What was counted over a span, or in a slot.
#[derive(Debug, Default)]
pub(in crate::dashboard) struct RegionSum {
    pub(in crate::dashboard) usage: Usage,
    /// Also of requests whose head could not be read, which `usage` does not have.
    pub(in crate::dashboard) refusals: Counts<RefusalCode>,
    /// Requests whose head could not be read.
    pub(in crate::dashboard) unread: u64,
    pub(in crate::dashboard) latency: Fine,
}

impl RegionSum {
    fn add(&mut self, more: &Self) {
        self.usage.add(&more.usage);
        self.refusals.merge(&more.refusals);
        self.unread = self.unread.saturating_add(more.unread);
        self.latency.merge(&more.latency);
    }
}

/// One region.
#[derive(Default)]
pub(super) struct Region {
    short: Ring<RegionSum>,
    long: Ring<RegionSum>,
    seconds: Ring<Second>,
}

impl Region {
    /// Counts an entry of second `at_s`.
    pub(super) fn count(&mut self, entry: &Entry, usage: &Usage, at_s: u64) {
        for (ring, grain) in [(&mut self.short, SHORT), (&mut self.long, LONG)] {
            if let Some(slot) = ring.at(grain.slot(at_s), grain.slots) {
                slot.usage.add(usage);
                slot.refusals.merge(&entry.refusals);
                slot.latency.add(&entry.latency);
            }
        }
        if let Some(second) = self.seconds.at(at_s, SECONDS_KEPT) {
            second.add(usage);
        }
    }

    /// Counts what a frame says of no tenant.
    pub(super) fn count_unread(&mut self, frame: &Frame, at_s: u64) {
        for (ring, grain) in [(&mut self.short, SHORT), (&mut self.long, LONG)] {
            if let Some(slot) = ring.at(grain.slot(at_s), grain.slots) {
                slot.refusals.merge(&frame.unread);
                slot.unread = slot.unread.saturating_add(frame.unread.total());
            }
        }
    }

    /// Adds what was counted over a span to a sum.
    pub(super) fn sum(&self, span: Span, now_s: u64, into: &mut RegionSum) {
        let ring = match span {
            Span::Minute => &self.short,
            Span::TenMinutes => &self.long,
        };
        ring.since(span.first_slot(now_s))
            .for_each(|(_, slot)| into.add(slot));
    }

    /// Adds the seconds from `from_s` on to as many as there are in `into`.
    pub(super) fn seconds(&self, from_s: u64, into: &mut [Second]) {
        for (second, figures) in self.seconds.since(from_s) {
            let place = usize::try_from(second - from_s).unwrap_or(usize::MAX);
            if let Some(known) = into.get_mut(place) {
                known.merge(*figures);
            }
        }
    }
}
