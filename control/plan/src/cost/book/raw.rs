//! The price book as a person writes it.

use schemars::JsonSchema;
use serde::Deserialize;
use weir_schema::config::raw::List;

/// One version of the prices. Prices are decimals in quotes with at most 9 digits behind the point.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Weir price book")]
pub struct RawBook {
    /// Version of this format; always 1.
    #[schemars(range(min = 1, max = 1))]
    #[allow(dead_code)]
    pub version: u32,
    /// Name of this version of the prices, never used again for others.
    pub id: String,
    /// ISO 4217 code of the currency of all amounts.
    #[schemars(length(min = 3, max = 3))]
    pub currency: String,
    /// First day on which it holds, `YYYY-MM-DD` in UTC.
    pub valid_from: String,
    /// Prices of usage, in regions that set no own.
    pub prices: RawPrices,
    /// What differs in regions.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub regions: List<RawRegionPrices>,
    /// Fees of tiers and what they include.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub tiers: List<RawTierPrice>,
    /// What running the proxies costs; without this key there is no view of idle and overhead cost.
    pub operation: Option<RawOperation>,
}

/// Prices of usage.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPrices {
    /// A million requests.
    pub requests_million: String,
    /// A second of CPU outside the WAF.
    pub cpu_second: String,
    /// A second of CPU in the WAF.
    pub waf_cpu_second: String,
    /// 10^9 bytes from clients.
    pub gb_in: String,
    /// 10^9 bytes to clients.
    pub gb_out: String,
    /// An hour of one open connection.
    pub connection_hour: String,
}

/// What differs in a region.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRegionPrices {
    /// The region.
    pub id: String,
    /// A million requests.
    pub requests_million: Option<String>,
    /// A second of CPU outside the WAF.
    pub cpu_second: Option<String>,
    /// A second of CPU in the WAF.
    pub waf_cpu_second: Option<String>,
    /// 10^9 bytes from clients.
    pub gb_in: Option<String>,
    /// 10^9 bytes to clients.
    pub gb_out: Option<String>,
    /// An hour of one open connection.
    pub connection_hour: Option<String>,
    /// What an hour of one node costs here.
    pub node_hour: Option<String>,
}

/// A tier's fee and what it includes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTierPrice {
    /// The tier.
    pub id: String,
    /// Fee of a month; of a part of it by days.
    pub month: String,
    /// Usage of a month that the fee includes, over all regions.
    #[serde(default)]
    pub included: RawIncluded,
}

/// Usage of a month that a fee includes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawIncluded {
    /// Requests.
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_u64))]
    pub requests: u64,
    /// Seconds of CPU outside the WAF.
    #[schemars(range(min = 0, max = 1_000_000_000_u64))]
    pub cpu_seconds: u64,
    /// Seconds of CPU in the WAF.
    #[schemars(range(min = 0, max = 1_000_000_000_u64))]
    pub waf_cpu_seconds: u64,
    /// 10^9 bytes from clients.
    #[schemars(range(min = 0, max = 1_000_000_000_u64))]
    pub gb_in: u64,
    /// 10^9 bytes to clients.
    #[schemars(range(min = 0, max = 1_000_000_000_u64))]
    pub gb_out: u64,
    /// Hours of one open connection.
    #[schemars(range(min = 0, max = 1_000_000_000_u64))]
    pub connection_hours: u64,
}

/// What running the proxies costs the operator.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOperation {
    /// An hour of one node, in regions that set no own.
    pub node_hour: String,
    /// What is there without any traffic, a month: control, monitoring, support.
    pub overhead_month: String,
    /// How tenants share idle nodes and overhead.
    pub shared_by: ShareKey,
}

/// How tenants share what none of them used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShareKey {
    /// In proportion to their CPU.
    Cpu,
    /// The same for each.
    Equal,
    /// In proportion to their requests.
    Requests,
}
