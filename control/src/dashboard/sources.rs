//! What the dashboard shows that others compute: error budgets and costs. Each is asked once a second for what it last knew.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

/// One objective of one tenant, or of a tier's tenants together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Level {
    /// Share of good events that is promised, millionths.
    pub target_ppm: u32,
    /// Share of the budget of 30 days that is left, millionths; negative when it is overspent.
    pub left_ppm: i64,
    /// Burn rate over five minutes, thousandths: 1000 spends the budget in exactly its 30 days.
    pub burn_5m_milli: u64,
    /// Burn rate over an hour, thousandths.
    pub burn_1h_milli: u64,
}

/// How soon somebody has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// During working hours.
    Ticket,
    /// Now.
    Page,
}

/// How well a tenant is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantLevel {
    /// Its tier.
    pub tier: &'static str,
    /// Requests that are answered.
    pub availability: Level,
    /// Requests that are answered in time.
    pub latency: Level,
    /// Its most urgent alert.
    pub alert: Option<Urgency>,
}

impl TenantLevel {
    /// What is left of the budget that is spent further, millionths.
    #[must_use]
    pub fn left_ppm(&self) -> i64 {
        self.availability.left_ppm.min(self.latency.left_ppm)
    }

    /// The faster burn rate over an hour, thousandths.
    #[must_use]
    pub fn burn_milli(&self) -> u64 {
        self.availability.burn_1h_milli.max(self.latency.burn_1h_milli)
    }
}

/// How well a tier's tenants are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TierLevel {
    /// The tier.
    pub tier: &'static str,
    /// All its tenants together: requests that are answered.
    pub availability: Level,
    /// All its tenants together: requests that are answered in time.
    pub latency: Level,
}

/// How well all are served, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    /// By tier, in the order in which they are shown; the first 16 are.
    pub tiers: Vec<TierLevel>,
    /// By tenant.
    pub tenants: BTreeMap<Arc<str>, TenantLevel>,
}

/// Knows how well tenants are served.
pub trait ServiceLevels: Send + Sync {
    /// What it last knew. Must be cheap: it is asked each second, and the answer is shared.
    fn levels(&self) -> Arc<Levels>;
}

/// What a tenant costs, in 10^-9 of the currency's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TenantCost {
    /// Today so far.
    pub today_nano: i64,
    /// The part of the month's budget that falls on today; none without a budget.
    pub budget_today_nano: Option<i64>,
    /// This month so far.
    pub month_nano: i64,
    /// The month's budget; none without one.
    pub budget_month_nano: Option<i64>,
    /// What the month will come to; none while nobody knows.
    pub forecast_month_nano: Option<i64>,
}

/// What all cost, at one moment.
#[derive(Clone, Debug, Default)]
pub struct CostSheet {
    /// Currency, ISO 4217.
    pub currency: &'static str,
    /// By tenant.
    pub tenants: BTreeMap<Arc<str>, TenantCost>,
}

/// Knows what tenants cost.
pub trait Costs: Send + Sync {
    /// What it last knew. Must be cheap: it is asked each second, and the answer is shared.
    fn costs(&self) -> Arc<CostSheet>;
}
