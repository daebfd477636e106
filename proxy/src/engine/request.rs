//! A request as the stages see it, whatever protocol it came by: one buffer and an index into it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use smallvec::SmallVec;
use weir_h1::{FieldSpans, Framing, RequestHead, Span, Version};
use weir_schema::codes::RefusalCode;
use weir_schema::ids::{ListenerId, TenantId};
use weir_schema::telemetry::record::Protocol;

use crate::downstream::h2::{append, append_fields, well_formed};
use crate::live::Shared;

/// Fields of a head, borrowed.
pub(crate) type FieldList<'a> = SmallVec<[(&'a [u8], &'a [u8]); 24]>;

/// What is known about a client's connection.
pub(crate) struct ConnectionInfo {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listener: ListenerId,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The connection is encrypted; the tenant whose certificate it got.
    pub(crate) tls: Option<TenantId>,
}

/// A request head.
pub(crate) struct Request {
    pub(crate) buffer: BytesMut,
    pub(crate) method: Span,
    /// As sent.
    pub(crate) target: Span,
    /// Path and query.
    pub(crate) path: Span,
    pub(crate) host: Option<Span>,
    pub(crate) fields: FieldSpans,
    pub(crate) protocol: Protocol,
    /// Bytes of the body, where the head tells.
    pub(crate) length: Option<u64>,
    pub(crate) has_body: bool,
    pub(crate) upgrade: bool,
}

impl Request {
    /// From an HTTP/1.x head in `buffer`.
    pub(crate) fn from_h1(buffer: BytesMut, head: RequestHead) -> Self {
        let length = match head.framing {
            Framing::Length(length) => Some(length),
            _ => None,
        };
        Self {
            buffer,
            method: head.method,
            target: head.target,
            path: head.path,
            host: head.host,
            fields: head.fields,
            protocol: if head.version == Version::Http10 {
                Protocol::Http10
            } else {
                Protocol::Http11
            },
            length,
            has_body: matches!(head.framing, Framing::Chunked) || length.is_some_and(|length| length > 0),
            upgrade: head.upgrade,
        }
    }

    /// From an HTTP/2 head. The `h2` crate has looked at pseudo fields, field names and the length of the body; this adds
    /// what RFC 9113 sections 8.2.1 and 8.3.1 ask for beyond that, with the grammar of HTTP/1.1.
    ///
    /// # Errors
    /// The refusal that goes with what is wrong.
    pub(crate) fn from_h2(parts: &http::request::Parts, end: bool) -> Result<Self, RefusalCode> {
        // Without an authority the `http` crate keeps no scheme.
        let scheme = match parts.uri.scheme_str() {
            Some(scheme) => matches!(scheme, "http" | "https"),
            None => parts.uri.authority().is_none() || parts.method == http::Method::CONNECT,
        };
        if !scheme || parts.method.as_str().len() > weir_h1::METHOD_BYTES_MAX || !well_formed(&parts.headers)
        {
            return Err(RefusalCode::MalformedRequest);
        }
        let mut buffer = BytesMut::with_capacity(1024);
        let method = append(&mut buffer, parts.method.as_str().as_bytes());
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let asterisk = target == "*" && parts.method == http::Method::OPTIONS;
        if !asterisk && !weir_h1::valid_target(target.as_bytes()) {
            return Err(RefusalCode::InvalidTarget);
        }
        let path = append(&mut buffer, target.as_bytes());
        let host = match h2_host(parts)? {
            Some(host) => Some(append(&mut buffer, host)),
            None => None,
        };
        let fields = append_fields(&mut buffer, &parts.headers);
        let length = parts
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Self {
            buffer,
            method,
            target: path,
            path,
            host,
            fields,
            protocol: Protocol::Http2,
            length,
            has_body: !end,
            upgrade: false,
        })
    }

    pub(crate) fn method(&self) -> &[u8] {
        self.method.of(&self.buffer)
    }

    /// Path without the query, as sent.
    pub(crate) fn raw_path(&self) -> &[u8] {
        let path = self.path.of(&self.buffer);
        memchr::memchr(b'?', path).map_or(path, |at| path.get(..at).unwrap_or(path))
    }

    /// Query without the `?`.
    pub(crate) fn query(&self) -> &[u8] {
        let path = self.path.of(&self.buffer);
        memchr::memchr(b'?', path)
            .and_then(|at| path.get(at + 1..))
            .unwrap_or_default()
    }

    pub(crate) fn host(&self) -> &[u8] {
        self.host.map(|span| span.of(&self.buffer)).unwrap_or_default()
    }

    pub(crate) fn fields(&self) -> FieldList<'_> {
        self.fields
            .iter()
            .map(|field| (field.name.of(&self.buffer), field.value.of(&self.buffer)))
            .collect()
    }

    pub(crate) fn field(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self
            .fields
            .iter()
            .find(|field| weir_h1::header_eq(field.name.of(&self.buffer), name))?;
        Some(found.value.of(&self.buffer))
    }
}

/// The host of an HTTP/2 request: `:authority`, or the Host field, which may repeat it but not more.
fn h2_host(parts: &http::request::Parts) -> Result<Option<&[u8]>, RefusalCode> {
    let mut hosts = parts.headers.get_all(http::header::HOST).iter();
    let authority = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let host = hosts.next().map(http::HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(RefusalCode::InvalidHost);
    }
    match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(RefusalCode::InvalidHost)
        }
        (authority, host) => Ok(authority.or(host)),
    }
}
