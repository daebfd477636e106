//! The document as a person writes it. These types are the JSON Schema: what a doc comment or attribute here says about a
//! key is what `weir config schema` publishes and what the check enforces.

mod edge;
mod overlay;
mod tenant;
mod upstream;

pub use edge::*;
pub use overlay::*;
pub use tenant::*;
pub use upstream::*;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A list whose items keep their place when faulty ones are left out.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct List<T>(Vec<Option<T>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self(items.into_iter().map(Some).collect())
    }
}

impl<T> List<T> {
    /// The sound items with their places in the document.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(place, item)| Some((place, item.as_ref()?)))
    }

    /// Whether the document has no item here, sound or not.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Configuration of a Weir proxy: listeners, upstream pools and the tenants that it serves.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Weir configuration")]
pub struct RawConfig {
    /// Version of this format; always 1.
    #[schemars(range(min = 1, max = 1))]
    #[allow(dead_code)]
    pub version: u32,
    /// Who this process is. Read at boot only.
    #[serde(default)]
    pub node: RawNode,
    /// The admin endpoint. Read at boot only.
    #[serde(default)]
    pub admin: RawAdmin,
    /// What an error wholly inside one tenant does: `refuse` the document, or `quarantine` that tenant and serve the others.
    #[serde(default)]
    pub tenant_errors: TenantErrors,
    /// Sockets to accept on.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub listeners: List<RawListener>,
    /// What a client may do to a connection.
    #[serde(default)]
    pub client: RawClient,
    /// How the process ends.
    #[serde(default)]
    pub drain: RawDrain,
    /// Whom to believe about client addresses.
    #[serde(default)]
    pub trust: RawTrust,
    /// All regions; without this key there is one, `local`.
    #[schemars(length(max = 1000))]
    pub regions: Option<List<RawRegion>>,
    /// Country and network databases.
    pub geo: Option<RawGeo>,
    /// Limits over all tenants.
    #[serde(default)]
    pub limits: RawGlobalLimits,
    /// Groups of upstream servers.
    #[serde(default)]
    #[schemars(length(max = 100_000))]
    pub pools: List<RawPool>,
    /// What is taken from the WAF of all tenants, for when a rule does harm.
    #[serde(default)]
    pub waf: RawWafSwitches,
    /// Named sets of SecLang files. `baseline` is always there.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub rule_sets: List<RawRuleSet>,
    /// Defaults that tenants refer to.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub tiers: List<RawTier>,
    /// Whom requests belong to.
    #[serde(default)]
    #[schemars(length(max = 100_000))]
    pub tenants: List<RawTenant>,
    /// Logs and metrics.
    #[serde(default)]
    pub observability: RawObservability,
}

/// What an error wholly inside one tenant does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantErrors {
    /// The whole document is refused.
    #[default]
    Refuse,
    /// That tenant is set aside, the others are served.
    Quarantine,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRate {
    /// Requests per window.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: u32,
    /// The window, milliseconds.
    #[serde(default = "RawRate::window_ms")]
    #[schemars(range(min = 10, max = 86_400_000))]
    pub window_ms: u32,
    /// Requests that may come at once; without this key as many as `requests`.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub burst: Option<u32>,
}

impl RawRate {
    const fn window_ms() -> u32 {
        1000
    }
}
