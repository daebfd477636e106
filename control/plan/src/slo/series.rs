//! One series: the events of a tenant (a region, all tenants), its sums, and the state of its alerts.

use std::sync::Arc;

use super::alert::{Alert, Change, Labels};
use super::budget::{bad, burn_milli, burns_faster};
use super::counts::Counts;
use super::engine::Since;
use super::objective::{KINDS, Kind, Objectives};
use super::rings::{Heads, Rings, Sums};
use super::window::{BurnRule, RULE_COUNT, RULES, WindowId};

/// An alert's way: quiet, firing, firing while its condition is false for the time being.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Quiet,
    Firing {
        since_s: u64,
        revision: u64,
        /// Since when the condition is false.
        calm_s: Option<u64>,
    },
}

pub(super) struct Series {
    pub(super) labels: Arc<Labels>,
    pub(super) objectives: Objectives,
    /// Since it began: what the exported counters show.
    pub(super) since: Since,
    sums: Sums,
    /// From the first event on, until 30 days without any.
    rings: Option<Box<Rings>>,
    states: [[State; RULE_COUNT]; KINDS],
    /// Events came since it was judged.
    pub(super) touched: bool,
}

impl Series {
    pub(super) fn new(labels: Labels, objectives: Objectives, since: Since) -> Self {
        Self {
            labels: Arc::new(labels),
            objectives,
            since,
            sums: Sums::default(),
            rings: None,
            states: Default::default(),
            touched: false,
        }
    }

    /// The sum over a window.
    pub(super) fn sum(&self, window: WindowId) -> Counts {
        self.sums.get(window as usize).copied().unwrap_or_default()
    }

    /// Adds events to the time in which they happened. False when not all of them could be held.
    pub(super) fn add(&mut self, heads: Heads, second: u64, counts: Counts) -> bool {
        let rings = self.rings.get_or_insert_with(Rings::empty);
        rings.add(&mut self.sums, heads, second, counts)
    }

    /// Moves its cells on.
    pub(super) fn roll(&mut self, from: Heads, to: Heads) {
        if let Some(rings) = &mut self.rings {
            rings.roll(&mut self.sums, from, to);
        }
        if self.sum(WindowId::D30).is_zero() {
            self.rings = None;
        }
    }

    /// Takes other labels and objectives; gives the alerts that end because their labels do.
    pub(super) fn promise(&mut self, labels: Labels, objectives: Objectives, now_s: u64) -> Vec<Alert> {
        let mut ended = Vec::new();
        if *self.labels != labels {
            ended.extend(self.alerts(Some(now_s)));
            self.states = Default::default();
            self.labels = Arc::new(labels);
        }
        self.objectives = objectives;
        ended
    }

    /// Whether it holds cells.
    pub(super) fn holds_cells(&self) -> bool {
        self.rings.is_some()
    }

    /// Judges every rule, and says what changed. Whether an alert fires.
    pub(super) fn judge(&mut self, now_s: u64, revision: u64, changes: &mut Vec<Change>) -> bool {
        let mut firing = false;
        for kind in Kind::ALL {
            for (at, rule) in RULES.iter().enumerate() {
                let burning = self.is_burning(kind, rule);
                let before = self.state(kind, at);
                let after = next(before, burning, rule, now_s, revision);
                firing |= after != State::Quiet;
                if before == after {
                    continue;
                }
                if let Some(state) = self.states.get_mut(kind.index()).and_then(|s| s.get_mut(at)) {
                    *state = after;
                }
                match (before, after) {
                    (State::Quiet, State::Firing { .. }) => {
                        changes.extend(self.alert(kind, rule, after, None).map(Change::Fired));
                    }
                    (State::Firing { .. }, State::Quiet) => {
                        changes.extend(self.alert(kind, rule, before, Some(now_s)).map(Change::Resolved));
                    }
                    _ => {}
                }
            }
        }
        firing
    }

    /// The alerts that fire; with an end when they end with the series.
    pub(super) fn alerts(&self, ended_s: Option<u64>) -> impl Iterator<Item = Alert> {
        let rules = Kind::ALL
            .into_iter()
            .flat_map(|kind| RULES.iter().enumerate().map(move |(at, rule)| (kind, at, rule)));
        rules.filter_map(move |(kind, at, rule)| self.alert(kind, rule, self.state(kind, at), ended_s))
    }

    fn is_burning(&self, kind: Kind, rule: &BurnRule) -> bool {
        let (long, target) = (self.sum(rule.long), self.objectives.target(kind));
        bad(&long, kind) >= rule.bad_min
            && burns_faster(&long, kind, target, rule.burn_tenths)
            && burns_faster(&self.sum(rule.short), kind, target, rule.burn_tenths)
    }

    fn state(&self, kind: Kind, at: usize) -> State {
        let states = self.states.get(kind.index());
        states
            .and_then(|states| states.get(at))
            .copied()
            .unwrap_or_default()
    }

    fn alert(
        &self,
        kind: Kind,
        rule: &'static BurnRule,
        state: State,
        ended_s: Option<u64>,
    ) -> Option<Alert> {
        let State::Firing {
            since_s, revision, ..
        } = state
        else {
            return None;
        };
        let target = self.objectives.target(kind);
        Some(Alert {
            labels: Arc::clone(&self.labels),
            objective: kind,
            rule,
            revision,
            started_s: since_s,
            ended_s,
            burn_milli: [rule.long, rule.short].map(|window| burn_milli(&self.sum(window), kind, target)),
        })
    }
}

/// What an alert becomes. It ends when its condition has been false for `keep_firing_s`, as with Prometheus' `keep_firing_for`.
fn next(state: State, burning: bool, rule: &BurnRule, now_s: u64, revision: u64) -> State {
    match (state, burning) {
        (State::Quiet, false) => State::Quiet,
        (State::Quiet, true) => State::Firing {
            since_s: now_s,
            revision,
            calm_s: None,
        },
        (
            State::Firing {
                since_s, revision, ..
            },
            true,
        ) => State::Firing {
            since_s,
            revision,
            calm_s: None,
        },
        (
            State::Firing {
                since_s,
                revision,
                calm_s,
            },
            false,
        ) => {
            let calm_s = calm_s.unwrap_or(now_s);
            if now_s.saturating_sub(calm_s) >= rule.keep_firing_s {
                return State::Quiet;
            }
            State::Firing {
                since_s,
                revision,
                calm_s: Some(calm_s),
            }
        }
    }
}
