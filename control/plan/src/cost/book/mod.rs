//! Price books: checked documents, and their versions, of which each day has one.

mod raw;
mod versions;

use std::collections::BTreeMap;

use weir_schema::config::raw::List;
use weir_schema::config::{self, ConfigError, Findings};
use weir_schema::ids::{RegionId, TierId};

use super::calendar::Day;
use super::meter::Meter;
use super::money::Money;

pub use raw::{RawBook, RawIncluded, RawOperation, RawPrices, RawRegionPrices, RawTierPrice, ShareKey};
pub use versions::{BookError, PriceBooks};

/// A price book that passed its check. It is never changed: other prices are another book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceBook {
    /// Name of this version.
    pub id: String,
    /// ISO 4217 code.
    pub currency: String,
    /// First day on which it holds.
    pub valid_from: Day,
    prices: Prices,
    regions: BTreeMap<RegionId, Region>,
    tiers: BTreeMap<TierId, TierPrice>,
    /// What running the proxies costs; `None` when the document does not say.
    pub operation: Option<Operation>,
}

/// A commented price book that passes the check.
pub const fn example() -> &'static str {
    include_str!("example.yaml")
}

/// A price per meter, in the order of [`Meter::ALL`].
type Prices = [Money; Meter::ALL.len()];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Region {
    prices: Prices,
    node_hour: Option<Money>,
}

/// A tier's fee and what it includes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierPrice {
    /// Fee of a month.
    pub month: Money,
    /// Included quantities of a month in base units, in the order of [`Meter::ALL`].
    pub included: [u64; Meter::ALL.len()],
}

/// What running the proxies costs the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    node_hour: Money,
    /// What is there without any traffic, a month.
    pub overhead_month: Money,
    /// How tenants share idle nodes and overhead.
    pub shared_by: ShareKey,
}

impl PriceBook {
    /// Reads and checks a document, YAML or JSON. Pure.
    ///
    /// # Errors
    /// All faults in the order of the document, with lines; unknown keys are faults.
    pub fn read(text: &str) -> Result<Self, Vec<ConfigError>> {
        config::read(text, check)
    }

    /// The price of a meter in a region, per [`Meter::per`] base units.
    pub fn price(&self, region: &RegionId, meter: Meter) -> Money {
        let prices = self
            .regions
            .get(region)
            .map_or(&self.prices, |region| &region.prices);
        prices.get(meter.place()).copied().unwrap_or_default()
    }

    /// The price of a tier.
    pub fn tier(&self, tier: &TierId) -> Option<&TierPrice> {
        self.tiers.get(tier)
    }

    /// What an hour of one node costs in a region; `None` when the document says nothing about operation.
    pub fn node_hour(&self, region: &RegionId) -> Option<Money> {
        let own = self.regions.get(region).and_then(|region| region.node_hour);
        own.or_else(|| Some(self.operation.as_ref()?.node_hour))
    }
}

fn check(raw: &RawBook, findings: &mut Findings) -> Option<PriceBook> {
    let named = TierId::new(&raw.id);
    if named.is_none() {
        id_fault("/id", &raw.id, findings);
    }
    if !raw.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let message = format!("`{}` is not a currency", raw.currency);
        findings.add(
            "/currency",
            "invalid_currency",
            message,
            "an ISO 4217 code such as USD",
        );
    }
    let valid_from = Day::parse(&raw.valid_from);
    if valid_from.is_none() {
        let message = format!("`{}` is not a date", shown(&raw.valid_from));
        findings.add(
            "/valid_from",
            "invalid_date",
            message,
            "a date YYYY-MM-DD such as 2026-11-01",
        );
    }
    let prices = prices(&raw.prices, findings);
    let regions = regions(raw, prices, findings);
    let tiers = tiers(&raw.tiers, findings);
    let operation = raw.operation.as_ref().map(|raw| Operation {
        node_hour: money(&raw.node_hour, "/operation/node_hour", findings),
        overhead_month: money(&raw.overhead_month, "/operation/overhead_month", findings),
        shared_by: raw.shared_by,
    });
    Some(PriceBook {
        id: raw.id.clone(),
        currency: raw.currency.clone(),
        valid_from: valid_from?,
        prices,
        regions,
        tiers,
        operation,
    })
}

fn prices(raw: &RawPrices, findings: &mut Findings) -> Prices {
    Meter::ALL.map(|meter| {
        let (key, text) = match meter {
            Meter::BytesIn => ("gb_in", &raw.gb_in),
            Meter::BytesOut => ("gb_out", &raw.gb_out),
            Meter::Connections => ("connection_hour", &raw.connection_hour),
            Meter::Cpu => ("cpu_second", &raw.cpu_second),
            Meter::Requests => ("requests_million", &raw.requests_million),
            Meter::WafCpu => ("waf_cpu_second", &raw.waf_cpu_second),
        };
        money(text, &format!("/prices/{key}"), findings)
    })
}

fn regions(raw: &RawBook, base: Prices, findings: &mut Findings) -> BTreeMap<RegionId, Region> {
    let mut regions = BTreeMap::new();
    for (place, one) in raw.regions.iter() {
        let at = format!("/regions/{place}");
        let mut own = |key: &str, text: &Option<String>| {
            text.as_ref()
                .map(|text| money(text, &format!("{at}/{key}"), findings))
        };
        let mut prices = base;
        for (meter, key, text) in [
            (Meter::BytesIn, "gb_in", &one.gb_in),
            (Meter::BytesOut, "gb_out", &one.gb_out),
            (Meter::Connections, "connection_hour", &one.connection_hour),
            (Meter::Cpu, "cpu_second", &one.cpu_second),
            (Meter::Requests, "requests_million", &one.requests_million),
            (Meter::WafCpu, "waf_cpu_second", &one.waf_cpu_second),
        ] {
            if let (Some(price), Some(kept)) = (own(key, text), prices.get_mut(meter.place())) {
                *kept = price;
            }
        }
        let node_hour = own("node_hour", &one.node_hour);
        if one.node_hour.is_some() && raw.operation.is_none() {
            let message = "a node's cost needs `operation`, which says how tenants share it";
            findings.add(
                &format!("{at}/node_hour"),
                "conflict",
                message,
                "add `operation`, or leave this key out",
            );
        }
        let region = Region { prices, node_hour };
        keep(
            &mut regions,
            RegionId::new(&one.id),
            region,
            (&at, &one.id),
            findings,
        );
    }
    regions
}

fn tiers(raw: &List<RawTierPrice>, findings: &mut Findings) -> BTreeMap<TierId, TierPrice> {
    let mut tiers = BTreeMap::new();
    for (place, one) in raw.iter() {
        let at = format!("/tiers/{place}");
        let included = Meter::ALL.map(|meter| match meter {
            Meter::BytesIn => one.included.gb_in * meter.per(),
            Meter::BytesOut => one.included.gb_out * meter.per(),
            Meter::Connections => one.included.connection_hours * meter.per(),
            Meter::Cpu => one.included.cpu_seconds * meter.per(),
            Meter::Requests => one.included.requests,
            Meter::WafCpu => one.included.waf_cpu_seconds * meter.per(),
        });
        let month = money(&one.month, &format!("{at}/month"), findings);
        let price = TierPrice { month, included };
        keep(&mut tiers, TierId::new(&one.id), price, (&at, &one.id), findings);
    }
    tiers
}

/// Keeps an item by its id, unless that is none or taken.
fn keep<Id: Ord, Item>(
    items: &mut BTreeMap<Id, Item>,
    id: Option<Id>,
    item: Item,
    (at, text): (&str, &str),
    findings: &mut Findings,
) {
    let place = format!("{at}/id");
    let Some(id) = id else {
        return id_fault(&place, text, findings);
    };
    if items.insert(id, item).is_some() {
        findings.add(
            &place,
            "duplicate_id",
            format!("`{text}` is there twice"),
            "each id once",
        );
    }
}

fn id_fault(at: &str, text: &str, findings: &mut Findings) {
    let message = format!("`{}` is not an id", shown(text));
    let hint = "1 to 63 of a-z A-Z 0-9 . _ -, a letter or digit first";
    findings.add(at, "invalid_id", message, hint);
}

fn money(text: &str, at: &str, findings: &mut Findings) -> Money {
    Money::parse(text).unwrap_or_else(|| {
        let message = format!("`{}` is not a price", shown(text));
        let hint = "a decimal in quotes such as \"0.60\", 0 to 100000, at most 9 digits behind the point";
        findings.add(at, "invalid_price", message, hint);
        Money::ZERO
    })
}

/// The beginning of a text, for a message.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
