//! How all tenants stand, for the dashboard: made anew every few seconds, shared by all who ask.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use weir_plan::slo::budget::{Budget, burn_milli};
use weir_plan::slo::window::{Severity, WindowId};
use weir_plan::slo::{Counts, Kind, Objectives, Tier};

use super::{SloBook, State};
use crate::clock;
use crate::dashboard::{Level, Levels, ServiceLevels, TenantLevel, TierLevel, Urgency};

/// How old an answer may be, milliseconds.
const FRESH_MS: u64 = 5_000;
/// Millionths in a whole.
const WHOLE_PPM: i64 = 1_000_000;

/// Events of the windows that are shown.
#[derive(Clone, Copy, Default)]
struct Events {
    m5: Counts,
    h1: Counts,
    d30: Counts,
}

impl Events {
    fn plus(self, more: Self) -> Self {
        Self {
            m5: self.m5.plus(more.m5),
            h1: self.h1.plus(more.h1),
            d30: self.d30.plus(more.d30),
        }
    }

    fn level(&self, kind: Kind, objectives: &Objectives) -> Level {
        let target = objectives.target(kind);
        let spent_ppm = Budget::new(&self.d30, kind, target).spent_ppm;
        // At most a million, which any integer holds.
        let bad_ppm = u32::try_from(target.bad_ppm()).unwrap_or(u32::MAX);
        Level {
            target_ppm: 1_000_000_u32.saturating_sub(bad_ppm),
            left_ppm: WHOLE_PPM.saturating_sub(i64::try_from(spent_ppm).unwrap_or(i64::MAX)),
            burn_5m_milli: burn_milli(&self.m5, kind, target),
            burn_1h_milli: burn_milli(&self.h1, kind, target),
        }
    }
}

fn levels(state: &State) -> Levels {
    let mut alerts: HashMap<Arc<str>, Urgency> = HashMap::new();
    for alert in state.engine.alerts() {
        let urgency = match alert.rule.severity {
            Severity::Page => Urgency::Page,
            Severity::Ticket => Urgency::Ticket,
        };
        if let Some(tenant) = &alert.labels.tenant {
            let known = alerts.entry(tenant.as_ref().into()).or_insert(urgency);
            *known = urgency.max(*known);
        }
    }
    let mut tenants = BTreeMap::new();
    let mut tiers: BTreeMap<Tier, Events> = BTreeMap::new();
    for (name, id) in &state.tenants {
        let sum = |window| state.engine.sum(*id, window);
        let (Some(m5), Some(h1), Some(d30)) = (sum(WindowId::M5), sum(WindowId::H1), sum(WindowId::D30))
        else {
            continue;
        };
        let Some((tier, objectives)) = state.promises.get(name) else {
            continue;
        };
        let events = Events { m5, h1, d30 };
        let all = tiers.entry(*tier).or_default();
        *all = all.plus(events);
        let level = TenantLevel {
            tier: tier.as_str(),
            availability: events.level(Kind::Availability, objectives),
            latency: events.level(Kind::Latency, objectives),
            alert: alerts.get(name.as_str()).copied(),
        };
        tenants.insert(name.as_str().into(), level);
    }
    let tiers = tiers.into_iter().map(|(tier, events)| TierLevel {
        tier: tier.as_str(),
        availability: events.level(Kind::Availability, &tier.objectives()),
        latency: events.level(Kind::Latency, &tier.objectives()),
    });
    Levels {
        tiers: tiers.collect(),
        tenants,
    }
}

impl ServiceLevels for SloBook {
    fn levels(&self) -> Arc<Levels> {
        let now_ms = clock::unix_ms();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ms
            .checked_sub(shown.0)
            .is_none_or(|age_ms| age_ms >= FRESH_MS)
        {
            *shown = (now_ms, Arc::new(levels(&self.state())));
        }
        Arc::clone(&shown.1)
    }
}
