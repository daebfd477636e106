//! Alerts as values: what fired, for whom, since when, and what happened to it.

use std::sync::Arc;

use super::objective::{Kind, Tier};
use super::window::BurnRule;

/// Whose events a series counts. What is not named is not distinguished: without a tenant it is all tenants (of the region,
/// if one is named).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels {
    /// Tenant id.
    pub tenant: Option<Arc<str>>,
    /// The tenant's tier.
    pub tier: Option<Tier>,
    /// Region that serves.
    pub region: Option<Arc<str>>,
    /// Upstream pool.
    pub upstream: Option<Arc<str>>,
}

/// An alert that fires, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Whose.
    pub labels: Arc<Labels>,
    /// Which promise.
    pub objective: Kind,
    /// The rule; its long window is the label `window`.
    pub rule: &'static BurnRule,
    /// Revision of the configuration when it fired; it does not follow later revisions, so that an alert stays one alert.
    pub revision: u64,
    /// When it fired, unix seconds.
    pub started_s: u64,
    /// When it ended, unix seconds; none while it fires.
    pub ended_s: Option<u64>,
    /// Burn rates in the long and the short window at the time of this value, in thousandths.
    pub burn_milli: [u64; 2],
}

impl Alert {
    /// Value of a label, by its name; none where the alert does not have it.
    pub fn label(&self, name: &str) -> Option<String> {
        let owned = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        match name {
            "alertname" => Some(self.rule.name.to_owned()),
            "objective" => Some(self.objective.as_str().to_owned()),
            "region" => owned(&self.labels.region),
            "revision" => Some(self.revision.to_string()),
            "severity" => Some(self.rule.severity.as_str().to_owned()),
            "tenant" => owned(&self.labels.tenant),
            "tier" => self.labels.tier.map(|tier| tier.as_str().to_owned()),
            "upstream" => owned(&self.labels.upstream),
            "window" => Some(self.rule.long.window().name.to_owned()),
            _ => None,
        }
    }

    /// All labels that it has, by name.
    pub fn label_pairs(&self) -> impl Iterator<Item = (&'static str, String)> {
        LABELS.iter().filter_map(|name| Some((*name, self.label(name)?)))
    }

    /// One sentence for a person.
    pub fn summary(&self) -> String {
        let labels = &self.labels;
        let whose = match (&labels.tenant, &labels.region) {
            (Some(tenant), _) => format!("tenant {tenant}"),
            (None, Some(region)) => format!("all tenants in region {region}"),
            (None, None) => "all tenants".to_owned(),
        };
        let [long, short] = self
            .burn_milli
            .map(|milli| format!("{}.{}", milli / 1000, milli % 1000 / 100));
        format!(
            "The {} budget of {whose} burns {long} times as fast as it may over {}, {short} times over {}.",
            self.objective.as_str(),
            self.rule.long.window().name,
            self.rule.short.window().name
        )
    }
}

/// Names of all labels of an alert.
pub const LABELS: &[&str] = &[
    "alertname",
    "objective",
    "region",
    "revision",
    "severity",
    "tenant",
    "tier",
    "upstream",
    "window",
];

/// What happened to an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It fires.
    Fired(Alert),
    /// It ended.
    Resolved(Alert),
}

impl Change {
    /// The alert.
    pub fn alert(&self) -> &Alert {
        match self {
            Self::Fired(alert) | Self::Resolved(alert) => alert,
        }
    }
}
