//! Tenants by page: sorted and searched here, so that the page works with any number of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_schema::codes::RefusalCode;

use super::Parts;
use super::live::{Quantiles, Span};
use super::sources::{CostSheet, Levels, TenantCost, TenantLevel};
use super::top::Top;
use crate::auth::Scope;
use crate::collect::Usage;

/// Tenants of a page.
const LIMIT_MAX: usize = 100;
/// Tenants of a page when nothing is said.
const LIMIT_DEFAULT: usize = 25;
/// Bytes of what is searched, and of a cursor.
const TEXT_BYTES_MAX: usize = 600;
/// Refusal codes of a tenant that are listed.
const REFUSALS_MAX: usize = 5;

/// By what tenants are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    /// The least error budget left first.
    Budget,
    /// The fastest burn first.
    Burn,
    /// The dearest today first.
    Cost,
    /// The most CPU time first.
    Cpu,
    /// The greatest share of failed requests first.
    ErrorRate,
    /// The most failed requests first.
    Errors,
    /// The greatest 99th percentile first.
    Latency,
    /// By name.
    Name,
    /// The most refused requests first.
    Refused,
    /// The most requests first.
    #[default]
    Requests,
}

/// What is asked for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Question {
    sort: Sort,
    span: Asked,
    /// The last answer's `next`.
    after: Option<String>,
    /// Part of the name.
    q: Option<String>,
    limit: Option<usize>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    #[default]
    Minute,
    TenMinutes,
}

/// A page of tenants.
#[derive(Serialize)]
pub(super) struct Page {
    now_ms: u64,
    /// Seconds that the figures cover.
    seconds: u64,
    items: Vec<Item>,
    /// Where the next page begins; none after the last.
    next: Option<String>,
    /// Tenants that fit the search.
    found: usize,
    /// Tenants that the token sees.
    total: usize,
}

#[derive(Serialize)]
struct Item {
    tenant: Arc<str>,
    #[serde(flatten)]
    usage: Usage,
    latency: Option<Quantiles>,
    /// The most frequent first.
    refusals: Vec<(RefusalCode, u64)>,
    slo: Option<TenantLevel>,
    cost: Option<TenantCost>,
}

/// What every tenant has that may be sorted by.
#[derive(Default)]
struct Row {
    usage: Usage,
    p99_us: Option<u32>,
}

struct Sources {
    levels: Option<Arc<Levels>>,
    costs: Option<Arc<CostSheet>>,
}

/// Where a page ends: the key and name of its last tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cursor(i64, Arc<str>);

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let (key, name) = text.split_once(':')?;
        Some(Self(key.parse().ok()?, name.into()))
    }

    fn written(&self) -> String {
        format!("{}:{}", self.0, self.1)
    }
}

/// Makes a page.
///
/// # Errors
/// The parameter that cannot be, and what it must be.
pub(super) fn page(
    parts: &Parts,
    scope: &Scope,
    asked: &Question,
    now_ms: u64,
) -> Result<Page, (&'static str, &'static str)> {
    let limit = asked.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(("limit", "it must be 1 to 100"));
    }
    let wanted = asked.q.as_deref().unwrap_or_default().to_ascii_lowercase();
    let after = asked.after.as_deref().unwrap_or_default();
    if wanted.len() > TEXT_BYTES_MAX || after.len() > TEXT_BYTES_MAX {
        return Err(("q", "it must be shorter"));
    }
    let after = match after {
        "" => None,
        text => Some(Cursor::read(text).ok_or(("after", "it must be the `next` of an answer"))?),
    };
    let span = match asked.span {
        Asked::Minute => Span::Minute,
        Asked::TenMinutes => Span::TenMinutes,
    };
    let now_s = now_ms / 1000;
    let sources = Sources {
        levels: parts.levels.as_ref().map(|levels| levels.levels()),
        costs: parts.costs.as_ref().map(|costs| costs.costs()),
    };
    let rows = rows(parts, scope, span, now_s, asked.sort == Sort::Latency, &sources);
    let mut first = Top::new(limit + 1);
    let mut found = 0;
    for (name, row) in &rows {
        if !name.to_ascii_lowercase().contains(&wanted) {
            continue;
        }
        found += 1;
        let place = Cursor(key(asked.sort, name, row, &sources), Arc::clone(name));
        if after.as_ref().is_none_or(|after| place > *after) {
            first.put(place);
        }
    }
    let mut places: Vec<Cursor> = first.into_iter().collect();
    let more = places.len() > limit;
    places.truncate(limit);
    let items = places
        .iter()
        .map(|Cursor(_, name)| item(parts, scope, span, now_s, name, &sources));
    Ok(Page {
        now_ms,
        seconds: parts.live.covered_s(span, now_s),
        items: items.collect(),
        next: places.last().filter(|_| more).map(Cursor::written),
        found,
        total: rows.len(),
    })
}

/// Every tenant of the scope: those with requests, those of the newest version, and those that others know.
fn rows(
    parts: &Parts,
    scope: &Scope,
    span: Span,
    now_s: u64,
    latency: bool,
    sources: &Sources,
) -> BTreeMap<Arc<str>, Row> {
    let mut rows = BTreeMap::new();
    parts.live.tenants(scope, span, now_s, latency, |name, sum| {
        let row = Row {
            usage: sum.usage,
            p99_us: sum.latency.quantile_us(990_000),
        };
        rows.insert(Arc::clone(name), row);
    });
    let levels = sources.levels.iter().flat_map(|levels| levels.tenants.keys());
    let costs = sources.costs.iter().flat_map(|costs| costs.tenants.keys());
    for name in levels.chain(costs).filter(|name| scope.tenants.has(name)) {
        if !rows.contains_key(name) {
            rows.insert(Arc::clone(name), Row::default());
        }
    }
    if let Some(newest) = parts.versions.newest() {
        let paths = newest.content.listing.iter().map(|(path, _)| path);
        let names = paths.filter_map(|path| path.strip_prefix("tenants/"));
        for name in names.filter(|name| scope.tenants.has(name)) {
            if !rows.contains_key(name) {
                rows.insert(name.into(), Row::default());
            }
        }
    }
    rows
}

/// What is sorted by: ascending.
fn key(sort: Sort, name: &str, row: &Row, sources: &Sources) -> i64 {
    let most = |value: u64| -i64::try_from(value).unwrap_or(i64::MAX);
    let usage = &row.usage;
    let level = || {
        sources
            .levels
            .as_ref()
            .and_then(|levels| levels.tenants.get(name))
    };
    let cost = || sources.costs.as_ref().and_then(|costs| costs.tenants.get(name));
    match sort {
        Sort::Budget => level().map_or(i64::MAX, TenantLevel::left_ppm),
        Sort::Burn => level().map_or(1, |level| most(level.burn_milli())),
        Sort::Cost => cost().map_or(i64::MAX, |cost| cost.today_nano.saturating_neg()),
        Sort::Cpu => most(usage.cpu_ns),
        Sort::ErrorRate => {
            let ppm = u128::from(usage.errors) * 1_000_000;
            let ppm = ppm.checked_div(u128::from(usage.requests)).unwrap_or(0);
            most(u64::try_from(ppm).unwrap_or(u64::MAX))
        }
        Sort::Errors => most(usage.errors),
        Sort::Latency => row.p99_us.map_or(1, |us| most(us.into())),
        Sort::Name => 0,
        Sort::Refused => most(usage.refused),
        Sort::Requests => most(usage.requests),
    }
}

fn item(parts: &Parts, scope: &Scope, span: Span, now_s: u64, name: &Arc<str>, sources: &Sources) -> Item {
    let sum = parts.live.tenant(name, scope, span, now_s).unwrap_or_default();
    let mut refusals: Vec<(RefusalCode, u64)> = sum.refusals.iter().collect();
    refusals.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    refusals.truncate(REFUSALS_MAX);
    let level = sources
        .levels
        .as_ref()
        .and_then(|levels| levels.tenants.get(name));
    let cost = sources.costs.as_ref().and_then(|costs| costs.tenants.get(name));
    Item {
        tenant: Arc::clone(name),
        usage: sum.usage,
        latency: Quantiles::of(|ppm| sum.latency.quantile_us(ppm)),
        refusals,
        slo: level.cloned(),
        cost: cost.copied(),
    }
}
