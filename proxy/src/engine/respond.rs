//! Our own answers: refusals as problem+json or HTML.

use std::future::poll_fn;

use weir_decide::refuse::{Refusal, body, body_violating};
use weir_schema::codes::RefusalCode;

use super::request::{ConnectionInfo, FieldList, Request};
use crate::downstream::{Downstream, ResponseBody, ResponseParts};
use crate::telemetry::unread::{Sent, Unread};
use crate::telemetry::{RequestId, Tally};

/// Methods that may pass, for 405.
const ALLOW: &[u8] = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Answers with a refusal. A client that cannot be told has left; the record says what was meant.
pub(crate) async fn refuse<D: Downstream>(
    down: &mut D,
    request: &Request,
    refusal: &Refusal,
    tally: &Tally<'_>,
) {
    let id = tally.request_id().as_str();
    let (content_type, text) = match &refusal.violated {
        Some(name) => body_violating(
            refusal.code,
            refusal.status,
            id,
            request.field(b"accept"),
            Some(name),
        ),
        None => body(refusal.code, refusal.status, id, request.field(b"accept")),
    };
    let empty = request.method() == b"HEAD";
    let length = text.len().to_string();
    let retry_after = refusal.retry_after_s.map(|seconds| seconds.to_string());
    let mut fields = FieldList::new();
    fields.push((b"content-type", content_type.as_bytes()));
    fields.push((b"content-length", length.as_bytes()));
    fields.push((b"cache-control", b"no-store"));
    fields.push((b"x-request-id", id.as_bytes()));
    if let Some(seconds) = &retry_after {
        fields.push((b"retry-after", seconds.as_bytes()));
    }
    if let Some(location) = &refusal.location {
        fields.push((b"location", location.as_bytes()));
    }
    if refusal.status == 405 {
        fields.push((b"allow", ALLOW));
    }
    tally.each_limit_field(|name, value| fields.push((name, value)));
    let kind = if empty {
        ResponseBody::None
    } else {
        ResponseBody::Length(text.len() as u64)
    };
    let _ = write_all(
        down,
        &ResponseParts {
            status: refusal.status,
            fields: &fields,
            body: kind,
        },
        &text,
    )
    .await;
}

/// Answers an OPTIONS request that may go no further.
///
/// # Errors
/// When the client has left.
pub(crate) async fn options<D: Downstream>(down: &mut D, request_id: &[u8]) -> std::io::Result<()> {
    let fields: [(&[u8], &[u8]); 3] = [
        (b"allow", ALLOW),
        (b"content-length", b"0"),
        (b"x-request-id", request_id),
    ];
    let parts = ResponseParts {
        status: 200,
        fields: &fields,
        body: ResponseBody::Length(0),
    };
    write_all(down, &parts, &[]).await
}

async fn write_all<D: Downstream>(
    down: &mut D,
    parts: &ResponseParts<'_>,
    text: &[u8],
) -> std::io::Result<()> {
    down.start(parts)?;
    let mut left = if parts.body == ResponseBody::None {
        &[]
    } else {
        text
    };
    while !left.is_empty() {
        let count = poll_fn(|cx| down.poll_write(cx, left)).await?;
        left = left.get(count..).unwrap_or_default();
    }
    down.end(&Vec::new())?;
    poll_fn(|cx| down.poll_flush(cx)).await
}

/// Answers a request that has no exchange of its own, because its head is none that we serve, and records it.
pub(crate) async fn refuse_unread<D: Downstream>(
    down: &mut D,
    info: &ConnectionInfo,
    code: RefusalCode,
    sent: Sent<'_>,
) {
    let refusal = Refusal::new(code);
    let id = RequestId::new();
    let (content_type, text) = body(code, refusal.status, id.as_str(), None);
    let length = text.len().to_string();
    let mut fields = FieldList::new();
    fields.push((b"content-type", content_type.as_bytes()));
    fields.push((b"content-length", length.as_bytes()));
    fields.push((b"cache-control", b"no-store"));
    fields.push((b"x-request-id", id.as_bytes()));
    if refusal.status == 405 {
        fields.push((b"allow", ALLOW));
    }
    let kind = ResponseBody::Length(text.len() as u64);
    // A client that cannot be told has left.
    let _ = write_all(
        down,
        &ResponseParts {
            status: refusal.status,
            fields: &fields,
            body: kind,
        },
        &text,
    )
    .await;
    let unread = Unread {
        id: &id,
        refusal: &refusal,
        sent,
        bytes: down.bytes(),
    };
    unread.record(info);
}
