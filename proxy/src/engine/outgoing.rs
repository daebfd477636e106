//! What leaves for the other side: request heads to upstreams, response heads to clients. Header hygiene of RFC 9110
//! section 7.6.1 in both directions.

use std::io::Write;

use weir_decide::fields;
use weir_schema::telemetry::record::Protocol;

use super::request::{ConnectionInfo, FieldList, Request};
use super::stages::Decided;
use crate::downstream::{ResponseBody, ResponseParts};
use crate::live::Live;
use crate::telemetry::Tally;
use crate::upstream::ResponseMessage;

/// A request on its way to an upstream.
pub(crate) struct Forwarding<'a> {
    pub(crate) info: &'a ConnectionInfo,
    pub(crate) live: &'a Live,
    pub(crate) request: &'a Request,
    pub(crate) decided: &'a Decided,
    pub(crate) request_id: u128,
}

impl Forwarding<'_> {
    /// Calls `write` with every field that goes to the upstream, but for Host and framing.
    fn each_field(&self, mut write: impl FnMut(&[u8], &[u8])) {
        let request = self.request;
        let trusted = self.decided.peer_trusted;
        let hops_left = request.max_forwards();
        for field in &request.fields {
            let name = field.name.of(&request.buffer);
            if fields::is_hop_by_hop(name)
                || weir_h1::header_eq(name, b"host")
                || weir_h1::header_eq(name, b"content-length")
                || weir_h1::header_eq(name, b"expect")
                || weir_h1::header_eq(name, b"x-request-id")
                || fields::strip_inbound(name, trusted)
                || weir_h1::header_eq(name, b"x-forwarded-for")
                || weir_h1::connection_nominates(&request.fields, &request.buffer, name)
            {
                continue;
            }
            if hops_left.is_some() && weir_h1::header_eq(name, b"max-forwards") {
                continue;
            }
            write(name, field.value.of(&request.buffer));
        }
        let mut text = Vec::with_capacity(64);
        if trusted {
            for field in &request.fields {
                if weir_h1::header_eq(field.name.of(&request.buffer), b"x-forwarded-for") {
                    text.extend_from_slice(field.value.of(&request.buffer));
                    text.extend_from_slice(b", ");
                }
            }
        }
        let _ = write!(text, "{}", self.info.peer.ip());
        write(b"x-forwarded-for", &text);
        if !trusted || request.field(b"x-forwarded-proto").is_none() {
            write(
                b"x-forwarded-proto",
                if self.info.tls.is_some() {
                    b"https"
                } else {
                    b"http"
                },
            );
        }
        if self.live.config.geo.is_some() {
            let place = &self.decided.place;
            write(b"x-geo-country", &place.country);
            if let Some(continent) = &place.continent {
                write(b"x-geo-continent", continent);
            }
            if place.asn != 0 {
                text.clear();
                let _ = write!(text, "{}", place.asn);
                write(b"x-geo-asn", &text);
            }
        }
        if let Some(hops_left) = hops_left {
            text.clear();
            let _ = write!(text, "{}", hops_left.saturating_sub(1));
            write(b"max-forwards", &text);
        }
        text.clear();
        let _ = write!(text, "{:032x}", self.request_id);
        write(b"x-request-id", &text);
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
        let _ = write!(head, "content-length: {length}\r\n");
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
    let buffer = &response.buffer;
    // RFC 9110 section 8.6: these must not have one.
    let lengthless = matches!(response.status, 100..=199 | 204);
    let kept = response.fields.iter().filter_map(|field| {
        let name = field.name.of(buffer);
        let dropped = fields::is_hop_by_hop(name)
            || weir_h1::header_eq(name, b"x-request-id")
            || (lengthless && weir_h1::header_eq(name, b"content-length"))
            || weir_h1::connection_nominates(&response.fields, buffer, name);
        (!dropped).then(|| (name, field.value.of(buffer)))
    });
    kept.collect()
}

/// Fields of the response to the client: the origin's, and ours.
pub(crate) fn response_fields<'a>(response: &'a ResponseMessage, tally: &'a Tally) -> FieldList<'a> {
    let mut list = kept_fields(response);
    for (name, value) in &tally.limit_fields {
        list.push((name, value));
    }
    list.push((b"x-request-id", &tally.request_id_text));
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
