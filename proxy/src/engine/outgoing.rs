//! What leaves for the other side: request heads to upstreams, response heads to clients. Header hygiene of RFC 9110
//! section 7.6.1 in both directions.

use weir_decide::fields;
use weir_schema::telemetry::record::Protocol;

use super::request::{ConnectionInfo, FieldList, Request};
use crate::downstream::{ResponseBody, ResponseParts};
use crate::live::{ClearedRequest, Live};
use crate::telemetry::{RequestId, Tally};
use crate::upstream::ResponseMessage;
use crate::upstream::pool::PoolState;

/// A request on its way to an upstream.
pub(crate) struct Forwarding<'a> {
    pub(crate) info: &'a ConnectionInfo,
    pub(crate) live: &'a Live,
    pub(crate) request: &'a Request,
    pub(crate) cleared: &'a ClearedRequest,
    pub(crate) pool: &'a PoolState,
    pub(crate) request_id: RequestId,
}

impl Forwarding<'_> {
    /// Calls `write` with every field that goes to the upstream, but for Host and framing.
    fn each_field(&self, mut write: impl FnMut(&[u8], &[u8])) {
        let request = self.request;
        let trusted = self.cleared.peer_trusted();
        let nominated = fields::nominated(request.each_field());
        let hops_left = request.max_forwards();
        for (name, value) in request.each_field() {
            let counted = hops_left.is_some() && weir_h1::header_eq(name, b"max-forwards");
            if !counted
                && !fields::drops_from_request(name, trusted)
                && !fields::is_nominated(&nominated, name)
            {
                write(name, value);
            }
        }
        if trusted {
            let mut hops = Vec::with_capacity(64);
            for (name, value) in request.each_field() {
                if weir_h1::header_eq(name, b"x-forwarded-for") {
                    hops.extend_from_slice(value);
                    hops.extend_from_slice(b", ");
                }
            }
            hops.extend_from_slice(self.info.peer_text.as_bytes());
            write(b"x-forwarded-for", &hops);
        } else {
            write(b"x-forwarded-for", self.info.peer_text.as_bytes());
        }
        if !trusted || request.field(b"x-forwarded-proto").is_none() {
            let encrypted = self.info.tls.is_some();
            write(b"x-forwarded-proto", if encrypted { b"https" } else { b"http" });
        }
        if self.live.config.geo.is_some() {
            let place = self.cleared.place();
            write(b"x-geo-country", &place.country);
            if let Some(continent) = &place.continent {
                write(b"x-geo-continent", continent);
            }
            if place.asn != 0 {
                write(b"x-geo-asn", itoa::Buffer::new().format(place.asn).as_bytes());
            }
        }
        if let Some(hops_left) = hops_left {
            let mut digits = itoa::Buffer::new();
            write(
                b"max-forwards",
                digits.format(hops_left.saturating_sub(1)).as_bytes(),
            );
        }
        write(b"x-request-id", self.request_id.as_bytes());
        write(b"via", via(request.protocol));
    }
}

fn via(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Http10 => b"1.0 weir",
        Protocol::Http11 => b"1.1 weir",
        Protocol::Http2 => b"2 weir",
    }
}

/// The head for an HTTP/1.1 upstream.
pub(crate) fn h1_head(forwarding: &Forwarding<'_>, chunked: bool) -> Vec<u8> {
    let request = forwarding.request;
    let mut head = Vec::with_capacity(request.buffer.len() + 256);
    head.extend_from_slice(request.method());
    head.push(b' ');
    head.extend_from_slice(request.path.of(&request.buffer));
    head.extend_from_slice(b" HTTP/1.1\r\n");
    weir_h1::write_field(&mut head, b"host", request.host());
    forwarding.each_field(|name, value| weir_h1::write_field(&mut head, name, value));
    if chunked {
        head.extend_from_slice(b"transfer-encoding: chunked\r\n");
    } else if let Some(length) = request.length {
        let mut digits = itoa::Buffer::new();
        weir_h1::write_field(&mut head, b"content-length", digits.format(length).as_bytes());
    }
    if request.upgrade {
        head.extend_from_slice(b"connection: upgrade\r\n");
        if let Some(protocols) = request.field(b"upgrade") {
            weir_h1::write_field(&mut head, b"upgrade", protocols);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The head for an HTTP/2 upstream; `None` when it cannot be said in HTTP/2.
pub(crate) fn h2_request(forwarding: &Forwarding<'_>, tls: bool) -> Option<http::Request<()>> {
    let request = forwarding.request;
    let uri = http::Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(request.host())
        .path_and_query(request.path.of(&request.buffer))
        .build()
        .ok()?;
    let mut builder = http::Request::builder()
        .method(request.method())
        .uri(uri)
        .version(http::Version::HTTP_2);
    let headers = builder.headers_mut()?;
    let mut whole = true;
    let mut add = |name: &[u8], value: &[u8]| match (
        http::HeaderName::from_bytes(name),
        http::HeaderValue::from_bytes(value),
    ) {
        (Ok(name), Ok(value)) => whole &= headers.try_append(name, value).is_ok(),
        _ => whole = false,
    };
    forwarding.each_field(&mut add);
    if let Some(te) = request.field(b"te")
        && te.to_ascii_lowercase().windows(8).any(|part| part == b"trailers")
    {
        add(b"te", b"trailers");
    }
    if let Some(length) = request.length {
        add(b"content-length", length.to_string().as_bytes());
    }
    if !whole {
        return None;
    }
    builder.body(()).ok()
}

/// Fields of an interim response.
pub(crate) fn interim_fields(response: &ResponseMessage) -> FieldList<'_> {
    kept_fields(response)
}

fn kept_fields(response: &ResponseMessage) -> FieldList<'_> {
    let nominated = fields::nominated(response.each_field());
    // RFC 9110 section 8.6: these must not have one.
    let lengthless = matches!(response.status, 100..=199 | 204);
    let kept = response.each_field().filter(|(name, _)| {
        let dropped = fields::drops_from_response(name)
            || fields::is_nominated(&nominated, name)
            || (lengthless && weir_h1::header_eq(name, b"content-length"));
        !dropped
    });
    kept.collect()
}

/// Fields of the response to the client: the origin's, and ours.
pub(crate) fn response_fields<'a>(response: &'a ResponseMessage, tally: &'a Tally<'_>) -> FieldList<'a> {
    let mut list = kept_fields(response);
    tally.each_limit_field(|name, value| list.push((name, value)));
    list.push((b"x-request-id", tally.request_id().as_bytes()));
    list
}

/// The head of the response to the client.
pub(crate) fn response_parts<'a>(
    response: &ResponseMessage,
    fields: &'a [(&'a [u8], &'a [u8])],
) -> ResponseParts<'a> {
    let body = if response.empty {
        ResponseBody::None
    } else {
        response
            .length
            .map_or(ResponseBody::Unknown, ResponseBody::Length)
    };
    ResponseParts {
        status: response.status,
        fields,
        body,
    }
}
