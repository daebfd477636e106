//! A request as the stages see it, whatever protocol it came by: one buffer and an index into it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use smallvec::SmallVec;
use weir_decide::view::{ConnectionView, RequestView};
use weir_h1::{FieldSpans, Framing, RequestHead, Span, Version};
use weir_schema::codes::RefusalCode;
use weir_schema::ids::{ListenerId, TenantId};
use weir_schema::telemetry::record::Protocol;

use crate::downstream::h2::{append, append_fields, well_formed};
use crate::live::Shared;
use crate::telemetry::frames::OpenConnection;

/// Fields of a head, borrowed.
pub(crate) type FieldList<'a> = SmallVec<[(&'a [u8], &'a [u8]); 24]>;

/// What is known about a client's connection.
pub(crate) struct ConnectionInfo {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listener: ListenerId,
    pub(crate) peer: SocketAddr,
    /// The peer's address without its port, as `X-Forwarded-For` says it.
    pub(crate) peer_text: Box<str>,
    pub(crate) local: SocketAddr,
    /// The connection is encrypted; the tenant whose certificate it got.
    pub(crate) tls: Option<TenantId>,
    pub(crate) open: OpenConnection,
}

impl ConnectionInfo {
    /// As the stages see it.
    pub(crate) fn view(&self) -> ConnectionView<'_> {
        ConnectionView {
            peer: self.peer,
            local: self.local,
            sni_tenant: self.tls.as_ref(),
        }
    }
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
    pub(crate) fn from_h1(mut buffer: BytesMut, head: RequestHead) -> Self {
        let path = if head.path_prefix.is_empty() {
            head.path
        } else {
            let path = [head.path_prefix, head.path.of(&buffer)].concat();
            append(&mut buffer, &path)
        };
        let length = match head.framing {
            Framing::Length(length) => Some(length),
            _ => None,
        };
        Self {
            buffer,
            method: head.method,
            target: head.target,
            path,
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
        let host = h2_host(parts)?.map(|host| append(&mut buffer, host));
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

    /// As the stages see it; `fields` are those of [`Self::fields`].
    pub(crate) fn view<'a>(&'a self, fields: &'a [(&'a [u8], &'a [u8])]) -> RequestView<'a> {
        RequestView {
            protocol: self.protocol,
            method: self.method(),
            target: self.target.of(&self.buffer),
            path_and_query: self.path.of(&self.buffer),
            host: self.host(),
            fields,
            upgrade: self.upgrade,
        }
    }

    pub(crate) fn host(&self) -> &[u8] {
        self.host.map(|span| span.of(&self.buffer)).unwrap_or_default()
    }

    /// How many more hops an OPTIONS request may take (RFC 9110 section 7.6.2); at 0 we answer it ourselves. `None` for
    /// other methods, which the field says nothing about, and for a value that is no number.
    pub(crate) fn max_forwards(&self) -> Option<u32> {
        if self.method() != b"OPTIONS" {
            return None;
        }
        let value = std::str::from_utf8(self.field(b"max-forwards")?).ok()?;
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| value.parse().ok()).flatten()
    }

    /// Fields in the order sent.
    pub(crate) fn each_field(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields
            .iter()
            .map(|field| (field.name.of(&self.buffer), field.value.of(&self.buffer)))
    }

    pub(crate) fn fields(&self) -> FieldList<'_> {
        self.each_field().collect()
    }

    /// Value of the first field of this name.
    pub(crate) fn field(&self, name: &[u8]) -> Option<&[u8]> {
        let mut found = self
            .each_field()
            .filter(|(known, _)| weir_h1::header_eq(known, name));
        found.next().map(|(_, value)| value)
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
