//! How versions are rolled out.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Gates;

/// Most stages.
const STAGES_MAX: usize = 32;
/// Longest watch of a stage: a day.
const BAKE_MS_MAX: u64 = 86_400_000;

/// How versions are rolled out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Regions, stage by stage; regions that no stage names follow in one more. Without stages the first region in the order
    /// of their names comes first, then all others.
    pub stages: Vec<Vec<String>>,
    /// How long a stage is watched once all its proxies serve the version, milliseconds.
    pub bake_ms: u64,
    /// The same for the first stage of an emergency; others are not watched.
    pub emergency_bake_ms: u64,
    /// How long a connected proxy may take to serve or refuse a version, milliseconds.
    pub answer_timeout_ms: u64,
    /// Changes of tenants alone go to all regions at once: they concern nobody else.
    pub tenants_at_once: bool,
    /// What is harm.
    pub gates: Gates,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            stages: Vec::new(),
            bake_ms: 10_000,
            emergency_bake_ms: 2_000,
            answer_timeout_ms: 30_000,
            tenants_at_once: true,
            gates: Gates::default(),
        }
    }
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A time that is too long.
    #[error("`{0}` is at most {BAKE_MS_MAX}")]
    Bake(&'static str),
    /// A region twice.
    #[error("`stages` names the region `{0}` twice")]
    Twice(String),
    /// Too many.
    #[error("`stages` has at most {STAGES_MAX} stages, each with a region")]
    Stages,
}

impl Policy {
    /// Checks it.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn check(&self) -> Result<(), Vec<PolicyError>> {
        let mut errors = Vec::new();
        for (name, value) in [
            ("bake_ms", self.bake_ms),
            ("emergency_bake_ms", self.emergency_bake_ms),
            ("answer_timeout_ms", self.answer_timeout_ms),
        ] {
            if value > BAKE_MS_MAX {
                errors.push(PolicyError::Bake(name));
            }
        }
        if self.stages.len() > STAGES_MAX || self.stages.iter().any(Vec::is_empty) {
            errors.push(PolicyError::Stages);
        }
        let mut seen = BTreeSet::new();
        let named = self.stages.iter().flatten();
        errors.extend(
            named
                .filter(|region| !seen.insert(region.as_str()))
                .map(|region| PolicyError::Twice(region.clone())),
        );
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// The stages for these regions; at least one, which may be empty.
    pub(super) fn stages(&self, regions: &[String]) -> Vec<Vec<String>> {
        let mut stages = self.stages.clone();
        let named: BTreeSet<&String> = self.stages.iter().flatten().collect();
        let known: BTreeSet<&String> = regions.iter().collect();
        let mut rest: Vec<String> = known.difference(&named).map(|region| (*region).clone()).collect();
        if stages.is_empty() && rest.len() > 1 {
            let others = rest.split_off(1);
            stages.extend([rest, others]);
        } else if !rest.is_empty() || stages.is_empty() {
            stages.push(rest);
        }
        stages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_is_in_one_stage() {
        let regions = ["eu", "ap", "us"].map(str::to_owned);
        let stages = |stages: &[&[&str]]| {
            let stages = stages
                .iter()
                .map(|stage| stage.iter().map(|one| (*one).to_owned()).collect())
                .collect();
            let policy = Policy {
                stages,
                ..Policy::default()
            };
            policy.check().unwrap();
            policy.stages(&regions)
        };
        assert_eq!(stages(&[]), [vec!["ap"], vec!["eu", "us"]]);
        assert_eq!(stages(&[&["us"]]), [vec!["us"], vec!["ap", "eu"]]);
        assert_eq!(stages(&[&["us"], &["eu", "ap"]]), [vec!["us"], vec!["eu", "ap"]]);
        assert_eq!(Policy::default().stages(&[]), [Vec::<String>::new()]);
        assert_eq!(Policy::default().stages(&regions[..1]), [vec!["eu"]]);
    }

    #[test]
    fn a_policy_that_cannot_be_is_refused() {
        let policy = Policy {
            stages: vec![vec!["eu".to_owned()], vec!["eu".to_owned()], Vec::new()],
            bake_ms: BAKE_MS_MAX + 1,
            ..Policy::default()
        };
        assert_eq!(
            policy.check(),
            Err(vec![
                PolicyError::Bake("bake_ms"),
                PolicyError::Stages,
                PolicyError::Twice("eu".to_owned())
            ])
        );
    }
}
