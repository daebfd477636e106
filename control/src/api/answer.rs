//! What an endpoint answers.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::Channel;
use serde::Serialize;
use serde_json::Value;

use super::problem::{Code, Problem};

/// An answer.
pub(super) enum Answer {
    /// JSON.
    Json(Document),
    /// Events as they come.
    Stream(Channel<Bytes, Infallible>),
}

/// An answer in JSON.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) status: u16,
    /// Without the quotes.
    pub(super) etag: Option<u64>,
    pub(super) location: Option<String>,
    pub(super) body: Value,
}

impl Answer {
    fn json(status: u16, body: &impl Serialize) -> Result<Self, Problem> {
        let body =
            serde_json::to_value(body).map_err(|error| Problem::new(Code::ServerFault, error.to_string()))?;
        Ok(Self::Json(Document {
            status,
            etag: None,
            location: None,
            body,
        }))
    }

    /// 200.
    pub(super) fn ok(body: &impl Serialize) -> Result<Self, Problem> {
        Self::json(200, body)
    }

    /// 201, with the place of what was made.
    pub(super) fn created(location: String, body: &impl Serialize) -> Result<Self, Problem> {
        let mut answer = Self::json(201, body)?;
        if let Self::Json(document) = &mut answer {
            document.location = Some(location);
        }
        Ok(answer)
    }

    /// With an entity tag.
    pub(super) fn with_etag(mut self, new: u64) -> Self {
        if let Self::Json(document) = &mut self {
            document.etag = Some(new);
        }
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Json(document) => document.into_response(),
            Self::Stream(events) => {
                let headers = [
                    (header::CONTENT_TYPE, "text/event-stream"),
                    (header::CACHE_CONTROL, "no-store"),
                ];
                (headers, Body::new(events)).into_response()
            }
        }
    }
}

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, axum::Json(self.body)).into_response();
        let headers = response.headers_mut();
        // Tokens are among the answers.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let etag = self
            .etag
            .and_then(|etag| HeaderValue::from_str(&format!("\"{etag}\"")).ok());
        let location = self
            .location
            .and_then(|location| HeaderValue::from_str(&location).ok());
        for (name, value) in [(header::ETAG, etag), (header::LOCATION, location)] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        response
    }
}
