//! The life of a tenant: which step leads from where to where.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::problem::{Code, Problem};

/// Where a tenant is in its life; proxies answer for those that are not active (docs: `state` in the configuration).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum State {
    /// Served.
    Active,
    /// Gone, until its grace is over: 410.
    Deleted,
    /// Moving to another region: 307.
    Migrating,
    /// Not ready yet: 503.
    Pending,
    /// Stopped: 403.
    Suspended,
}

/// What may be done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Activate,
    Delete,
    Migrate,
    Restore,
    Resume,
    Suspend,
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
            Self::Migrating => "migrating",
            Self::Pending => "pending",
            Self::Suspended => "suspended",
        }
    }
}

impl Step {
    /// The action of its event.
    pub(super) const fn action(self) -> &'static str {
        match self {
            Self::Activate => "tenant.activate",
            Self::Delete => "tenant.delete",
            Self::Migrate => "tenant.migrate",
            Self::Restore => "tenant.restore",
            Self::Resume => "tenant.resume",
            Self::Suspend => "tenant.suspend",
        }
    }

    /// Where it leads from a state; `before` is the state before a deletion.
    pub(super) fn from(self, state: State, before: State) -> Result<State, Problem> {
        match (self, state) {
            (Self::Activate, State::Pending | State::Migrating) | (Self::Resume, State::Suspended) => {
                Ok(State::Active)
            }
            (Self::Suspend, State::Active) => Ok(State::Suspended),
            (Self::Migrate, State::Active) => Ok(State::Migrating),
            (Self::Delete, State::Active | State::Migrating | State::Pending | State::Suspended) => {
                Ok(State::Deleted)
            }
            (Self::Restore, State::Deleted) => Ok(before),
            _ => {
                let detail = format!(
                    "{} is not possible for a tenant that is {}",
                    self.action(),
                    state.as_str()
                );
                Err(Problem::new(Code::Conflict, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 5] = [
        State::Active,
        State::Deleted,
        State::Migrating,
        State::Pending,
        State::Suspended,
    ];
    const STEPS: [Step; 6] = [
        Step::Activate,
        Step::Delete,
        Step::Migrate,
        Step::Restore,
        Step::Resume,
        Step::Suspend,
    ];

    #[test]
    fn each_step_leads_from_few_states() {
        let from = |step: Step| {
            STATES
                .into_iter()
                .filter(|state| step.from(*state, State::Active).is_ok())
                .count()
        };
        assert_eq!(STEPS.map(from), [2, 4, 1, 1, 1, 1]);
    }

    #[test]
    fn a_deleted_tenant_can_only_be_restored_to_what_it_was() {
        for step in STEPS {
            let to = step.from(State::Deleted, State::Suspended);
            assert_eq!(
                to.ok(),
                (step == Step::Restore).then_some(State::Suspended),
                "{step:?}"
            );
        }
    }
}
