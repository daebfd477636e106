//! What a receiver asks of a frame before it counts it.

use super::{ENTRIES_MAX, Entry, FOLDED, Frame, LOST_MAX, NODE_BYTES_MAX};
use crate::ids::{RouteId, TenantId};
use crate::telemetry::histogram::CELLS;
use crate::telemetry::record::Outcome;

/// Why a frame is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// Parts of the CPU time.
    #[error("the parts of the workers' CPU time do not add up to it")]
    Cpu,
    /// Latencies.
    #[error("the latencies are not as many as the answered requests, or lie in cells that do not exist")]
    Latency,
    /// Lost frames.
    #[error("lost frames are named by a range that is empty, from 1, or too many are named")]
    Lost,
    /// Node, region, tenant or route.
    #[error("a name is empty, too long or not an id")]
    Name,
    /// Order of the entries.
    #[error("the entries are too many, not in ascending order, or name a pair twice")]
    Order,
    /// Refusals.
    #[error("more refusal codes than refused requests")]
    Refusals,
    /// Sequence number.
    #[error("the epoch or the sequence number is 0")]
    Seq,
    /// Begin and end.
    #[error("the frame ends before it begins")]
    Times,
}

impl Frame {
    /// Looks whether a frame is one that a proxy makes.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), FrameFault> {
        let ensure = |holds: bool, fault| if holds { Ok(()) } else { Err(fault) };
        ensure(self.epoch > 0 && self.seq > 0, FrameFault::Seq)?;
        ensure(self.from_ms <= self.to_ms, FrameFault::Times)?;
        let named = !self.node.is_empty() && self.node.len() <= NODE_BYTES_MAX;
        let placed = self.region.len() <= NODE_BYTES_MAX;
        ensure(
            named && placed && self.entries.iter().all(Entry::is_named),
            FrameFault::Name,
        )?;
        let pairs = self.entries.iter().map(|entry| (&entry.tenant, &entry.route));
        let ascending = pairs.clone().zip(pairs.skip(1)).all(|(a, b)| a < b);
        ensure(ascending && self.entries.len() <= ENTRIES_MAX, FrameFault::Order)?;
        let parts = self.entries.iter().map(|entry| u128::from(entry.cpu_ns));
        let cpu = parts.sum::<u128>() + u128::from(self.overhead_cpu_ns);
        let waf = self.entries.iter().all(|entry| entry.waf_ns <= entry.cpu_ns);
        ensure(cpu == u128::from(self.cpu_ns) && waf, FrameFault::Cpu)?;
        for entry in &self.entries {
            let known = entry.latency.cells.iter().all(|(cell, _)| cell < CELLS);
            let answered = entry.ended(Outcome::Answered);
            ensure(known && entry.latency.count() == answered, FrameFault::Latency)?;
            let refused = entry.ended(Outcome::Refused);
            ensure(entry.refusals.total() <= refused, FrameFault::Refusals)?;
        }
        let ranges = self
            .lost
            .iter()
            .all(|lost| lost.epoch > 0 && lost.from_seq > 0 && lost.from_seq <= lost.to_seq);
        ensure(ranges && self.lost.len() <= LOST_MAX, FrameFault::Lost)
    }
}

impl Entry {
    fn is_named(&self) -> bool {
        let tenant = self.tenant.as_str();
        let route = self.route.as_str();
        let tenant_fits = tenant.is_empty() || tenant == FOLDED || TenantId::new(tenant).is_some();
        let route_fits = route.is_empty() || route == FOLDED || RouteId::new(route).is_some();
        tenant_fits && route_fits
    }
}
