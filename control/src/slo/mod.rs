//! Keeps the objectives of tenants: counts what frames say, judges every second, tells what fires.

mod deliver;
mod levels;
mod restore;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};
use weir_plan::slo::engine::Since;
use weir_plan::slo::window::WindowId;
use weir_plan::slo::{Alert, Change, Counts, Engine, Labels, Objectives, Sample, SeriesId, Tier};
use weir_schema::telemetry::frame::{Entry, FOLDED, Frame};

use crate::clock;
use crate::collect::{Usage, Watcher};
use crate::dashboard::Levels;
use crate::store::{Batch, NewEvent, Store, StoreError, Write};
use crate::versions::{Published, Versions};

pub use deliver::{Delivery, DeliveryOptions};

/// Counters that the engine is filled from after a restart, by the length of their times. Keys are tenants.
const SERIES: [(&str, u64); 2] = [("slo.minute", 60_000), ("slo.hour", 3_600_000)];
/// Series of an engine: one for each tenant, and some for regions.
const SERIES_MAX: u32 = 101_000;

/// How a tenant stands.
#[derive(Clone, Debug, Serialize)]
pub struct TenantSlo {
    /// Tenant.
    pub tenant: String,
    /// Its tier.
    pub tier: &'static str,
    /// Its objectives, each with its budget and burn rates.
    pub objectives: Vec<ObjectiveState>,
}

/// How one objective stands.
#[derive(Clone, Debug, Serialize)]
pub struct ObjectiveState {
    /// `availability` or `latency`.
    pub objective: &'static str,
    /// What is promised, percent of requests.
    pub target_percent: String,
    /// Requests of the last 30 days.
    pub events: u64,
    /// The bad ones.
    pub bad: u64,
    /// Bad requests that the promise allows for so many requests.
    pub budget: u64,
    /// Those of them that are left; below 0 when more than all are spent.
    pub budget_left: i64,
    /// Burn rate by window, thousandths: 1000 spends the budget in exactly 30 days.
    pub burn_milli: HashMap<&'static str, u64>,
}

struct State {
    engine: Engine,
    tenants: HashMap<String, SeriesId>,
    regions: HashMap<String, SeriesId>,
    promises: HashMap<String, (Tier, Objectives)>,
    checked: u64,
}

/// The objectives of all tenants.
pub struct SloBook {
    store: Arc<dyn Store>,
    versions: Arc<Versions>,
    state: Mutex<State>,
    /// Tenants and events that were not counted, because there are too many or their time is wrong.
    uncounted: AtomicU64,
    /// What the dashboard was shown last, and when.
    shown: Mutex<(u64, Arc<Levels>)>,
}

impl SloBook {
    /// With what the store has of the last 30 days.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(store: Arc<dyn Store>, versions: Arc<Versions>) -> Result<Arc<Self>, StoreError> {
        let book = Arc::new(Self {
            state: Mutex::new(State {
                engine: Engine::new(SERIES_MAX),
                tenants: HashMap::new(),
                regions: HashMap::new(),
                promises: HashMap::new(),
                checked: 0,
            }),
            store,
            versions,
            uncounted: AtomicU64::new(0),
            shown: Mutex::default(),
        });
        book.restore(clock::unix_ms() / 1000)?;
        Ok(book)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a tenant is promised, by the configuration: its tier, Starter if it has none of that name.
    fn promise(&self, newest: Option<&Arc<Published>>, tenant: &str) -> (Tier, Objectives) {
        let entry = newest.and_then(|newest| newest.content.listing.get(&format!("tenants/{tenant}")));
        let document = entry.and_then(|entry| self.versions.objects().get(&entry.hash).ok().flatten());
        let document: Value = document
            .and_then(|document| serde_json::from_slice(&document).ok())
            .unwrap_or_default();
        let named = document["tenant"]["tier"].as_str();
        let tier = Tier::ALL
            .into_iter()
            .find(|tier| Some(tier.as_str()) == named)
            .unwrap_or(Tier::Starter);
        (tier, tier.objectives())
    }

    /// Promises follow the configuration.
    fn follow(&self, now_s: u64) {
        let newest = self.versions.newest();
        let revision = newest.as_ref().map_or(0, |newest| newest.head().revision);
        let changed: Vec<String> = {
            let mut state = self.state();
            if state.checked == revision {
                return;
            }
            let record = newest.as_ref().map(|newest| &newest.record);
            let next = state.checked + 1 == revision;
            let listed = record.filter(|record| next && record.changed.len() == record.changed_count);
            state.checked = revision;
            match listed {
                Some(record) => {
                    let tenants = record
                        .changed
                        .iter()
                        .filter_map(|path| path.strip_prefix("tenants/"));
                    tenants.map(str::to_owned).collect()
                }
                None => state.promises.keys().cloned().collect(),
            }
        };
        for tenant in changed {
            let promised = self.promise(newest.as_ref(), &tenant);
            let mut state = self.state();
            let Some(id) = state.tenants.get(&tenant).copied() else {
                continue;
            };
            if state.promises.get(&tenant) != Some(&promised) {
                let labels = labels_of(&tenant, promised.0);
                // Alerts under the old labels end with the next judgement's list.
                let _ended = state.engine.promise(id, labels, promised.1, now_s);
                state.promises.insert(tenant, promised);
            }
        }
    }

    fn series(&self, tenant: &str) -> Option<(SeriesId, Objectives)> {
        {
            let state = self.state();
            if let (Some(id), Some((_, objectives))) = (state.tenants.get(tenant), state.promises.get(tenant))
            {
                return Some((*id, *objectives));
            }
        }
        let (tier, objectives) = self.promise(self.versions.newest().as_ref(), tenant);
        let mut state = self.state();
        let since = Since {
            second: clock::unix_ms() / 1000,
            counts: Counts::default(),
        };
        let id = state
            .engine
            .add(labels_of(tenant, tier), objectives, since)
            .ok()?;
        state.tenants.insert(tenant.to_owned(), id);
        state.promises.insert(tenant.to_owned(), (tier, objectives));
        Some((id, objectives))
    }

    fn region(&self, region: &str) -> Option<SeriesId> {
        let mut state = self.state();
        if let Some(id) = state.regions.get(region) {
            return Some(*id);
        }
        let labels = Labels {
            region: Some(region.into()),
            ..Labels::default()
        };
        let since = Since {
            second: clock::unix_ms() / 1000,
            counts: Counts::default(),
        };
        let id = state.engine.add(labels, Tier::Starter.objectives(), since).ok()?;
        state.regions.insert(region.to_owned(), id);
        Some(id)
    }

    fn record(&self, id: SeriesId, second: u64, counts: Counts) {
        let sample = Sample {
            series: id,
            second,
            counts,
        };
        let now_s = clock::unix_ms() / 1000;
        if self.state().engine.record(now_s, &sample).is_err() {
            self.uncounted.fetch_add(counts.events, Ordering::Relaxed);
        }
    }

    /// Judges; gives what changed.
    pub fn judge(&self, now_s: u64) -> Vec<Change> {
        self.follow(now_s);
        let revision = self.versions.newest().map_or(0, |newest| newest.head().revision);
        self.state().engine.evaluate(now_s, revision)
    }

    /// All alerts that fire.
    #[must_use]
    pub fn alerts(&self) -> Vec<Alert> {
        self.state().engine.alerts().collect()
    }

    /// How a tenant stands; `None` before its first request.
    #[must_use]
    pub fn tenant(&self, tenant: &str) -> Option<TenantSlo> {
        let state = self.state();
        let id = state.tenants.get(tenant)?;
        let (tier, objectives) = state.promises.get(tenant)?;
        let standings = state.engine.standings(*id)?;
        let objectives = standings.into_iter().map(|standing| {
            let burn = WindowId::ALL.iter().zip(standing.burn_milli);
            ObjectiveState {
                objective: standing.objective.as_str(),
                target_percent: objectives.target(standing.objective).percent(),
                events: standing.budget.events,
                bad: standing.budget.bad,
                budget: standing.budget.allowed,
                budget_left: standing.budget.left(),
                burn_milli: burn
                    .map(|(window, milli)| (window.window().name, milli))
                    .collect(),
            }
        });
        Some(TenantSlo {
            tenant: tenant.to_owned(),
            tier: tier.as_str(),
            objectives: objectives.collect(),
        })
    }

    /// Tenants with events, by name, from the one after `after`.
    #[must_use]
    pub fn tenants(&self, after: Option<&str>, limit: usize) -> Vec<TenantSlo> {
        let mut names: Vec<String> = {
            let state = self.state();
            let names = state.tenants.keys();
            names
                .filter(|name| after.is_none_or(|after| name.as_str() > after))
                .cloned()
                .collect()
        };
        names.sort_unstable();
        names.truncate(limit);
        names.iter().filter_map(|name| self.tenant(name)).collect()
    }

    /// The counters that the exported rules read, in Prometheus' text format.
    #[must_use]
    pub fn exposition(&self) -> String {
        weir_plan::slo::prometheus::exposition(&self.state().engine)
    }

    /// Judges every second, for ever: what changes is an event, and is delivered.
    pub async fn run(self: Arc<Self>, delivery: Option<Delivery>) {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now_s = clock::unix_ms() / 1000;
            let book = Arc::clone(&self);
            // A minute that begins makes every series move: that is work of milliseconds.
            let Ok(changes) = tokio::task::spawn_blocking(move || book.judge(now_s)).await else {
                continue;
            };
            if !changes.is_empty() {
                let events = changes.iter().map(event);
                let batch = events.fold(Batch::at(now_s * 1000), Batch::event);
                // An alert is told even when it cannot be written down.
                let _ = self.store.commit(batch).await;
            }
            if let Some(delivery) = &delivery {
                delivery.tell(&changes, || self.alerts(), now_s);
            }
        }
    }
}

fn event(change: &Change) -> NewEvent {
    let alert = change.alert();
    let labels: serde_json::Map<String, Value> = alert
        .label_pairs()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let subject = match (&alert.labels.tenant, &alert.labels.region) {
        (Some(tenant), _) => format!("tenant/{tenant}"),
        (None, Some(region)) => format!("region/{region}"),
        (None, None) => "all".to_owned(),
    };
    NewEvent {
        actor: "system".to_owned(),
        action: match change {
            Change::Fired(_) => "alert.fire",
            Change::Resolved(_) => "alert.resolve",
        }
        .to_owned(),
        subject,
        from: String::new(),
        result: "done".to_owned(),
        detail: json!({"labels": labels, "summary": alert.summary()}),
    }
}

fn labels_of(tenant: &str, tier: Tier) -> Labels {
    Labels {
        tenant: Some(tenant.into()),
        tier: Some(tier),
        ..Labels::default()
    }
}

/// What an entry counts. An event is a request that was to be answered: refusals that are the client's fault, or what its
/// tenant asked for, are none.
fn counts_of(entry: &Entry, latency_ms: u32) -> Counts {
    let usage = Usage::of(entry);
    let answered_badly = usage.errors.saturating_sub(usage.faults_refused);
    let good = usage.answered.saturating_sub(answered_badly.min(usage.answered));
    let events = good + usage.errors;
    let slow = entry.latency.above(latency_ms.saturating_mul(1000));
    Counts {
        events,
        bad: [usage.errors, slow.min(events)],
    }
}

impl Watcher for SloBook {
    fn writes(&self, frame: &Frame) -> Vec<Write> {
        let mut writes = Vec::new();
        for entry in counted(frame) {
            let Some((_, objectives)) = self.series(&entry.tenant) else {
                continue;
            };
            let counts = counts_of(entry, objectives.latency_ms);
            if counts.is_zero() {
                continue;
            }
            let values = [counts.events, counts.bad[0], counts.bad[1]]
                .map(|value| i64::try_from(value).unwrap_or(i64::MAX));
            writes.extend(SERIES.map(|(series, length_ms)| Write::Add {
                series: series.to_owned(),
                key: entry.tenant.clone(),
                bucket_ms: frame.to_ms / length_ms * length_ms,
                values: values.to_vec(),
            }));
        }
        writes
    }

    fn counted(&self, region: &str, frame: &Frame) {
        let second = frame.to_ms.saturating_sub(1) / 1000;
        let mut all = Counts::default();
        for entry in counted(frame) {
            let Some((id, objectives)) = self.series(&entry.tenant) else {
                self.uncounted.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let counts = counts_of(entry, objectives.latency_ms);
            all = all.plus(counts);
            if !counts.is_zero() {
                self.record(id, second, counts);
            }
        }
        if let Some(id) = self.region(region).filter(|_| !all.is_zero()) {
            self.record(id, second, all);
        }
    }
}

fn counted(frame: &Frame) -> impl Iterator<Item = &Entry> {
    let named = |entry: &&Entry| !entry.tenant.is_empty() && entry.tenant != FOLDED;
    frame.entries.iter().filter(named)
}
