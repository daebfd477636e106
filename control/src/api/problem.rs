//! What went wrong, as RFC 9457 has it: `application/problem+json` with a type that stays.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $title:literal;)*) => {
        /// Kinds of problems.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The last part of the type.
            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The status that goes with it.
            pub(super) const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }
        }
    };
}

codes! {
    /// Another one has the name.
    AlreadyExists = "already_exists", 409, "It exists already.";
    /// A header, parameter or body that cannot be read.
    BadRequest = "bad_request", 400, "The request cannot be read.";
    /// Not possible as things stand.
    Conflict = "conflict", 409, "That is not possible as things stand.";
    /// The role or scope of the token does not reach so far.
    Forbidden = "forbidden", 403, "The token does not allow that.";
    /// The key came with another request before.
    IdempotencyMismatch = "idempotency_mismatch", 422, "The idempotency key belongs to another request.";
    /// What was sent has the right form, but cannot be.
    Invalid = "invalid", 422, "What was sent is not valid.";
    /// The method has no meaning here.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed.";
    /// Nothing there.
    NotFound = "not_found", 404, "It does not exist.";
    /// Changed since it was read.
    PreconditionFailed = "precondition_failed", 412, "It was changed since it was read.";
    /// A change of what exists says which state it means.
    PreconditionRequired = "precondition_required", 428, "Say which state is to be changed.";
    /// The store or the system failed.
    ServerFault = "server_fault", 500, "Control failed.";
    /// A body over its bound.
    TooLarge = "too_large", 413, "The body is too large.";
    /// Over a limit.
    TooMany = "too_many", 429, "Too many requests.";
    /// No token, or one that is not valid.
    Unauthorized = "unauthorized", 401, "Who is asking?";
    /// The store has too much to do.
    Unavailable = "unavailable", 503, "Control has too much to do.";
    /// A body that is not JSON by its type.
    UnsupportedMediaType = "unsupported_media_type", 415, "The body has another type than is taken here.";
}

/// A problem.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) code: Code,
    detail: String,
    errors: Vec<Fault>,
    retry_ms: Option<u64>,
}

/// One fault of what was sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Fault {
    /// JSON pointer (RFC 6901) into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pointer: Option<String>,
    /// Name of a parameter or header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameter: Option<String>,
    /// What is wrong, and what would be right.
    pub(super) detail: String,
    /// A stable code, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
}

/// A problem as it is sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemDocument {
    /// `urn:weir:problem:<code>`.
    r#type: String,
    /// The code in words.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// What to do.
    detail: String,
    /// Faults of what was sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

impl Problem {
    /// Says what is wrong and what to do.
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_ms: None,
        }
    }

    /// A fault of the body.
    pub(super) fn at(code: Code, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let fault = Fault {
            pointer: Some(pointer.into()),
            parameter: None,
            detail: detail.into(),
            code: None,
        };
        Self::faults(code, vec![fault])
    }

    /// A fault of a parameter or header.
    pub(super) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let fault = Fault {
            pointer: None,
            parameter: Some(name.to_owned()),
            detail: detail.into(),
            code: None,
        };
        Self::faults(Code::BadRequest, vec![fault])
    }

    /// Faults of what was sent.
    pub(super) fn faults(code: Code, errors: Vec<Fault>) -> Self {
        let detail = errors.first().map_or_else(String::new, |fault| {
            let at = fault.pointer.as_ref().or(fault.parameter.as_ref());
            at.map_or_else(|| fault.detail.clone(), |at| format!("{at}: {}", fault.detail))
        });
        Self {
            errors,
            ..Self::new(code, detail)
        }
    }

    /// Nothing has the name.
    pub(super) fn not_found(what: &str, id: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no {what} {id}"))
    }

    /// Over a limit.
    pub(super) fn too_many(detail: &str, retry_ms: u64) -> Self {
        Self {
            retry_ms: Some(retry_ms),
            ..Self::new(Code::TooMany, detail)
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Busy => Code::Unavailable,
            StoreError::Precondition { .. } => Code::PreconditionFailed,
            StoreError::TooLarge { .. } => Code::TooLarge,
            StoreError::NotJson(_) | StoreError::Overflow => Code::Invalid,
            _ => Code::ServerFault,
        };
        Self::new(code, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let document = ProblemDocument {
            r#type: format!("urn:weir:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status,
            detail: self.detail,
            errors: self.errors,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.code == Code::Unauthorized {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"weir\""),
            );
        }
        let retry_ms = self
            .retry_ms
            .or_else(|| (self.code == Code::Unavailable).then_some(1000));
        if let Some(retry_ms) = retry_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_ms.div_ceil(1000)));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ() {
        let codes: std::collections::HashSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
    }
}
