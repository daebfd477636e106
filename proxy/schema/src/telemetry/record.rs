//! One record per finished request: metrics, log, meter and trace are made from it, and from nothing else.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::codes::RefusalCode;
use crate::ids::{ListenerId, PoolId, RouteId, TenantId};

/// What one request was, did and cost. It borrows: whoever wants to keep a part copies it.
#[derive(Clone, Debug)]
pub struct RequestRecord<'a> {
    /// Id sent to the upstream and in refusals as `x-request-id`, 32 hexadecimal digits.
    pub request_id: &'a str,
    /// The configuration's generation that served it, from the first stage to this record.
    pub generation: u64,
    /// Listener.
    pub listener: &'a ListenerId,
    /// Peer of the connection.
    pub peer: SocketAddr,
    /// Client address after trusted hops.
    pub client: IpAddr,
    /// Protocol towards the client.
    pub protocol: Protocol,
    /// Whether the client's connection was encrypted.
    pub tls: bool,
    /// Method as sent.
    pub method: &'a [u8],
    /// Host as sent; empty if there was none.
    pub host: &'a [u8],
    /// Target as sent.
    pub target: &'a [u8],
    /// Tenant, once known.
    pub tenant: Option<&'a TenantId>,
    /// Route, once known.
    pub route: Option<&'a RouteId>,
    /// Pool, once known.
    pub pool: Option<&'a PoolId>,
    /// Endpoint of the last try.
    pub upstream: Option<SocketAddr>,
    /// Tries made.
    pub tries: u8,
    /// ISO country, `XX` unknown.
    pub country: [u8; 2],
    /// Autonomous system number, 0 unknown.
    pub asn: u32,
    /// Status sent; 0 when the client left before one.
    pub status: u16,
    /// Why it was refused, if it was.
    pub code: Option<RefusalCode>,
    /// How it ended.
    pub outcome: Outcome,
    /// Bytes read from the client, heads and bodies.
    pub bytes_in: u64,
    /// Bytes written to the client, heads and bodies.
    pub bytes_out: u64,
    /// Times.
    pub timings: Timings,
    /// CPU time of this request on its worker, nanoseconds.
    pub cpu_ns: u64,
    /// Part of `cpu_ns` spent in the rule engine.
    pub waf_ns: u64,
    /// Ids of rules that matched, at most 32.
    pub rules: &'a [u64],
    /// Anomaly score of the request, 0 without rules.
    pub score: u32,
}

/// Protocol towards a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// Label and log value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "http/1.0",
            Self::Http11 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered in full by an upstream.
    Answered,
    /// The client left.
    ClientGone,
    /// Refused by us; `code` says why.
    Refused,
    /// The upstream's answer was cut off after its head had been passed on.
    UpstreamCut,
}

impl Outcome {
    /// All outcomes, in order.
    pub const ALL: [Self; 4] = [Self::Answered, Self::ClientGone, Self::Refused, Self::UpstreamCut];

    /// Label and log value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ClientGone => "client_gone",
            Self::Refused => "refused",
            Self::UpstreamCut => "upstream_cut",
        }
    }
}

/// Times of a request in microseconds, each from its start; 0 when the point was not reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Head read.
    pub head_us: u32,
    /// Decided: stages up to route done, body judged.
    pub decided_us: u32,
    /// Upstream connection at hand.
    pub connected_us: u32,
    /// First byte of the upstream's response head.
    pub first_byte_us: u32,
    /// Last byte written to the client.
    pub total_us: u32,
}
