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

#[cfg(test)]
mod tests {
    use weir_plan::slo::engine::Since;
    use weir_plan::slo::{Engine, Sample};

    use super::*;

    #[test]
    fn levels_show_what_is_left_burns_and_fires_by_tenant_and_tier() {
        let now_s = 1_800_000_000;
        let mut state = State {
            engine: Engine::new(10),
            tenants: HashMap::new(),
            regions: HashMap::new(),
            promises: HashMap::new(),
            checked: 0,
        };
        // At 99.9 %, 1 of 1000 bad spends exactly the budget, and burns at 1.
        for (name, bad) in [("even", 10), ("good", 0), ("out", 10_000)] {
            let tier = Tier::Starter;
            let since = Since {
                second: now_s - 60,
                counts: Counts::default(),
            };
            let labels = super::super::labels_of(name, tier);
            let series = state.engine.add(labels, tier.objectives(), since).unwrap();
            state.tenants.insert(name.to_owned(), series);
            state.promises.insert(name.to_owned(), (tier, tier.objectives()));
            let sample = Sample {
                series,
                second: now_s - 2,
                counts: Counts {
                    events: 10_000,
                    bad: [bad, 0],
                },
            };
            state.engine.record(now_s, &sample).unwrap();
        }
        state.engine.evaluate(now_s, 1);
        let levels = levels(&state);
        let of = |name: &str| &levels.tenants[name];
        let shown = |level: &Level| (level.left_ppm, level.burn_5m_milli, level.burn_1h_milli);
        assert_eq!(shown(&of("even").availability), (0, 1000, 1000));
        assert_eq!(shown(&of("good").availability), (WHOLE_PPM, 0, 0));
        assert_eq!(
            shown(&of("out").availability),
            (-999 * WHOLE_PPM, 1_000_000, 1_000_000)
        );
        assert_eq!(shown(&of("out").latency), (WHOLE_PPM, 0, 0));
        assert_eq!((of("out").alert, of("good").alert), (Some(Urgency::Page), None));
        let [tier] = levels.tiers.as_slice() else {
            panic!("one tier: {:?}", levels.tiers);
        };
        // 10,010 of 30,000 bad, of which 30 are allowed.
        assert_eq!((tier.tier, tier.availability.target_ppm), ("starter", 999_000));
        assert_eq!(tier.availability.burn_1h_milli, 333_666);
    }
}
