//! What a refused client reads: problem details (RFC 9457), or a small page for browsers.

use std::io::Write;

use serde_json::json;
use weir_schema::codes::RefusalCode;

/// A refusal with what its answer carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// HTTP status; nearly always that of the code.
    pub status: u16,
    /// `Retry-After`.
    pub retry_after_s: Option<u64>,
    /// `Location`: where the request is served instead.
    pub location: Option<String>,
    /// Name of the limit that was exceeded.
    pub violated: Option<String>,
}

impl Refusal {
    /// A refusal with the status of its code and nothing else.
    pub fn new(code: RefusalCode) -> Self {
        Self {
            code,
            status: code.status(),
            retry_after_s: None,
            location: None,
            violated: None,
        }
    }

    /// As [`Self::new`], and the client may come again in 1 to 3 s: those that were turned away together spread.
    pub fn later(code: RefusalCode, random: u64) -> Self {
        Self {
            retry_after_s: Some(1 + random % 3),
            ..Self::new(code)
        }
    }

    /// As [`Self::new`], on the heap: results of stages stay small.
    pub fn boxed(code: RefusalCode) -> Box<Self> {
        Box::new(Self::new(code))
    }
}

/// Content type and body of a refusal. `accept` is the request's `Accept`; the caller writes `Retry-After` and the rest.
pub fn body(
    code: RefusalCode,
    status: u16,
    request_id: &str,
    accept: Option<&[u8]>,
) -> (&'static str, Vec<u8>) {
    body_violating(code, status, request_id, accept, None)
}

/// [`body`] that also names the rate limit that was exceeded, as `violated-policies`.
pub fn body_violating(
    code: RefusalCode,
    status: u16,
    request_id: &str,
    accept: Option<&[u8]>,
    violated: Option<&str>,
) -> (&'static str, Vec<u8>) {
    if accept.is_some_and(prefers_html) {
        return ("text/html; charset=utf-8", page(code, status, request_id));
    }
    let mut problem = json!({
        "type": format!("urn:weir:refusal:{}", code.as_str()),
        "title": code.title(),
        "status": status,
        "request_id": request_id,
    });
    if let (Some(name), Some(members)) = (violated, problem.as_object_mut()) {
        members.insert("violated-policies".to_owned(), json!([name]));
    }
    ("application/problem+json", problem.to_string().into_bytes())
}

fn page(code: RefusalCode, status: u16, request_id: &str) -> Vec<u8> {
    let mut page = Vec::with_capacity(320);
    let (title, id) = (escape(code.title()), escape(request_id));
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{status}</title></head>\n\
         <body><h1>{status}</h1><p>{title}</p><p><small>{code} {id}</small></p></body></html>\n",
        code = code.as_str(),
    );
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Whether `text/html` is named, and no JSON type is named with a higher weight (RFC 9110 section 12.5.1).
fn prefers_html(accept: &[u8]) -> bool {
    let (mut html, mut json) = (0, 0);
    for range in accept.split(|byte| *byte == b',') {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let kind = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
        let weight = weight.map_or(1000, thousandths);
        if kind.eq_ignore_ascii_case(b"text/html") {
            html = weight;
        } else if kind.eq_ignore_ascii_case(b"application/json")
            || kind.eq_ignore_ascii_case(b"application/problem+json")
        {
            json = weight.max(json);
        }
    }
    html > 0 && html >= json
}

/// A weight in thousandths; a malformed one is 0.
fn thousandths(text: &[u8]) -> u32 {
    let value = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<f32>().ok());
    value
        .filter(|value| (0.0..=1.0).contains(value))
        .map_or(0, |value| (value * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_details_by_default() {
        let (kind, body) = body_violating(RefusalCode::LimitTenant, 429, "a\"b", None, Some("tenant"));
        assert_eq!(kind, "application/problem+json");
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            problem,
            json!({
                "type": "urn:weir:refusal:limit_tenant",
                "title": RefusalCode::LimitTenant.title(),
                "status": 429,
                "request_id": "a\"b",
                "violated-policies": ["tenant"],
            })
        );
    }

    #[test]
    fn a_page_only_for_those_who_ask() {
        for (accept, html) in [
            ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", true),
            ("TEXT/HTML", true),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/html;q=0.5", false),
            ("text/html;q=0", false),
            ("text/html;q=x", false),
            ("", false),
        ] {
            let (kind, _) = body(RefusalCode::WafBlocked, 403, "id", Some(accept.as_bytes()));
            assert_eq!(kind.starts_with("text/html"), html, "{accept}");
        }
        let (_, page) = body(RefusalCode::WafBlocked, 403, "<i>", Some(b"text/html"));
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains("&lt;i&gt;") && !page.contains("<i>") && page.contains("waf_blocked"));
    }
}
