//! How a version goes through the regions: stage by stage, each watched for a while, and back everywhere when it does harm.
//!
//! A [`Rollout`] is asked at least each second what to do next, with what was [`Seen`] in each region. It answers with at
//! most one [`Step`]; the caller does it and asks again.

mod gate;
mod policy;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use gate::{Gates, Sums, Trip};
pub use policy::{Policy, PolicyError};

/// What was seen in one region since the version was sent there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Proxies with a session.
    pub connected: u32,
    /// Of them, those that serve the version.
    pub serving: u32,
    /// Of all, those that refused it.
    pub refused: u32,
    /// What they did on other versions during the minute before.
    pub before: Sums,
    /// What they did on this version.
    pub after: Sums,
}

/// Where a rollout is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// A stage was sent and is watched.
    Running {
        /// The stage, from 0.
        stage: usize,
        /// When it was sent, Unix time in milliseconds.
        since_ms: u64,
        /// When all connected proxies of the stage served the version; none yet.
        served_ms: Option<u64>,
    },
    /// All stages were watched to their ends.
    Done,
    /// A person stopped it; regions stay where they are.
    Halted {
        /// The last stage that it was sent to, from 0.
        stage: usize,
    },
    /// It did harm, or was refused, and was taken back.
    RolledBack {
        /// Why.
        reason: Trip,
    },
    /// A newer version took its place.
    Superseded {
        /// That version.
        by: u64,
    },
}

impl State {
    /// Whether nothing happens any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        !matches!(self, Self::Running { .. })
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the version to the next stage's regions.
    Advance {
        /// The stage, from 0.
        stage: usize,
    },
    /// Nothing is left to do: the version is everywhere.
    Finish,
    /// Publish what was served before, everywhere, at once.
    RollBack {
        /// Why.
        reason: Trip,
    },
}

/// A version on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The version.
    pub revision: u64,
    /// What is served where it has not come to, and what is gone back to.
    pub base: u64,
    /// Regions, stage by stage.
    pub stages: Vec<Vec<String>>,
    /// How it is watched.
    pub policy: Policy,
    /// Only the first stage is watched; the others follow together.
    pub emergency: bool,
    /// Where it is.
    #[serde(flatten)]
    pub state: State,
}

impl Rollout {
    /// Begins: the first stage is to be sent now.
    #[must_use]
    pub fn begin(
        revision: u64,
        base: u64,
        regions: &[String],
        policy: Policy,
        emergency: bool,
        now_ms: u64,
    ) -> Self {
        let mut stages = policy.stages(regions);
        if emergency && stages.len() > 2 {
            let rest = stages.split_off(1).into_iter().flatten().collect();
            stages.push(rest);
        }
        Self {
            revision,
            base,
            stages,
            policy,
            emergency,
            state: State::Running {
                stage: 0,
                since_ms: now_ms,
                served_ms: None,
            },
        }
    }

    /// Regions that the version was sent to.
    pub fn reached(&self) -> impl Iterator<Item = &str> {
        let stages = match &self.state {
            State::Running { stage, .. } | State::Halted { stage } => stage + 1,
            State::Done => self.stages.len(),
            State::RolledBack { .. } | State::Superseded { .. } => 0,
        };
        self.stages.iter().take(stages).flatten().map(String::as_str)
    }

    /// Whether a region has the version, or will have it when no stage is left. A region that no stage names, because it
    /// was not known at the beginning, comes with the last.
    #[must_use]
    pub fn has_reached(&self, region: &str) -> bool {
        match &self.state {
            State::Done => true,
            State::Running { stage, .. } | State::Halted { stage } => {
                self.reached().any(|reached| reached == region)
                    || (stage + 1 >= self.stages.len()
                        && !self.stages.iter().flatten().any(|named| named == region))
            }
            State::RolledBack { .. } | State::Superseded { .. } => false,
        }
    }

    /// What to do now. The state is the new one when this returns.
    pub fn step(&mut self, now_ms: u64, seen: &BTreeMap<String, Seen>) -> Option<Step> {
        let State::Running {
            stage,
            since_ms,
            served_ms,
        } = self.state
        else {
            return None;
        };
        // Harm is looked for wherever the version is, not only in the stage that is watched.
        let reached: Vec<(&str, Seen)> = self
            .reached()
            .map(|region| (region, seen.get(region).copied().unwrap_or_default()))
            .collect();
        if let Some(reason) = reached
            .iter()
            .find_map(|(region, seen)| self.policy.gates.trip(region, seen))
        {
            self.state = State::RolledBack {
                reason: reason.clone(),
            };
            return Some(Step::RollBack { reason });
        }
        let waiting = reached
            .iter()
            .find(|(_, seen)| seen.serving + seen.refused < seen.connected)
            .map(|(region, _)| (*region).to_owned());
        if let Some(region) = waiting {
            let waited_ms = now_ms.saturating_sub(since_ms);
            if served_ms.is_none() && waited_ms > self.policy.answer_timeout_ms {
                let reason = Trip::NoAnswer { region, waited_ms };
                self.state = State::RolledBack {
                    reason: reason.clone(),
                };
                return Some(Step::RollBack { reason });
            }
            served_ms?;
        }
        let Some(served) = served_ms else {
            self.state = State::Running {
                stage,
                since_ms,
                served_ms: Some(now_ms),
            };
            return self.after_bake(stage, now_ms, now_ms);
        };
        self.after_bake(stage, served, now_ms)
    }

    fn after_bake(&mut self, stage: usize, served_ms: u64, now_ms: u64) -> Option<Step> {
        let watched = !self.emergency || stage == 0;
        let bake_ms = if self.emergency {
            self.policy.emergency_bake_ms.min(self.policy.bake_ms)
        } else {
            self.policy.bake_ms
        };
        if watched && now_ms.saturating_sub(served_ms) < bake_ms {
            return None;
        }
        let next = stage + 1;
        if next < self.stages.len() {
            self.state = State::Running {
                stage: next,
                since_ms: now_ms,
                served_ms: None,
            };
            Some(Step::Advance { stage: next })
        } else {
            self.state = State::Done;
            Some(Step::Finish)
        }
    }

    /// A person stops it.
    ///
    /// # Errors
    /// When it is over.
    pub fn halt(&mut self) -> Result<(), Over> {
        let State::Running { stage, .. } = self.state else {
            return Err(Over);
        };
        self.state = State::Halted { stage };
        Ok(())
    }
}

/// The rollout is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rollout is over: `weir rollback` goes back to an older version")]
pub struct Over;

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(requests: u64, errors: u64, cpu_us: u64) -> Sums {
        Sums {
            requests,
            errors,
            blocked: 0,
            cpu_ns: requests * cpu_us * 1000,
        }
    }

    fn regions() -> Vec<String> {
        ["ap", "eu", "us"].map(str::to_owned).to_vec()
    }

    fn all(seen: Seen) -> BTreeMap<String, Seen> {
        regions().into_iter().map(|region| (region, seen)).collect()
    }

    const SERVED: Seen = Seen {
        connected: 2,
        serving: 2,
        refused: 0,
        before: Sums {
            requests: 6000,
            errors: 6,
            blocked: 0,
            cpu_ns: 6000 * 20_000,
        },
        after: Sums {
            requests: 0,
            errors: 0,
            blocked: 0,
            cpu_ns: 0,
        },
    };

    fn rollout() -> Rollout {
        Rollout::begin(7, 6, &regions(), Policy::default(), false, 0)
    }

    #[test]
    fn a_good_version_reaches_every_region_after_its_bakes() {
        let mut rollout = rollout();
        let good = Seen {
            after: sums(1000, 1, 20),
            ..SERVED
        };
        let mut steps = Vec::new();
        for now_ms in (0..60_000).step_by(500) {
            if let Some(step) = rollout.step(now_ms, &all(good)) {
                steps.push((now_ms, step));
            }
        }
        let bake = Policy::default().bake_ms;
        assert_eq!(
            steps,
            [(bake, Step::Advance { stage: 1 }), (2 * bake + 500, Step::Finish)]
        );
        assert_eq!(rollout.state, State::Done);
    }

    #[test]
    fn harm_is_taken_back_and_stays_in_its_stage() {
        for bad in [sums(600, 60, 20), sums(600, 0, 60)] {
            let mut rollout = rollout();
            assert_eq!(rollout.step(0, &all(Seen { serving: 1, ..SERVED })), None);
            assert_eq!(rollout.step(1000, &all(SERVED)), None);
            let step = rollout.step(2000, &all(Seen { after: bad, ..SERVED }));
            assert!(matches!(step, Some(Step::RollBack { .. })), "{step:?}");
            assert_eq!(rollout.reached().count(), 0);
            assert_eq!(rollout.step(3000, &all(SERVED)), None);
        }
    }

    #[test]
    fn a_refusal_and_a_silence_are_taken_back() {
        let mut refused = rollout();
        let seen = Seen {
            serving: 1,
            refused: 1,
            ..SERVED
        };
        assert!(matches!(
            refused.step(10, &all(seen)),
            Some(Step::RollBack {
                reason: Trip::Refused { .. }
            })
        ));
        let mut silent = rollout();
        let seen = Seen { serving: 1, ..SERVED };
        let timeout = Policy::default().answer_timeout_ms;
        assert_eq!(silent.step(timeout, &all(seen)), None);
        assert!(matches!(
            silent.step(timeout + 1, &all(seen)),
            Some(Step::RollBack {
                reason: Trip::NoAnswer { .. }
            })
        ));
    }

    #[test]
    fn an_emergency_watches_the_first_stage_only() {
        let policy = Policy {
            stages: vec![vec!["eu".to_owned()], vec!["us".to_owned()]],
            ..Policy::default()
        };
        let mut rollout = Rollout::begin(7, 6, &regions(), policy.clone(), true, 0);
        assert_eq!(rollout.step(0, &all(SERVED)), None);
        let step = rollout.step(policy.emergency_bake_ms, &all(SERVED));
        assert_eq!(step, Some(Step::Advance { stage: 1 }));
        assert!(rollout.has_reached("ap") && rollout.has_reached("us"));
        assert_eq!(
            rollout.step(policy.emergency_bake_ms + 1, &all(SERVED)),
            Some(Step::Finish)
        );
    }

    #[test]
    fn regions_without_proxies_hold_nothing_up() {
        let mut rollout = rollout();
        assert_eq!(rollout.step(0, &BTreeMap::new()), None);
        let bake = Policy::default().bake_ms;
        assert_eq!(
            rollout.step(bake, &BTreeMap::new()),
            Some(Step::Advance { stage: 1 })
        );
    }

    #[test]
    fn a_region_that_came_later_gets_the_version_with_the_last_stage() {
        let mut rollout = rollout();
        assert!(rollout.has_reached("ap") && !rollout.has_reached("sa"));
        rollout.step(0, &all(SERVED));
        rollout.step(Policy::default().bake_ms, &all(SERVED));
        assert!(rollout.has_reached("us") && rollout.has_reached("sa"));
        rollout.halt().unwrap();
        assert_eq!(rollout.halt(), Err(Over));
    }
}
