//! Counts of events: how many there were, and how many of them each objective calls bad.

use super::objective::KINDS;

/// Events of some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub events: u64,
    /// The bad ones, by [`super::Kind`].
    pub bad: [u64; KINDS],
}

impl Counts {
    /// The sum; a count beyond `u64` stays at its end.
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// The difference; never below 0.
    pub fn minus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_sub)
    }

    /// Whether nothing happened.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Each count with its counterpart.
    pub(super) fn zip(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        let mut bad = self.bad;
        for (mine, theirs) in bad.iter_mut().zip(other.bad) {
            *mine = join(*mine, theirs);
        }
        Self {
            events: join(self.events, other.events),
            bad,
        }
    }
}
