//! The admin API: HTTP/1.1 and JSON, for operators, the `weir` command, CI and the dashboard.
//!
//! To add an endpoint: a function `async fn(Call) -> Result<Answer, Problem>` in `<resource>.rs`, and a row in `routes.rs`. The row
//! says who may call it; `dispatch.rs` sees to that, and to limits, bodies and Idempotency-Key. What changes anything goes through
//! `Call::commit`, which writes the change and its event together. Then `WEIR_UPDATE=1 cargo test -p weir-control openapi`.

mod answer;
mod call;
mod config;
mod config_change;
mod dispatch;
mod events;
mod guard;
mod id;
mod idempotency;
mod listener;
mod openapi;
mod page;
mod problem;
mod proxies;
mod query;
mod refused;
mod rollouts;
mod route;
mod routes;
mod schema;
mod tenants;
#[cfg(test)]
mod tests;
mod tiers;
mod tokens;
mod usage;
mod versions;
mod watch;

use std::sync::Arc;

use tokio::sync::Semaphore;
use weir_schema::push::ObjectHash;

use crate::auth::{Throttle, Tokens};
use crate::push::Fleet;
use crate::rollouts::Rollouts;
use crate::store::{Store, StoreError};
use crate::versions::Versions;

pub use listener::{ApiAddress, ApiOptions, ApiServer};
pub use openapi::document;

/// Watchers at once.
const WATCHERS_MAX: usize = 256;

/// What the API speaks about.
pub struct ApiParts {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Configurations.
    pub versions: Arc<Versions>,
    /// Proxies that were seen.
    pub fleet: Arc<Fleet>,
    /// Versions on their way.
    pub rollouts: Arc<Rollouts>,
    /// Hash of control's own certificate for proxies, for join tokens; none when theirs is an authority's.
    pub pinned: Option<ObjectHash>,
}

/// How much is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Failed logins of an address at once; afterwards one in six seconds.
    pub failed_logins: u64,
    /// Requests of a token at once.
    pub request_burst: u64,
    /// Requests of a token in the long run: one in so many milliseconds.
    pub request_interval_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            failed_logins: 10,
            request_burst: 400,
            request_interval_ms: 5,
        }
    }
}

/// The API.
pub struct Api {
    parts: ApiParts,
    tokens: Tokens,
    requests: Throttle,
    watchers: Arc<Semaphore>,
    idempotency: idempotency::Idempotency,
}

impl Api {
    /// Over its parts, with the usual limits.
    ///
    /// # Errors
    /// When the store fails.
    pub fn new(parts: ApiParts) -> Result<Arc<Self>, StoreError> {
        Self::with_limits(parts, Limits::default())
    }

    /// Over its parts.
    ///
    /// # Errors
    /// When the store fails.
    pub fn with_limits(parts: ApiParts, limits: Limits) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Self {
            tokens: Tokens::new(Arc::clone(&parts.store), limits.failed_logins),
            requests: Throttle::new(limits.request_interval_ms, limits.request_burst),
            watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
            idempotency: idempotency::Idempotency::new(&*parts.store)?,
            parts,
        }))
    }

    /// Who may use it.
    #[must_use]
    pub const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Forgets answers that are older than a day, and tenants whose grace is over. Call it now and then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prune(&self, now_ms: u64) -> Result<(), StoreError> {
        tenants::purge(&self.parts, now_ms).await?;
        self.idempotency.prune(&*self.parts.store, now_ms).await
    }
}
