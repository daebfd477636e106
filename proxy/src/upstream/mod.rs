//! Exchanges with origins: pools and their endpoints, connections, HTTP/1.1 and HTTP/2 towards them, and probes.

pub(crate) mod connect;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod h2_pool;
pub(crate) mod outlier;
pub(crate) mod pool;
pub(crate) mod probe;
pub(crate) mod resolve;
pub(crate) mod tls;

use bytes::BytesMut;
use weir_h1::FieldSpans;
use weir_schema::codes::RefusalCode;

use crate::downstream::Trailers;

/// Why an exchange with an upstream failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamFault {
    /// The connection could not be made.
    Connect,
    /// The connection attempt took too long.
    ConnectTimeout,
    /// The upstream left the connection before it looked at the request (GOAWAY).
    Left,
    /// The answer is no HTTP response, or an ambiguous one.
    Protocol,
    /// The upstream refused the stream before it looked at it (REFUSED_STREAM).
    Refused,
    /// The upstream ended the exchange early.
    Reset,
    /// The upstream did not answer in time.
    Timeout,
}

impl UpstreamFault {
    /// What the client is told.
    pub(crate) const fn code(self) -> RefusalCode {
        match self {
            Self::Connect => RefusalCode::UpstreamConnect,
            Self::ConnectTimeout | Self::Timeout => RefusalCode::UpstreamTimeout,
            Self::Protocol => RefusalCode::UpstreamProtocol,
            Self::Left | Self::Refused | Self::Reset => RefusalCode::UpstreamReset,
        }
    }

    /// Label of `weir_upstream_requests_total`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Left => "left",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
        }
    }
}

/// Head of an upstream's final response.
pub(crate) struct ResponseMessage {
    /// Status, 200 to 599, or 101.
    pub(crate) status: u16,
    /// The bytes that `fields` points into.
    pub(crate) buffer: BytesMut,
    /// Fields in order.
    pub(crate) fields: FieldSpans,
    /// Bytes of the body, where known before.
    pub(crate) length: Option<u64>,
    /// There is no body.
    pub(crate) empty: bool,
}

impl ResponseMessage {
    /// Fields in order.
    pub(crate) fn each_field(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields
            .iter()
            .map(|field| (field.name.of(&self.buffer), field.value.of(&self.buffer)))
    }

    /// Value of the first field of this name.
    pub(crate) fn field(&self, name: &[u8]) -> Option<&[u8]> {
        let mut found = self
            .each_field()
            .filter(|(known, _)| weir_h1::header_eq(known, name));
        found.next().map(|(_, value)| value)
    }
}

/// How far a response body has come.
#[derive(Debug)]
pub(crate) enum BodyProgress {
    /// There are bytes in [`h1::H1Exchange::data`] (or its HTTP/2 like).
    Data,
    /// It has ended.
    End(Trailers),
}
