//! The dashboard: one page with everything that an operator looks at first, live, from the binary.
//!
//! [`Live`] counts the last minutes from the frames; error budgets and costs come from who computes them (`sources`). What is
//! shown is cut to the scope of the token that asks ([`Guard`]); the page itself has no figures and needs no token.

mod fleet;
mod guard;
mod live;
mod overview;
mod page;
mod rollout;
mod sources;
mod tenants;
#[cfg(test)]
mod tests;
mod top;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header;
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};

use crate::auth::Scope;
use crate::clock;
use crate::push::Fleet;
use crate::rollouts::Rollouts;
use crate::store::Store;
use crate::versions::Versions;

pub use guard::{Admitting, Guard, Refusal};
pub use live::Live;
pub use sources::{
    CostSheet, Costs, Level, Levels, ServiceLevels, TenantCost, TenantLevel, TierLevel, Urgency,
};

/// Watchers at once.
const WATCHERS_MAX: usize = 64;
/// How old an overview may be that is shown to the next who asks, milliseconds.
const FRESH_MS: u64 = 900;
/// Characters of a name that are shown.
const NAME_CHARS_MAX: usize = 120;

/// What the dashboard speaks about.
#[derive(Clone)]
pub struct Parts {
    /// The last minutes.
    pub live: Arc<Live>,
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Configurations.
    pub versions: Arc<Versions>,
    /// Proxies that were seen.
    pub fleet: Arc<Fleet>,
    /// Versions on their way.
    pub rollouts: Arc<Rollouts>,
    /// Who may look.
    pub guard: Arc<dyn Guard>,
    /// Error budgets; none: the page says that there are none.
    pub levels: Option<Arc<dyn ServiceLevels>>,
    /// Costs; none: the page says that there are none.
    pub costs: Option<Arc<dyn Costs>>,
}

struct Dashboard {
    parts: Parts,
    watchers: Arc<Semaphore>,
    /// The overview of tokens over everything, and when it was made: all of them share it.
    shared: Mutex<(u64, Bytes)>,
}

/// The page and its data: `/`, `/dashboard/...` and `/v1/overview...`. To be merged into the router of the API.
pub fn router(parts: Parts) -> Router {
    let dashboard = Arc::new(Dashboard {
        parts,
        watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
        shared: Mutex::default(),
    });
    let [overview, tenants, watched] = [(); 3].map(|()| Arc::clone(&dashboard));
    page::router()
        .route(
            "/v1/overview",
            get(move |request| Arc::clone(&overview).answer_overview(request)),
        )
        .route(
            "/v1/overview/tenants",
            get(move |request| Arc::clone(&tenants).answer_tenants(request)),
        )
        .route(
            "/v1/overview/watch",
            get(move |request| Arc::clone(&watched).answer_watch(request)),
        )
}

/// A name, not too long.
fn clip(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

fn write(value: &impl Serialize) -> Result<Bytes, String> {
    let text = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    Ok(text.into())
}

fn json(text: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

impl Dashboard {
    /// The overview as JSON.
    async fn written(self: &Arc<Self>, scope: &Scope, now_ms: u64) -> Result<Bytes, String> {
        let make = async || {
            let (dashboard, scope) = (Arc::clone(self), scope.clone());
            let made = tokio::task::spawn_blocking(move || {
                let overview = overview::overview(&dashboard.parts, &scope, now_ms);
                write(&overview.map_err(|error| error.to_string())?)
            });
            made.await.map_err(|error| error.to_string())?
        };
        if !scope.is_all() {
            return make().await;
        }
        let mut shared = self.shared.lock().await;
        let age_ms = now_ms.checked_sub(shared.0);
        if age_ms.is_none_or(|age_ms| age_ms >= FRESH_MS) {
            *shared = (now_ms, make().await?);
        }
        Ok(shared.1.clone())
    }

    async fn answer_overview(self: Arc<Self>, request: Request) -> Response {
        let (request, _) = request.into_parts();
        let who = match self.parts.guard.admit(&request).await {
            Ok(who) => who,
            Err(refused) => return refused,
        };
        match self.written(&who.scope, clock::unix_ms()).await {
            Ok(text) => json(text),
            Err(_) => self.parts.guard.refuse(Refusal::Failed),
        }
    }

    async fn answer_tenants(self: Arc<Self>, request: Request) -> Response {
        let (request, _) = request.into_parts();
        let who = match self.parts.guard.admit(&request).await {
            Ok(who) => who,
            Err(refused) => return refused,
        };
        let Ok(Query(asked)) = Query::<tenants::Question>::try_from_uri(&request.uri) else {
            let (name, detail) = (
                "sort",
                "parameters are sort (requests, errors, error_rate, refused, cpu, latency, budget, burn, cost, name), span \
                 (minute, ten_minutes), q, after and limit",
            );
            return self.parts.guard.refuse(Refusal::Parameter { name, detail });
        };
        let dashboard = Arc::clone(&self);
        let made = tokio::task::spawn_blocking(move || {
            let page = tenants::page(&dashboard.parts, &who.scope, &asked, clock::unix_ms())?;
            Ok(write(&page))
        });
        match made.await {
            Ok(Ok(Ok(text))) => json(text),
            Ok(Err((name, detail))) => self.parts.guard.refuse(Refusal::Parameter { name, detail }),
            Ok(Ok(Err(_))) | Err(_) => self.parts.guard.refuse(Refusal::Failed),
        }
    }

    async fn answer_watch(self: Arc<Self>, request: Request) -> Response {
        let (request, _) = request.into_parts();
        let who = match self.parts.guard.admit(&request).await {
            Ok(who) => who,
            Err(refused) => return refused,
        };
        let Ok(permit) = Arc::clone(&self.watchers).try_acquire_owned() else {
            return self.parts.guard.refuse(Refusal::TooManyWatchers);
        };
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        let body = watch::watch(Arc::clone(&self), who, permit);
        (headers, Body::new(body)).into_response()
    }
}
