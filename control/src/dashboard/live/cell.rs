//! What was counted of one tenant in one region.

use std::collections::BTreeMap;

use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::counts::Counts;
use weir_schema::telemetry::frame::{Entry, FOLDED};

use super::latency::Coarse;
use super::ring::Ring;
use super::span::{LONG, SHORT, Span};
use crate::collect::Usage;

/// Routes of one tenant and region that are counted apart; more are counted together.
const ROUTES_MAX: usize = 64;

#[derive(Debug, Default)]
struct Slot {
    usage: Usage,
    refusals: Counts<RefusalCode>,
    latency: Coarse,
}

/// What a route did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::dashboard) struct RouteSum {
    /// Requests that ended.
    pub(in crate::dashboard) requests: u64,
    /// Those that failed.
    pub(in crate::dashboard) errors: u64,
    /// CPU time, nanoseconds.
    pub(in crate::dashboard) cpu_ns: u64,
}

impl RouteSum {
    /// Adds.
    pub(in crate::dashboard) fn add(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.errors = self.errors.saturating_add(more.errors);
        self.cpu_ns = self.cpu_ns.saturating_add(more.cpu_ns);
    }
}

/// What was counted over a span.
#[derive(Clone, Debug, Default)]
pub(in crate::dashboard) struct Sum {
    pub(in crate::dashboard) usage: Usage,
    pub(in crate::dashboard) refusals: Counts<RefusalCode>,
    pub(in crate::dashboard) latency: Coarse,
}

/// One tenant in one region.
#[derive(Debug, Default)]
pub(super) struct Cell {
    short: Ring<Slot>,
    long: Ring<Slot>,
    routes: BTreeMap<Box<str>, Ring<RouteSum>>,
}

impl Cell {
    /// Counts an entry of second `at_s`. Gives how many routes are new (0 or 1), of which `routes_left` may come.
    pub(super) fn count(&mut self, entry: &Entry, usage: &Usage, at_s: u64, routes_left: usize) -> usize {
        for (ring, grain) in [(&mut self.short, SHORT), (&mut self.long, LONG)] {
            if let Some(slot) = ring.at(grain.slot(at_s), grain.slots) {
                slot.usage.add(usage);
                slot.refusals.merge(&entry.refusals);
                slot.latency.add(&entry.latency);
            }
        }
        if usage.requests == 0 && usage.cpu_ns == 0 {
            return 0;
        }
        let known = self.routes.contains_key(entry.route.as_str());
        let room = known || (self.routes.len() < ROUTES_MAX && routes_left > 0);
        let route = if room { entry.route.as_str() } else { FOLDED };
        let before = self.routes.len();
        let ring = self.routes.entry(route.into()).or_default();
        if let Some(sum) = ring.at(SHORT.slot(at_s), SHORT.slots) {
            sum.add(RouteSum {
                requests: usage.requests,
                errors: usage.errors,
                cpu_ns: usage.cpu_ns,
            });
        }
        self.routes.len() - before
    }

    /// Adds what was counted over a span to a sum.
    pub(super) fn sum(&self, span: Span, now_s: u64, into: &mut Sum, whole: bool) {
        let ring = match span {
            Span::Minute => &self.short,
            Span::TenMinutes => &self.long,
        };
        for (_, slot) in ring.since(span.first_slot(now_s)) {
            into.usage.add(&slot.usage);
            if whole {
                into.refusals.merge(&slot.refusals);
                into.latency.merge(&slot.latency);
            }
        }
    }

    /// What each route did during the last minute.
    pub(super) fn routes(&self, now_s: u64) -> impl Iterator<Item = (&str, RouteSum)> {
        self.routes.iter().map(move |(route, ring)| {
            let mut sum = RouteSum::default();
            let slots = ring.since(Span::Minute.first_slot(now_s));
            slots.for_each(|(_, more)| sum.add(*more));
            (&**route, sum)
        })
    }

    /// Forgets routes without requests lately; gives how many routes are left.
    pub(super) fn tidy(&mut self, now_s: u64) -> usize {
        let oldest = Span::Minute.first_slot(now_s);
        self.routes
            .retain(|_, ring| ring.newest().is_some_and(|newest| newest >= oldest));
        self.routes.len()
    }

    /// Whether nothing was counted lately.
    pub(super) fn is_silent(&self, now_s: u64) -> bool {
        let oldest = Span::TenMinutes.first_slot(now_s);
        self.long.newest().is_none_or(|newest| newest < oldest)
    }
}
