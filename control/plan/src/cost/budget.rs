//! Budgets: an amount a month, and what happens when a part of it is spent or will be.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_schema::config::raw::List;
use weir_schema::config::{self, ConfigError};

use super::calendar::Month;
use super::forecast::Forecast;
use super::money::Money;

/// A budget as a person writes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Weir budget")]
pub struct RawBudget {
    /// Amount of a month, a decimal in quotes such as `"250"`, in the currency of the price book.
    pub month: String,
    /// What happens when; without this key alerts at 50, 80 and 100 % spent and at 100 % forecast.
    #[schemars(length(max = 32))]
    pub thresholds: Option<List<Threshold>>,
}

/// When something happens, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Part of the budget, per cent.
    #[schemars(range(min = 1, max = 1000))]
    pub percent: u32,
    /// Of what.
    #[serde(default)]
    pub basis: Basis,
    /// What is done.
    #[serde(default)]
    pub action: Action,
}

/// What is compared to a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// What the month cost so far.
    #[default]
    Actual,
    /// What it is expected to cost.
    Forecast,
}

/// What is done about a tenant, from weak to strong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// People are told.
    #[default]
    Alert,
    /// The tenant's limits are lowered.
    Throttle,
    /// The tenant is suspended.
    Suspend,
}

/// A budget that passed its check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Amount of a month.
    pub month: Money,
    /// In order, each part and basis once.
    pub thresholds: Vec<Threshold>,
}

impl Budget {
    /// Reads and checks a document.
    ///
    /// # Errors
    /// All its faults.
    pub fn read(text: &str) -> Result<Self, Vec<ConfigError>> {
        config::read(text, |raw: &RawBudget, findings| {
            let month = Money::parse(&raw.month).filter(|amount| *amount > Money::ZERO);
            if month.is_none() {
                let message = format!(
                    "`{}` is not an amount",
                    raw.month.chars().take(64).collect::<String>()
                );
                findings.add(
                    "/month",
                    "invalid_price",
                    message,
                    "a decimal in quotes above 0, at most 100000",
                );
            }
            let mut thresholds: Vec<Threshold> = Vec::new();
            for (place, one) in raw.thresholds.iter().flat_map(List::iter) {
                let twice = |kept: &Threshold| (kept.percent, kept.basis) == (one.percent, one.basis);
                if thresholds.iter().any(twice) {
                    let at = format!("/thresholds/{place}");
                    let message = format!("{} % is there twice on this basis", one.percent);
                    findings.add(&at, "duplicate_threshold", message, "the strongest action only");
                }
                thresholds.push(*one);
            }
            if raw.thresholds.is_none() {
                thresholds = default_thresholds();
            }
            thresholds.sort();
            Some(Self {
                month: month?,
                thresholds,
            })
        })
    }

    /// Compares a budget to what a tenant cost and will, and gives each threshold that is reached now and was not before in
    /// this month. A change of the budget does not repeat what fired.
    pub fn reached(
        &self,
        state: &mut BudgetState,
        month: Month,
        actual: Money,
        forecast: Option<&Forecast>,
    ) -> Vec<BudgetEvent> {
        if state.month != month {
            *state = BudgetState::new(month);
        }
        let mut events = Vec::new();
        for threshold in &self.thresholds {
            let compared = match threshold.basis {
                Basis::Actual => Some(actual),
                Basis::Forecast => forecast.map(|forecast| forecast.expected),
            };
            let bound = self.month.as_nanos().saturating_mul(threshold.percent.into());
            let reached = compared.is_some_and(|cost| cost.as_nanos().saturating_mul(100) >= bound);
            if reached && state.fired.insert((threshold.percent, threshold.basis)) {
                state.standing = state.standing.max(Some(threshold.action));
                events.push(BudgetEvent {
                    month,
                    threshold: *threshold,
                    budget: self.month,
                    actual,
                    forecast: forecast.copied(),
                });
            }
        }
        events
    }
}

fn default_thresholds() -> Vec<Threshold> {
    let alert = |percent, basis| Threshold {
        percent,
        basis,
        action: Action::Alert,
    };
    let actual = [50, 80, 100].map(|percent| alert(percent, Basis::Actual));
    actual.into_iter().chain([alert(100, Basis::Forecast)]).collect()
}

/// What a budget did in a month; kept by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetState {
    month: Month,
    fired: BTreeSet<(u32, Basis)>,
    standing: Option<Action>,
}

impl BudgetState {
    /// Nothing fired in this month.
    pub const fn new(month: Month) -> Self {
        Self {
            month,
            fired: BTreeSet::new(),
            standing: None,
        }
    }

    /// The strongest action that a threshold of this month asked for. It stands until the month ends.
    pub fn standing(&self, month: Month) -> Option<Action> {
        self.standing.filter(|_| self.month == month)
    }
}

/// A threshold was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetEvent {
    /// The month.
    pub month: Month,
    /// Which, with what is to be done.
    #[serde(flatten)]
    pub threshold: Threshold,
    /// The budget of the month.
    pub budget: Money,
    /// What the month cost so far.
    pub actual: Money,
    /// What it is expected to cost; `None` with too few days.
    pub forecast: Option<Forecast>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(text: &str) -> Month {
        Month::parse(text).unwrap()
    }

    fn fired(events: &[BudgetEvent]) -> Vec<(u32, Basis)> {
        events
            .iter()
            .map(|event| (event.threshold.percent, event.threshold.basis))
            .collect()
    }

    #[test]
    fn each_threshold_fires_once_in_a_month() {
        let budget = Budget::read("month: '100'").unwrap();
        let november = month("2026-11");
        let mut state = BudgetState::new(november);
        let forecast = |units| Forecast {
            expected: Money::units(units),
            low: Money::ZERO,
            high: Money::units(units),
        };
        let mut step = |month, actual, expected| {
            fired(&budget.reached(&mut state, month, Money::units(actual), Some(&forecast(expected))))
        };
        assert_eq!(step(november, 49, 99), []);
        assert_eq!(
            step(november, 50, 100),
            [(50, Basis::Actual), (100, Basis::Forecast)]
        );
        assert_eq!(step(november, 50, 200), []);
        assert_eq!(
            step(november, 150, 90),
            [(80, Basis::Actual), (100, Basis::Actual)]
        );
        assert_eq!(step(november, 20, 20), []);
        assert_eq!(step(november, 500, 500), []);
        assert_eq!(step(month("2026-12"), 60, 60), [(50, Basis::Actual)]);
    }

    #[test]
    fn the_strongest_action_stands_until_the_month_ends() {
        let budget = Budget::read(
            "{month: '1', thresholds: [{percent: 100, action: suspend}, {percent: 80, action: throttle}]}",
        )
        .unwrap();
        let (november, december) = (month("2026-11"), month("2026-12"));
        let mut state = BudgetState::new(november);
        for (nanos, standing) in [
            (799_999_999, None),
            (800_000_000, Some(Action::Throttle)),
            (1_000_000_000, Some(Action::Suspend)),
            (0, Some(Action::Suspend)),
        ] {
            budget.reached(&mut state, november, Money::nanos(nanos), None);
            assert_eq!(state.standing(november), standing);
        }
        assert_eq!(state.standing(december), None);
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<BudgetState>(&text).unwrap(), state);
    }

    #[test]
    fn faults_of_a_budget_are_told_at_once() {
        let text = "{month: '0', thresholds: [{percent: 0}, {percent: 50}, {percent: 50, action: throttle}]}";
        let errors = Budget::read(text).unwrap_err();
        let found: Vec<(&str, &str)> = errors.iter().map(|e| (e.pointer.as_str(), e.code)).collect();
        assert_eq!(
            found,
            [
                ("/month", "invalid_price"),
                ("/thresholds/0/percent", "out_of_range"),
                ("/thresholds/2", "duplicate_threshold"),
            ]
        );
    }
}
