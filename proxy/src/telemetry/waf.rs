//! Metrics of the rule engine beside its time, made from reports: only a request on which a rule matched, or whose
//! inspection failed, touches them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use weir_rules::{CollectionsPool, Report};
use weir_schema::telemetry::names::{self, Metric};

use super::audit::verdict;

/// Rules with an own series.
const RULES_MAX: usize = 1000;

/// Counters of what rules found.
pub(crate) struct WafMetrics {
    matches: IntCounterVec,
    known_rules: Mutex<HashSet<u64>>,
    verdicts: IntCounterVec,
    budget_exceeded: IntCounterVec,
    body_faults: IntCounterVec,
    /// What rules of all tenants remember.
    pub(crate) collections: Arc<CollectionsPool>,
    collection_bytes: IntGauge,
    collection_evicted: IntCounter,
    collection_records: IntGauge,
    /// Audit events by what became of them.
    pub(crate) audit_events: IntCounterVec,
}

impl WafMetrics {
    /// Registers them.
    ///
    /// # Errors
    /// A name that is not valid or not unique, which a test excludes.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |metric: &Metric| {
            let counter = IntCounterVec::new(Opts::new(metric.name, metric.help), metric.labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |metric: &Metric| {
            let gauge = IntGauge::with_opts(Opts::new(metric.name, metric.help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let evicted = &names::WAF_COLLECTION_EVICTED;
        let collection_evicted = IntCounter::with_opts(Opts::new(evicted.name, evicted.help))?;
        registry.register(Box::new(collection_evicted.clone()))?;
        Ok(Self {
            collections: Arc::default(),
            collection_bytes: gauge(&names::WAF_COLLECTION_BYTES)?,
            collection_evicted,
            collection_records: gauge(&names::WAF_COLLECTION_RECORDS)?,
            matches: counter(&names::WAF_MATCHES)?,
            known_rules: Mutex::default(),
            verdicts: counter(&names::WAF_VERDICTS)?,
            budget_exceeded: counter(&names::WAF_BUDGET_EXCEEDED)?,
            body_faults: counter(&names::WAF_BODY_FAULTS)?,
            audit_events: counter(&names::AUDIT_EVENTS)?,
        })
    }

    /// Reads how full the collections are, before metrics are shown.
    pub(crate) fn refresh(&self) {
        let usage = self.collections.usage();
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.collection_bytes.set(number(usage.bytes));
        self.collection_records.set(number(usage.records));
        let news = usage.evicted.saturating_sub(self.collection_evicted.get());
        self.collection_evicted.inc_by(news);
    }

    /// Counts what the rules found in a request. `tenant` is the label of its metrics.
    pub(crate) fn observe(&self, tenant: &str, report: &Report) {
        let logged = || report.matches.iter().filter(|found| found.logged);
        if logged().next().is_some() || report.decision.is_some() {
            let verdict = verdict(report).as_str();
            self.verdicts.with_label_values(&[tenant, verdict]).inc();
        }
        if report.budget_exceeded {
            self.budget_exceeded.with_label_values(&[tenant]).inc();
        }
        if report.body_fault.is_some() {
            self.body_faults.with_label_values(&[tenant]).inc();
        }
        for found in logged() {
            let mut known = self.known_rules.lock().unwrap_or_else(PoisonError::into_inner);
            let own = known.contains(&found.id) || (known.len() < RULES_MAX && known.insert(found.id));
            drop(known);
            let label = if own {
                found.id.to_string()
            } else {
                "other".to_owned()
            };
            self.matches.with_label_values(&[label.as_str()]).inc();
        }
    }
}
