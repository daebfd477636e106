//! Who may look: the dashboard asks, the admin API knows.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::response::Response;
use http::request::Parts;

use crate::auth::Principal;

/// Whether a request may be answered.
pub type Admitting<'a> = Pin<Box<dyn Future<Output = Result<Arc<Principal>, Response>> + Send + 'a>>;

/// Lets requests in. What the dashboard shows is cut to the scope of who asks; looking needs no role but `read`.
pub trait Guard: Send + Sync {
    /// Who asks; else the response that says why they may not.
    fn admit<'a>(&'a self, request: &'a Parts) -> Admitting<'a>;

    /// Whether who was let in before still may look.
    fn is_still_valid(&self, who: &Principal, now_ms: u64) -> bool;

    /// A problem document (RFC 9457) as the admin API words it: of the parameter `name`, or that too many are watching.
    fn refuse(&self, refusal: Refusal<'_>) -> Response;
}

/// Why a request that was let in is not answered.
#[derive(Clone, Copy, Debug)]
pub enum Refusal<'a> {
    /// Control failed.
    Failed,
    /// A parameter cannot be read.
    Parameter {
        /// Its name.
        name: &'a str,
        /// What it must be.
        detail: &'a str,
    },
    /// Too many watchers.
    TooManyWatchers,
}
