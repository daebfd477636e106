//! The newest rollout at a glance.

use serde::Serialize;
use serde_json::Value;
use weir_plan::rollout::State;

use super::clip;
use crate::rollouts::Rollouts;

/// Stages that are listed.
const STAGES_MAX: usize = 16;
/// Regions of a stage that are named.
const REGIONS_MAX: usize = 8;

/// The newest rollout.
#[derive(Serialize)]
pub(super) struct RolloutView {
    revision: u64,
    /// What is gone back to.
    base: u64,
    emergency: bool,
    state: &'static str,
    /// The stage that is watched, or was last, from 0.
    stage: Option<usize>,
    /// When that stage was sent, Unix time in milliseconds.
    since_ms: Option<u64>,
    /// When all connected proxies of the stage served it, Unix time in milliseconds.
    served_ms: Option<u64>,
    /// How long a stage is watched, milliseconds.
    bake_ms: u64,
    /// Why it was taken back.
    reason: Option<Value>,
    superseded_by: Option<u64>,
    stages: Vec<Stage>,
    stages_total: usize,
}

#[derive(Serialize)]
struct Stage {
    /// The first few.
    regions: Vec<String>,
    regions_total: usize,
    connected: u64,
    serving: u64,
    refused: u64,
}

impl RolloutView {
    /// Of the newest; none yet.
    pub(super) fn of(rollouts: &Rollouts) -> Option<Self> {
        let rollout = rollouts.current()?;
        let seen = rollouts.seen();
        let stages = rollout.stages.iter().take(STAGES_MAX).map(|regions| {
            let seen = regions.iter().filter_map(|region| seen.get(region));
            let sums = seen.fold([0; 3], |[connected, serving, refused]: [u64; 3], seen| {
                [
                    connected.saturating_add(seen.connected.into()),
                    serving.saturating_add(seen.serving.into()),
                    refused.saturating_add(seen.refused.into()),
                ]
            });
            let [connected, serving, refused] = sums;
            Stage {
                regions: regions.iter().take(REGIONS_MAX).map(|name| clip(name)).collect(),
                regions_total: regions.len(),
                connected,
                serving,
                refused,
            }
        });
        let mut view = Self {
            revision: rollout.revision,
            base: rollout.base,
            emergency: rollout.emergency,
            state: "done",
            stage: None,
            since_ms: None,
            served_ms: None,
            bake_ms: rollout.policy.bake_ms,
            reason: None,
            superseded_by: None,
            stages: stages.collect(),
            stages_total: rollout.stages.len(),
        };
        match rollout.state {
            State::Done => {}
            State::Halted { stage } => (view.state, view.stage) = ("halted", Some(stage)),
            State::RolledBack { reason } => {
                view.state = "rolled_back";
                view.reason = serde_json::to_value(reason).ok();
            }
            State::Running {
                stage,
                since_ms,
                served_ms,
            } => {
                (view.state, view.stage) = ("running", Some(stage));
                (view.since_ms, view.served_ms) = (Some(since_ms), served_ms);
            }
            State::Superseded { by } => (view.state, view.superseded_by) = ("superseded", Some(by)),
        }
        Some(view)
    }
}
