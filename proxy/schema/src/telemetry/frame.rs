//! What a proxy did in one second, per tenant and route: the unit that usage, cost and SLO are computed from.
//!
//! A frame is identified by (node, epoch, seq): whoever receives one twice counts it once. The epoch is one run of a proxy;
//! its frames are numbered from 1 without a gap and cover its time without a gap. What was lost on the way is named in a
//! later frame ([`Lost`]). All figures are integers, and what is split adds up: see [`Frame::check`].
//!
//! A request is counted in the frame of the second in which it ended; CPU time and connection time in the second in which
//! they passed.

mod fault;
mod fold;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::counts::Counts;
use super::histogram::Histogram;
use super::record::Outcome;
use crate::codes::RefusalCode;

pub use fault::FrameFault;
pub use fold::fold;

/// Entries of a frame; what is more is folded, see [`fold`].
pub const ENTRIES_MAX: usize = 16_384;
/// Bytes of a frame as JSON. A full frame of long ids has about a third of it.
pub const FRAME_BYTES_MAX: usize = 32 << 20;
/// Losses that one frame names; more wait for the next.
pub const LOST_MAX: usize = 64;
/// Bytes of a node's name.
pub const NODE_BYTES_MAX: usize = 63;
/// Tenant or route of what was folded; no id looks like it.
pub const FOLDED: &str = "*";

/// One second of a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Name of the proxy.
    pub node: String,
    /// Region it stands in.
    pub region: String,
    /// The run of the proxy: its start, unix ms, later than that of any earlier run of the node.
    pub epoch: u64,
    /// Number within the epoch, from 1.
    pub seq: u64,
    /// The last of its epoch: the proxy drained or handed over. An epoch without one ended by a crash.
    #[serde(default)]
    pub last: bool,
    /// Begin, unix ms: the end of the frame before.
    pub from_ms: u64,
    /// End, unix ms; not below the begin.
    pub to_ms: u64,
    /// The proxy's own count of versions, at the end of the frame.
    pub generation: u64,
    /// Control's revision at the end of the frame; 0 when none was pushed.
    #[serde(default)]
    pub revision: u64,
    /// CPU time of the worker threads, nanoseconds. The sum of all entries' `cpu_ns` and of `overhead_cpu_ns`.
    pub cpu_ns: u64,
    /// Of `cpu_ns`: the runtime's own work, and waking up while there is nothing to do.
    pub overhead_cpu_ns: u64,
    /// CPU time of the whole process, nanoseconds: the workers, the admin endpoint, compiling, logs, frames.
    pub process_cpu_ns: u64,
    /// Requests without a record, because no head could be read: they have no entry.
    #[serde(default, deserialize_with = "known_codes")]
    pub unread: Counts<RefusalCode>,
    /// By tenant and route, ascending; each pair once; at most [`ENTRIES_MAX`].
    pub entries: Vec<Entry>,
    /// Pairs of tenant and route that had no room of their own in `entries` (counted where they were folded, per worker
    /// and per frame, so a pair may count more than once).
    #[serde(default)]
    pub folded: u64,
    /// Frames of this node, of any epoch, that will not come; at most [`LOST_MAX`].
    #[serde(default)]
    pub lost: Vec<Lost>,
}

/// What a proxy did for one route of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Tenant; empty for what belongs to none; [`FOLDED`].
    pub tenant: String,
    /// Route; empty for requests that were refused before they had one, and for what belongs to a tenant's connections;
    /// [`FOLDED`].
    #[serde(default)]
    pub route: String,
    /// Requests that ended, by status class and outcome.
    #[serde(default)]
    pub requests: Counts<(StatusClass, Outcome)>,
    /// Those that ended `refused`, by why. Codes that this program does not know are left out when it reads a frame.
    #[serde(default, deserialize_with = "known_codes")]
    pub refusals: Counts<RefusalCode>,
    /// Bytes read from clients: heads and bodies, as in the access log. Not those of tunnels after a 101, nor TLS and
    /// TCP.
    #[serde(default)]
    pub bytes_in: u64,
    /// Bytes written to clients, likewise.
    #[serde(default)]
    pub bytes_out: u64,
    /// Of the requests that ended `answered`, from the head read to the last byte written: as many as they.
    #[serde(default)]
    pub latency: Histogram,
    /// CPU time, nanoseconds: its share of the workers' time.
    #[serde(default)]
    pub cpu_ns: u64,
    /// Of `cpu_ns`: the rule engine's.
    #[serde(default)]
    pub waf_ns: u64,
    /// Waiting for upstreams, nanoseconds: from the decision to the first byte of the answer, or to the end when there
    /// was none.
    #[serde(default)]
    pub upstream_ns: u64,
    /// Time of open client connections, milliseconds, each counted for the tenant that it served last; before its first
    /// request for the tenant whose certificate it got. Counted in entries with an empty route.
    #[serde(default)]
    pub connection_ms: u64,
}

/// First digit of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StatusClass {
    /// No status was sent.
    #[serde(rename = "none")]
    None,
    /// Informational: only 101.
    #[serde(rename = "1xx")]
    Informational,
    /// Successful.
    #[serde(rename = "2xx")]
    Successful,
    /// Redirection.
    #[serde(rename = "3xx")]
    Redirection,
    /// The client's fault.
    #[serde(rename = "4xx")]
    ClientError,
    /// The server's fault, and whatever lies beyond 599.
    #[serde(rename = "5xx")]
    ServerError,
}

impl StatusClass {
    /// Class of a status; 0 is none.
    pub const fn of(status: u16) -> Self {
        match status / 100 {
            0 => Self::None,
            1 => Self::Informational,
            2 => Self::Successful,
            3 => Self::Redirection,
            4 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

/// Frames that will not come. A receiver that holds some of them all the same does not count those as lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Their epoch.
    pub epoch: u64,
    /// The first.
    pub from_seq: u64,
    /// The last.
    pub to_seq: u64,
    /// Requests that they counted; `None` if nobody knows.
    #[serde(default)]
    pub requests: Option<u64>,
    /// Why.
    pub cause: LossCause,
}

/// Why frames were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossCause {
    /// The process ended before it could write the second that it was in.
    Crash,
    /// The spool was full: the oldest went first.
    SpoolFull,
    /// They could not be read back from the disk.
    Unreadable,
}

impl Lost {
    /// Takes `next` in when it follows without a gap and for the same reason; false otherwise.
    pub fn extend(&mut self, next: &Self) -> bool {
        let follows = self.epoch == next.epoch
            && self.cause == next.cause
            && self.to_seq.checked_add(1) == Some(next.from_seq)
            && self.requests.is_some() == next.requests.is_some();
        if follows {
            self.to_seq = next.to_seq;
            self.requests = self
                .requests
                .zip(next.requests)
                .map(|(before, more)| before.saturating_add(more));
        }
        follows
    }
}

impl Entry {
    /// Of a tenant and route, with nothing counted.
    pub fn new(tenant: &str, route: &str) -> Self {
        Self {
            tenant: tenant.to_owned(),
            route: route.to_owned(),
            ..Self::default()
        }
    }

    /// Adds all figures of `other`, whose tenant and route are not looked at.
    pub fn merge(&mut self, other: &Self) {
        self.requests.merge(&other.requests);
        self.refusals.merge(&other.refusals);
        self.latency.merge(&other.latency);
        for (own, more) in [
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.cpu_ns, other.cpu_ns),
            (&mut self.waf_ns, other.waf_ns),
            (&mut self.upstream_ns, other.upstream_ns),
            (&mut self.connection_ms, other.connection_ms),
        ] {
            *own = own.saturating_add(more);
        }
    }

    /// Whether no figure was counted.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
            && self.bytes_in
                | self.bytes_out
                | self.cpu_ns
                | self.waf_ns
                | self.upstream_ns
                | self.connection_ms
                == 0
    }

    /// Requests that ended so, of any status.
    pub fn ended(&self, outcome: Outcome) -> u64 {
        let those = self.requests.iter().filter(|((_, known), _)| *known == outcome);
        those.fold(0, |sum, (_, count)| sum.saturating_add(count))
    }
}

impl Frame {
    /// Requests of all entries.
    pub fn requests(&self) -> u64 {
        let counts = self.entries.iter().map(|entry| entry.requests.total());
        counts.fold(0, u64::saturating_add)
    }
}

/// Reads counts by code and leaves out codes that a newer program made up.
fn known_codes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Counts<RefusalCode>, D::Error> {
    let pairs = Vec::<(String, u64)>::deserialize(deserializer)?;
    let known = |(code, count)| Some((serde_json::from_value(Value::String(code)).ok()?, count));
    Ok(pairs.into_iter().filter_map(known).collect())
}
