//! What a token may do, and to what.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token may do; each role may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    Read,
    /// Change what is in its scope.
    Operate,
    /// Make tokens, prices and tiers.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Admin];

    /// The name that is kept and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// Some names, or every one. As JSON a list; `["*"]` is every one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeSet<String>", into = "BTreeSet<String>")]
pub enum Names {
    /// Every one.
    All,
    /// These only.
    Only(BTreeSet<String>),
}

impl Names {
    /// Whether a name is among them.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }
}

impl From<BTreeSet<String>> for Names {
    fn from(names: BTreeSet<String>) -> Self {
        if names.contains("*") {
            Self::All
        } else {
            Self::Only(names)
        }
    }
}

impl From<Names> for BTreeSet<String> {
    fn from(names: Names) -> Self {
        match names {
            Names::All => Self::from(["*".to_owned()]),
            Names::Only(names) => names,
        }
    }
}

/// To what a token's role extends. The lists are apart: what belongs to a tenant asks for the tenant, what belongs to a
/// region for the region, and what belongs to all asks for all of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Tenants.
    pub tenants: Names,
    /// Regions.
    pub regions: Names,
}

impl Scope {
    /// Everything.
    pub const ALL: Self = Self {
        tenants: Names::All,
        regions: Names::All,
    };

    /// Whether it is everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::ALL
    }
}
