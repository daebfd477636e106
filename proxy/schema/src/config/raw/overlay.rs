//! What a tenant changes of its rule set.

use schemars::JsonSchema;
use serde::Deserialize;

use super::List;

/// Rules that a tenant does without, or values that they do not look at. Exactly one of `id`, `tag` and `message` says which
/// rules.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExclusion {
    /// A rule by its id.
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub id: Option<u32>,
    /// Last id, for all from `id` up to it; without this key `id` alone.
    #[schemars(range(min = 1, max = 4_294_967_295_u32))]
    pub id_last: Option<u32>,
    /// Rules with a tag that this regular expression finds.
    #[schemars(length(min = 1, max = 1024))]
    pub tag: Option<String>,
    /// Rules with a message that this regular expression finds.
    #[schemars(length(min = 1, max = 1024))]
    pub message: Option<String>,
    /// Values that the rules do not look at, such as `ARGS:password` or `REQUEST_COOKIES:/^_pk_/`; without this key the rules
    /// do not run.
    #[serde(default)]
    #[schemars(length(max = 100), inner(length(min = 1, max = 1024)))]
    pub targets: List<String>,
    /// Why; told with the warning when the exclusion removes nothing.
    #[schemars(length(max = 1024))]
    pub note: Option<String>,
}

/// A TX variable.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTx {
    /// Its name without `tx.`, such as `detection_paranoia_level`.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Its value in every transaction; no rule changes it.
    #[schemars(length(max = 4096))]
    pub value: String,
}
