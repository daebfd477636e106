//! A request that is refused before it is an exchange: its head is none that we serve. It is counted and logged as all others are,
//! without a tenant.

use weir_decide::refuse::Refusal;
use weir_schema::telemetry::record::{Outcome, Protocol, RequestRecord, Timings};

use super::RequestId;
use crate::engine::request::{ConnectionInfo, Request};

/// What came of the request.
#[derive(Clone, Copy)]
pub(crate) enum Sent<'a> {
    /// A head that was understood and is refused.
    Head(&'a Request),
    /// Bytes that are no head; the protocol is that of the connection.
    Bytes(Protocol),
}

/// The request and its refusal.
pub(crate) struct Unread<'a> {
    pub(crate) id: &'a RequestId,
    pub(crate) refusal: &'a Refusal,
    pub(crate) sent: Sent<'a>,
    /// Read and written.
    pub(crate) bytes: (u64, u64),
}

impl Unread<'_> {
    /// Counts it, and writes its line. The client is the peer: which hops are trusted is asked of heads that are understood.
    pub(crate) fn record(&self, info: &ConnectionInfo) {
        let shared = &info.shared;
        shared.unread(self.refusal.code);
        let live = shared.live.load();
        let Some(log) = &live.access_log else { return };
        let (request, protocol) = match self.sent {
            Sent::Head(request) => (Some(request), request.protocol),
            Sent::Bytes(protocol) => (None, protocol),
        };
        let record = RequestRecord {
            request_id: self.id.as_str(),
            generation: live.generation,
            listener: &info.listener,
            peer: info.peer,
            client: info.peer.ip(),
            protocol,
            tls: info.tls.is_some(),
            method: request.map(Request::method).unwrap_or_default(),
            host: request.map(Request::host).unwrap_or_default(),
            target: request
                .map(|request| request.target.of(&request.buffer))
                .unwrap_or_default(),
            tenant: None,
            route: None,
            pool: None,
            upstream: None,
            tries: 0,
            country: *b"XX",
            asn: 0,
            status: self.refusal.status,
            code: Some(self.refusal.code),
            outcome: Outcome::Refused,
            bytes_in: self.bytes.0,
            bytes_out: self.bytes.1,
            timings: Timings::default(),
            cpu_ns: 0,
            waf_ns: 0,
            rules: &[],
            score: 0,
        };
        shared.access_log.write(log, &record, request);
    }
}
