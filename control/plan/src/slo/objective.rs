//! What a tenant was promised: by tier, unless its own contract says otherwise.

use thiserror::Error;

use super::window::BUDGET_DAYS;

/// Number of [`Kind`]s.
pub const KINDS: usize = 2;

/// Parts in a whole: targets are in millionths.
pub const MILLION: u64 = 1_000_000;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Requests are answered.
    Availability,
    /// Requests are answered in time.
    Latency,
}

impl Kind {
    /// All of them; the place here is the index in [`super::Counts::bad`].
    pub const ALL: [Self; KINDS] = [Self::Availability, Self::Latency];

    /// Value of the label `objective`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Latency => "latency",
        }
    }

    /// The place of this kind in arrays.
    pub const fn index(self) -> usize {
        match self {
            Self::Availability => 0,
            Self::Latency => 1,
        }
    }
}

/// A share of events that must be good, kept as the share that may be bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    bad_ppm: u32,
}

/// Why a target is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TargetError {
    /// It leaves no budget, or leaves all.
    #[error("a target lies between 0 and 100 percent, both excluded: {good_ppm} millionths were given")]
    Bounds {
        /// The share of good events that was asked for.
        good_ppm: u32,
    },
}

impl TargetError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Bounds { .. } => "slo_target_bounds",
        }
    }
}

impl Target {
    /// Of the share of events that must be good, in millionths: 999,000 is 99.9 %. One that allows nothing or everything is refused.
    pub const fn good_ppm(good_ppm: u32) -> Result<Self, TargetError> {
        if good_ppm == 0 || good_ppm as u64 >= MILLION {
            return Err(TargetError::Bounds { good_ppm });
        }
        Ok(Self {
            bad_ppm: 1_000_000 - good_ppm,
        })
    }

    /// The error budget: how many of a million events may be bad.
    pub const fn bad_ppm(self) -> u64 {
        self.bad_ppm as u64
    }

    /// How long a full outage may last in the period of the budget, in ms: 43.2 min at 99.9 %.
    pub const fn outage_ms(self) -> u64 {
        BUDGET_DAYS * 86_400 * self.bad_ppm() / 1000
    }

    /// As a percentage: `99.95`.
    pub fn percent(self) -> String {
        let good = MILLION - self.bad_ppm();
        let text = format!("{}.{:04}", good / 10_000, good % 10_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// What a tenant pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// $29 a month.
    Starter,
    /// $299 a month.
    Professional,
    /// $2,999 a month.
    Enterprise,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Starter, Self::Professional, Self::Enterprise];

    /// Value of the label `tier`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enterprise => "enterprise",
            Self::Professional => "professional",
            Self::Starter => "starter",
        }
    }

    /// What is promised without a word in the contract: 99.9 %, 99.95 % or 99.99 % of requests, and as many of them in time.
    pub const fn objectives(self) -> Objectives {
        let (bad_ppm, latency_ms) = match self {
            Self::Starter => (1000, 1000),
            Self::Professional => (500, 500),
            Self::Enterprise => (100, 250),
        };
        Objectives {
            availability: Target { bad_ppm },
            latency: Target { bad_ppm },
            latency_ms,
        }
    }
}

/// All that is promised to one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objectives {
    /// Requests that are answered.
    pub availability: Target,
    /// Requests that are answered within `latency_ms`.
    pub latency: Target,
    /// The time of [`Self::latency`].
    pub latency_ms: u32,
}

impl Objectives {
    /// One of the targets.
    pub const fn target(&self, kind: Kind) -> Target {
        match kind {
            Kind::Availability => self.availability,
            Kind::Latency => self.latency,
        }
    }

    /// With what a tenant's contract says in the place of what its tier says.
    pub fn with(self, own: &Override) -> Self {
        Self {
            availability: own.availability.unwrap_or(self.availability),
            latency: own.latency.unwrap_or(self.latency),
            latency_ms: own.latency_ms.unwrap_or(self.latency_ms),
        }
    }
}

/// What a tenant's contract says about its objectives; what it does not say is as in its tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Instead of the tier's.
    pub availability: Option<Target>,
    /// Instead of the tier's.
    pub latency: Option<Target>,
    /// Instead of the tier's.
    pub latency_ms: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_allow_43_and_21_and_4_minutes_of_outage_in_30_days() {
        let minutes = Tier::ALL.map(|tier| tier.objectives().availability.outage_ms() as f64 / 60_000.0);
        assert_eq!(minutes, [43.2, 21.6, 4.32]);
        let percents = Tier::ALL.map(|tier| tier.objectives().latency.percent());
        assert_eq!(percents, ["99.9", "99.95", "99.99"]);
    }

    #[test]
    fn a_contract_changes_only_what_it_names() {
        let own = Override {
            latency: Some(Target::good_ppm(950_000).unwrap()),
            ..Override::default()
        };
        let objectives = Tier::Starter.objectives().with(&own);
        assert_eq!(objectives.latency.percent(), "95");
        assert_eq!(objectives.availability, Tier::Starter.objectives().availability);
        assert_eq!(objectives.latency_ms, 1000);
    }

    #[test]
    fn a_target_of_nothing_or_everything_is_refused() {
        for good_ppm in [0, 1_000_000, u32::MAX] {
            assert_eq!(Target::good_ppm(good_ppm), Err(TargetError::Bounds { good_ppm }));
        }
        assert_eq!(Target::good_ppm(999_999).unwrap().bad_ppm(), 1);
    }
}
