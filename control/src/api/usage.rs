//! What tenants used: the counters that frames were counted into, exact to the unit.

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Answer;
use super::call::Call;
use super::problem::Problem;
use super::route::{Param, ParamKind};
use crate::clock;
use crate::collect::{SERIES, Usage};
use crate::store::{RollupQuery, Store, StoreError};

/// Rows read at once.
const ROWS: usize = 10_000;
/// Rows of an answer.
const ROWS_SHOWN: usize = 20_000;
/// Times that an answer may have.
const TIMES_MAX: u64 = 1500;

pub(super) const STEP: Param = Param {
    name: "step",
    kind: ParamKind::Text(16),
    about: "Length of a time: `minute`, `hour` (if not given) or `day`.",
};
pub(super) const ROUTE: Param = Param {
    name: "route",
    kind: ParamKind::Text(64),
    about: "Of this route.",
};
pub(super) const REGION: Param = Param {
    name: "region",
    kind: ParamKind::Text(64),
    about: "In this region.",
};

/// What was used in a time.
#[derive(Serialize, ToSchema)]
pub(super) struct UsageRow {
    /// Start of the time, Unix time in milliseconds.
    start_ms: u64,
    /// Route; empty for requests that were refused before they had one, and for connections.
    route: String,
    /// Region.
    region: String,
    /// Requests, bytes, nanoseconds of CPU and the like.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    usage: Usage,
}

/// What a tenant used.
#[derive(Serialize, ToSchema)]
pub(super) struct TenantUsage {
    tenant: String,
    /// Length of a time, milliseconds.
    step_ms: u64,
    /// First time, Unix time in milliseconds.
    since_ms: u64,
    /// Before this, Unix time in milliseconds.
    until_ms: u64,
    /// Sums of all rows.
    #[schema(value_type = Object)]
    total: Usage,
    /// By time, route and region.
    rows: Vec<UsageRow>,
}

/// `GET /v1/tenants/{tenant}/usage`
pub(super) async fn of_tenant(call: Call) -> Result<Answer, Problem> {
    let step = call.query.text("step").unwrap_or("hour");
    let series = SERIES
        .iter()
        .find(|(name, _)| name.strip_prefix("usage.") == Some(step));
    let (series, step_ms) =
        *series.ok_or_else(|| Problem::parameter("step", "it is `minute`, `hour` or `day`"))?;
    let until_ms = call
        .query
        .integer("until_ms")
        .unwrap_or_else(|| clock::unix_ms() + step_ms);
    let since_ms = call
        .query
        .integer("since_ms")
        .unwrap_or_else(|| until_ms.saturating_sub(48 * step_ms));
    let since_ms = since_ms / step_ms * step_ms;
    if until_ms.saturating_sub(since_ms) / step_ms > TIMES_MAX {
        let detail = format!("an answer has at most {TIMES_MAX} times: ask for fewer, or with a longer step");
        return Err(Problem::parameter("since_ms", detail));
    }
    let mut usage = TenantUsage {
        tenant: call.param("tenant").to_owned(),
        step_ms,
        since_ms,
        until_ms,
        total: Usage::default(),
        rows: Vec::new(),
    };
    let wanted = |name: &str| call.query.text(name).map(str::to_owned);
    let (route, region) = (wanted("route"), wanted("region"));
    let store = std::sync::Arc::clone(&call.parts().store);
    // The counters of all tenants of the time are looked through.
    let read = tokio::task::spawn_blocking(move || {
        read(&*store, series, &mut usage, route.as_deref(), region.as_deref()).map(|()| usage)
    });
    let usage = read
        .await
        .map_err(|error| Problem::new(super::problem::Code::ServerFault, error.to_string()))??;
    if usage.rows.len() > ROWS_SHOWN {
        let detail = format!(
            "the answer would have more than {ROWS_SHOWN} rows: ask for fewer times, or for one route"
        );
        return Err(Problem::parameter("since_ms", detail));
    }
    Answer::ok(&usage)
}

fn read(
    store: &dyn Store,
    series: &str,
    usage: &mut TenantUsage,
    route: Option<&str>,
    region: Option<&str>,
) -> Result<(), StoreError> {
    let mut query = RollupQuery {
        series: series.to_owned(),
        key: None,
        since_ms: usage.since_ms,
        until_ms: usage.until_ms,
        after: None,
        limit: ROWS,
    };
    loop {
        let rows = store.rollups(&query)?;
        for row in &rows {
            let mut parts = row.key.splitn(3, '/');
            let (Some(tenant), Some(its_route), Some(its_region)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let fits = tenant == usage.tenant
                && route.is_none_or(|route| route == its_route)
                && region.is_none_or(|region| region == its_region);
            if fits {
                let used = Usage::from_values(&row.values);
                usage.total.add(&used);
                usage.rows.push(UsageRow {
                    start_ms: row.bucket_ms,
                    route: its_route.to_owned(),
                    region: its_region.to_owned(),
                    usage: used,
                });
            }
        }
        match rows.last().filter(|_| rows.len() >= ROWS) {
            Some(last) => query.after = Some((last.bucket_ms, last.key.clone())),
            None => return Ok(()),
        }
    }
}
