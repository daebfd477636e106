//! Everything that the page shows at a glance, cut to what a token may see. Each list has a bound, so that the whole stays
//! below 100 KB whatever there is.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::Serialize;
use weir_schema::codes::RefusalCode;

use super::fleet::{FleetView, RegionView};
use super::live::{Bounds, Live, Quantiles, Second, Span, Totals};
use super::rollout::RolloutView;
use super::sources::{TenantCost, TenantLevel, TierLevel, Urgency};
use super::top::Top;
use super::{Parts, clip};
use crate::auth::Scope;
use crate::collect::Usage;
use crate::store::{EventQuery, StoreError};

/// Tenants and routes that are listed.
const TALKERS_MAX: usize = 10;
/// Tenants with the least budget left that are listed.
const WORST_MAX: usize = 8;
/// Tiers that are listed.
const TIERS_MAX: usize = 16;
/// Tenants over their cost budgets that are listed.
const OVER_MAX: usize = 8;
/// Events that are listed.
const EVENTS_MAX: usize = 12;

/// The overview.
#[derive(Serialize)]
pub(super) struct Overview {
    /// When it was made, Unix time in milliseconds.
    now_ms: u64,
    /// Since when frames are counted, Unix time in milliseconds.
    since_ms: u64,
    /// When the newest frame came, Unix time in milliseconds; none yet.
    frame_ms: Option<u64>,
    /// What this token does not see, because it belongs to all tenants and regions.
    hidden: &'static [&'static str],
    traffic: Traffic,
    regions: Vec<RegionView>,
    refusals: Vec<Refused>,
    slo: Option<Slo>,
    cost: Option<Cost>,
    proxies: FleetView,
    rollout: Option<RolloutView>,
    talkers: Talkers,
    events: Vec<Happened>,
    bounds: Bounds,
}

#[derive(Serialize)]
struct Traffic {
    minute: Figures,
    ten_minutes: Figures,
    /// Second by second, the oldest first; none for a token of some tenants.
    seconds: Option<Vec<Second>>,
    /// When they begin, Unix time in seconds.
    seconds_from_s: u64,
}

#[derive(Serialize)]
struct Figures {
    /// Seconds that the sums cover.
    seconds: u64,
    #[serde(flatten)]
    usage: Usage,
    /// Requests whose head could not be read; they are in none of the other figures but the refusals by code.
    unread: u64,
    /// Of answered requests, at most 1/32 above the exact one; 1/8 for a token of some tenants.
    latency: Option<Quantiles>,
}

#[derive(Serialize)]
struct Refused {
    code: RefusalCode,
    status: u16,
    title: &'static str,
    minute: u64,
    ten_minutes: u64,
}

#[derive(Serialize)]
struct Slo {
    tiers: Vec<Tier>,
    worst: Vec<Worst>,
}

#[derive(Serialize)]
struct Tier {
    /// None for a token of some tenants.
    #[serde(flatten)]
    level: Option<TierLevel>,
    name: &'static str,
    tenants: u64,
    /// Tenants that have spent a budget.
    spent: u64,
    pages: u64,
    tickets: u64,
}

#[derive(Serialize)]
struct Worst {
    tenant: Arc<str>,
    #[serde(flatten)]
    level: TenantLevel,
}

#[derive(Serialize)]
struct Cost {
    currency: &'static str,
    /// Tenants with costs.
    tenants: u64,
    /// Of them, those with a budget.
    budgeted: u64,
    /// All of them together; the budgets are the sums of those that there are, and so is the forecast.
    #[serde(flatten)]
    sum: TenantCost,
    /// Of tenants with a budget only: today.
    budgeted_today_nano: i64,
    /// Tenants that spend more today than falls on the day, the furthest above first.
    over: Vec<Over>,
    over_total: u64,
}

#[derive(Serialize)]
struct Over {
    tenant: Arc<str>,
    #[serde(flatten)]
    cost: TenantCost,
}

#[derive(Serialize)]
struct Talkers {
    /// Seconds that they cover.
    seconds: u64,
    tenants: Vec<Talker>,
    routes: Vec<Talker>,
}

#[derive(Serialize)]
struct Talker {
    tenant: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    requests: u64,
    errors: u64,
    cpu_ns: u64,
}

#[derive(Serialize)]
struct Happened {
    seq: u64,
    time_ms: u64,
    actor: String,
    action: String,
    subject: String,
    result: String,
}

/// Makes it.
///
/// # Errors
/// When the store fails.
pub(super) fn overview(parts: &Parts, scope: &Scope, now_ms: u64) -> Result<Overview, StoreError> {
    let (live, now_s) = (&parts.live, now_ms / 1000);
    let whole = scope.is_all();
    let minute = live.totals(scope, Span::Minute, now_s);
    let ten_minutes = live.totals(scope, Span::TenMinutes, now_s);
    let (proxies, regions) = FleetView::of(parts, scope, now_ms);
    let figures = |span: Span, totals: &Totals| Figures {
        seconds: live.covered_s(span, now_s),
        usage: totals.usage,
        unread: totals.unread,
        latency: totals.latency,
    };
    Ok(Overview {
        now_ms,
        since_ms: live.since_s() * 1000,
        frame_ms: live.newest_ms(),
        hidden: if whole { &[] } else { &["rollout", "events"] },
        refusals: refusals(&minute, &ten_minutes),
        traffic: Traffic {
            minute: figures(Span::Minute, &minute),
            ten_minutes: figures(Span::TenMinutes, &ten_minutes),
            seconds: live.seconds(scope, now_s),
            seconds_from_s: Live::seconds_from_s(now_s),
        },
        regions,
        slo: slo(parts, scope),
        cost: cost(parts, scope),
        proxies,
        rollout: if whole {
            RolloutView::of(&parts.rollouts)
        } else {
            None
        },
        talkers: talkers(parts, scope, now_s),
        events: if whole { events(parts)? } else { Vec::new() },
        bounds: live.bounds(),
    })
}

/// At most one for each code.
fn refusals(minute: &Totals, ten_minutes: &Totals) -> Vec<Refused> {
    let both = RefusalCode::ALL.iter().map(|code| Refused {
        code: *code,
        status: code.status(),
        title: code.title(),
        minute: minute.refusals.get(*code),
        ten_minutes: ten_minutes.refusals.get(*code),
    });
    let mut some: Vec<Refused> = both.filter(|code| code.minute | code.ten_minutes > 0).collect();
    some.sort_by_key(|refused| Reverse((refused.minute, refused.ten_minutes)));
    some
}

fn slo(parts: &Parts, scope: &Scope) -> Option<Slo> {
    let levels = parts.levels.as_ref()?.levels();
    let tiers = levels.tiers.iter().take(TIERS_MAX).map(|level| Tier {
        name: level.tier,
        level: scope.is_all().then(|| level.clone()),
        tenants: 0,
        spent: 0,
        pages: 0,
        tickets: 0,
    });
    let mut tiers: Vec<Tier> = tiers.collect();
    let mut worst = Top::new(WORST_MAX);
    let mine = levels.tenants.iter().filter(|(name, _)| scope.tenants.has(name));
    for (name, level) in mine {
        if let Some(tier) = tiers.iter_mut().find(|tier| tier.name == level.tier) {
            tier.tenants += 1;
            tier.spent += u64::from(level.left_ppm() <= 0);
            tier.pages += u64::from(level.alert == Some(Urgency::Page));
            tier.tickets += u64::from(level.alert == Some(Urgency::Ticket));
        }
        worst.put((
            Reverse(level.alert),
            level.left_ppm(),
            Reverse(level.burn_milli()),
            name,
        ));
    }
    let worst = worst.into_iter().filter_map(|(_, _, _, name)| {
        let level = levels.tenants.get(name)?.clone();
        let tenant = Arc::clone(name);
        Some(Worst { tenant, level })
    });
    let worst = worst.collect();
    Some(Slo { tiers, worst })
}

fn cost(parts: &Parts, scope: &Scope) -> Option<Cost> {
    let sheet = parts.costs.as_ref()?.costs();
    let mut cost = Cost {
        currency: sheet.currency,
        tenants: 0,
        budgeted: 0,
        sum: TenantCost::default(),
        budgeted_today_nano: 0,
        over: Vec::new(),
        over_total: 0,
    };
    let mut over = Top::new(OVER_MAX);
    let add = |sum: &mut Option<i64>, more: Option<i64>| {
        if let Some(more) = more {
            *sum = Some(sum.unwrap_or(0).saturating_add(more));
        }
    };
    let mine = sheet.tenants.iter().filter(|(name, _)| scope.tenants.has(name));
    for (name, own) in mine {
        cost.tenants += 1;
        let sum = &mut cost.sum;
        sum.today_nano = sum.today_nano.saturating_add(own.today_nano);
        sum.month_nano = sum.month_nano.saturating_add(own.month_nano);
        add(&mut sum.budget_today_nano, own.budget_today_nano);
        add(&mut sum.budget_month_nano, own.budget_month_nano);
        add(&mut sum.forecast_month_nano, own.forecast_month_nano);
        let Some(budget) = own.budget_today_nano else {
            continue;
        };
        cost.budgeted += 1;
        cost.budgeted_today_nano = cost.budgeted_today_nano.saturating_add(own.today_nano);
        if own.today_nano > budget {
            cost.over_total += 1;
            over.put((Reverse(own.today_nano.saturating_sub(budget)), name));
        }
    }
    let over = over.into_iter().filter_map(|(_, name)| {
        let cost = *sheet.tenants.get(name)?;
        let tenant = Arc::clone(name);
        Some(Over { tenant, cost })
    });
    cost.over = over.collect();
    Some(cost)
}

fn talkers(parts: &Parts, scope: &Scope, now_s: u64) -> Talkers {
    let mut tenants = Top::new(TALKERS_MAX);
    parts
        .live
        .tenants(scope, Span::Minute, now_s, false, |name, sum| {
            let usage = sum.usage;
            if usage.requests > 0 {
                let key = (Reverse(usage.requests), Arc::clone(name));
                tenants.put((key, usage.errors, usage.cpu_ns));
            }
        });
    let tenants = tenants.into_iter();
    let tenants = tenants.map(|((Reverse(requests), tenant), errors, cpu_ns)| Talker {
        tenant,
        route: None,
        requests,
        errors,
        cpu_ns,
    });
    let mut routes = Top::new(TALKERS_MAX);
    parts.live.routes(scope, now_s, |tenant, route, sum| {
        if sum.requests > 0 {
            let key = (Reverse(sum.requests), Arc::clone(tenant), route.to_owned());
            routes.put((key, sum.errors, sum.cpu_ns));
        }
    });
    let routes = routes
        .into_iter()
        .map(|((Reverse(requests), tenant, route), errors, cpu_ns)| Talker {
            tenant,
            route: Some(route),
            requests,
            errors,
            cpu_ns,
        });
    Talkers {
        seconds: parts.live.covered_s(Span::Minute, now_s),
        tenants: tenants.collect(),
        routes: routes.collect(),
    }
}

fn events(parts: &Parts) -> Result<Vec<Happened>, StoreError> {
    let newest = parts.store.events(&EventQuery {
        newest_first: true,
        limit: EVENTS_MAX,
        ..EventQuery::default()
    })?;
    let shown = newest.into_iter().map(|event| Happened {
        seq: event.seq,
        time_ms: event.time_ms,
        actor: clip(&event.actor),
        action: clip(&event.action),
        subject: clip(&event.subject),
        result: clip(&event.result),
    });
    Ok(shown.collect())
}
