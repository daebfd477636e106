//! The origin behind the rules: an empty 200 for everything, and the answer that a JSON document asks for at
//! `POST /reflect` (the convention of the suites' test server, albedo).

use serde_json::Value;

use super::suite::base64;
use super::wire::Request;

/// An answer of the suites' test server.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header fields, name and value.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Content.
    pub body: Vec<u8>,
}

impl Response {
    fn new(status: u16, body: Vec<u8>) -> Self {
        let fields = Vec::new();
        Self { status, fields, body }
    }
}

/// Answers a request.
pub(super) fn answer(request: &Request) -> Response {
    let mut response = if request.method == b"POST" && is_reflect(&request.target) {
        reflect(&request.body)
    } else {
        Response::new(200, Vec::new())
    };
    let has =
        |fields: &[(Vec<u8>, Vec<u8>)], name: &[u8]| fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !has(&response.fields, b"content-type") && !response.body.is_empty() {
        let kind = sniff(&response.body).as_bytes().to_vec();
        response.fields.push((b"Content-Type".to_vec(), kind));
    }
    if !has(&response.fields, b"content-length") {
        let length = response.body.len().to_string().into_bytes();
        response.fields.push((b"Content-Length".to_vec(), length));
    }
    response
}

fn is_reflect(target: &[u8]) -> bool {
    let path = target
        .split(|b| matches!(b, b'?' | b'#'))
        .next()
        .unwrap_or_default();
    path == b"/reflect" || path.starts_with(b"/reflect/")
}

fn reflect(body: &[u8]) -> Response {
    let refused = |text: &str| Response::new(400, text.as_bytes().to_vec());
    let Ok(wanted) = serde_json::from_slice::<Value>(body) else {
        return refused("Invalid JSON in request body");
    };
    let text = |key: &str| wanted.get(key).and_then(Value::as_str).unwrap_or_default();
    let body = match text("body") {
        "" => match base64(text("encodedBody")) {
            Ok(body) => body,
            Err(_) => return refused("invalid base64 encoding of response body"),
        },
        body => body.as_bytes().to_vec(),
    };
    let status = wanted.get("status").and_then(Value::as_u64).unwrap_or(200);
    let Some(status) = u16::try_from(status).ok().filter(|s| (100..600).contains(s)) else {
        return refused("Invalid status code");
    };
    let mut response = Response::new(status, body);
    for (name, value) in wanted
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let value = value.as_str().unwrap_or_default().as_bytes().to_vec();
        response.fields.push((name.as_bytes().to_vec(), value));
    }
    response
}

/// The type of a body without one, as the server's library guesses it (a part of the WHATWG's MIME sniffing).
fn sniff(body: &[u8]) -> &'static str {
    const HTML: &[&[u8]] = &[
        b"<!doctype html",
        b"<html",
        b"<head",
        b"<script",
        b"<iframe",
        b"<h1",
        b"<div",
        b"<font",
        b"<table",
        b"<a",
        b"<style",
        b"<title",
        b"<b",
        b"<body",
        b"<br",
        b"<p",
        b"<!--",
    ];
    const MAGIC: &[(&[u8], &str)] = &[
        (b"\x1f\x8b\x08", "application/x-gzip"),
        (b"PK\x03\x04", "application/zip"),
        (b"Rar!\x1a\x07", "application/x-rar-compressed"),
        (b"%PDF-", "application/pdf"),
        (b"GIF8", "image/gif"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
    ];
    let start = body.trim_ascii_start();
    let is_html = |tag: &&&[u8]| {
        let prefix = start.get(..tag.len()).unwrap_or_default();
        let next = start.get(tag.len());
        prefix.eq_ignore_ascii_case(tag) && (**tag == b"<!--" || matches!(next, Some(b' ' | b'>')))
    };
    if HTML.iter().any(|tag| is_html(&tag)) {
        return "text/html; charset=utf-8";
    }
    if start.starts_with(b"<?xml") {
        return "text/xml; charset=utf-8";
    }
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| body.starts_with(magic)) {
        return kind;
    }
    let binary = |b: &u8| matches!(b, 0..=8 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F);
    if body.iter().take(512).any(binary) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, answer};

    #[test]
    fn the_document_says_what_is_answered() {
        let mut request = Request {
            method: b"POST".to_vec(),
            target: b"/reflect".to_vec(),
            body: br#"{"status": 503, "headers": {"X-A": "1"}, "encodedBody": "aGk="}"#.to_vec(),
            ..Request::default()
        };
        let response = answer(&request);
        assert_eq!(
            (response.status, response.body.as_slice()),
            (503, b"hi".as_slice())
        );
        assert_eq!(response.fields[0].0, b"X-A");
        request.body = b"{".to_vec();
        assert_eq!(answer(&request).status, 400);
        request.target = b"/other".to_vec();
        assert_eq!(answer(&request).status, 200);
    }
}
