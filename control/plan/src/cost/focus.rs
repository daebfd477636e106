//! Export of charges as FOCUS 1.2 (FinOps Open Cost and Usage Specification), CSV after RFC 4180.
//!
//! One row per day and tier fee, and one per day, region, route and meter. The tenant is the billing account, since it is
//! whom an invoice is for. `BilledCost` and `EffectiveCost` are the charges, whole nano-units that sum to the invoice;
//! `ListCost` and `ContractedCost` are the unrounded product of price and quantity, to 18 digits. Prices are list prices:
//! there are no discounts, and no currency other than that of the bill. A fee is usage of the tier for a day, not a
//! purchase: it is spent on that day, while the effective cost of a purchase would be 0.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use weir_schema::ids::{RegionId, TenantId};

use super::charge::{ChargeLine, DayCharges};
use super::invoice::invoice_id;
use super::meter::Meter;
use super::money::{Grains, Money, NANOS, decimal};

/// What the rows say about who sells.
#[derive(Clone, Debug)]
pub struct Seller {
    /// `ProviderName`, `PublisherName` and `InvoiceIssuerName`.
    pub name: String,
    /// Display names of regions; a region without one is called by its id.
    pub regions: BTreeMap<RegionId, String>,
}

/// Who pays: the billing account.
#[derive(Clone, Debug)]
pub struct Payer {
    /// `BillingAccountId`.
    pub tenant: TenantId,
    /// `BillingAccountName`.
    pub name: String,
    /// ISO 4217 code.
    pub currency: String,
}

/// Column names in the order of the specification, which is by name.
pub const COLUMNS: [&str; 41] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountStatus",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "Tags",
];

/// Writes the line of column names.
pub fn header(out: &mut String) {
    out.push_str(&COLUMNS.join(","));
    out.push_str("\r\n");
}

/// Writes the rows of a tenant's day.
pub fn rows(seller: &Seller, payer: &Payer, charges: &DayCharges, out: &mut String) {
    let day = Day {
        seller,
        payer,
        charges,
    };
    if let Some(charge) = Charge::fee(charges) {
        day.row(&charge, out);
    }
    for line in &charges.lines {
        day.row(&Charge::usage(line, charges), out);
    }
}

/// What all rows of a day share.
struct Day<'a> {
    seller: &'a Seller,
    payer: &'a Payer,
    charges: &'a DayCharges,
}

/// What is of one row.
struct Charge<'a> {
    frequency: &'static str,
    description: String,
    billed: Money,
    /// 10^-18 units of currency.
    list_attos: i128,
    price: Money,
    /// 10^-18 pricing units.
    priced_attos: i128,
    unit: &'static str,
    consumed: (u64, &'static str),
    region: Option<&'a RegionId>,
    sku: String,
    sku_meter: &'static str,
    sku_price: String,
    route: Option<&'a str>,
}

impl<'a> Charge<'a> {
    fn fee(charges: &'a DayCharges) -> Option<Self> {
        let tier = charges.tier.as_ref()?;
        let days = i128::from(charges.day.month().days());
        Some(Self {
            frequency: "Recurring",
            description: format!("Tier {tier}: one day of {days}"),
            billed: charges.fee,
            list_attos: charges.month_fee.as_nanos().saturating_mul(NANOS) / days,
            price: charges.month_fee,
            priced_attos: ATTOS / days,
            unit: "Months",
            consumed: (1, "Days"),
            region: None,
            sku: format!("weir.tier.{tier}"),
            sku_meter: "Subscription",
            sku_price: format!("{}/tier/{tier}", charges.book),
            route: None,
        })
    }

    fn usage(line: &'a ChargeLine, charges: &DayCharges) -> Self {
        let (meter, region) = (line.meter, &line.cell.region);
        let per = i128::from(meter.per());
        Self {
            frequency: "Usage-Based",
            description: format!("{} in {region}", meter.title()),
            billed: line.amount,
            list_attos: Grains::of(line.price, line.charged(), meter.per()).attos(),
            price: line.price,
            priced_attos: i128::from(line.charged()).saturating_mul(ATTOS) / per,
            unit: meter.price_unit(),
            consumed: (line.quantity, consumed_unit(meter)),
            region: Some(region),
            sku: format!("weir.{}", meter.as_str()),
            sku_meter: meter.title(),
            sku_price: format!("{}/{}/{region}", charges.book, meter.as_str()),
            route: line.cell.route.as_ref().map(|route| route.as_str()),
        }
    }
}

/// 10^-18 units in a unit.
const ATTOS: i128 = NANOS * NANOS;

/// The unit of a meter's raw quantity, in the format for units of the specification.
const fn consumed_unit(meter: Meter) -> &'static str {
    match meter {
        Meter::BytesIn | Meter::BytesOut => "B",
        Meter::Connections => "Milliseconds",
        Meter::Cpu | Meter::WafCpu => "Nanoseconds",
        Meter::Requests => "Requests",
    }
}

impl Day<'_> {
    /// A row; values stand in the order of [`COLUMNS`], an empty one is null.
    fn row(&self, charge: &Charge<'_>, out: &mut String) {
        let (day, month) = (self.charges.day, self.charges.day.month());
        let price = pointed(charge.price.decimal());
        let (billed, list) = (
            pointed(charge.billed.decimal()),
            pointed(decimal(charge.list_attos, 18)),
        );
        let region = charge.region.map(RegionId::as_str).unwrap_or_default();
        let named = charge.region.and_then(|region| self.seller.regions.get(region));
        let (consumed, consumed_unit) = charge.consumed;
        let details = format!("{{\"x_price_book\":\"{}\"}}", self.charges.book);
        let route = charge
            .route
            .map(|route| format!("{{\"weir/route\":\"{route}\"}}"));
        let values: [&str; COLUMNS.len()] = [
            &billed,
            self.payer.tenant.as_str(),
            &self.payer.name,
            &self.payer.currency,
            &month.end().start_text(),
            &month.first().start_text(),
            "Usage",
            "",
            &charge.description,
            charge.frequency,
            &day.next().start_text(),
            &day.start_text(),
            "",
            &pointed(consumed.to_string()),
            consumed_unit,
            &list,
            &price,
            &billed,
            &invoice_id(&self.payer.tenant, month),
            &self.seller.name,
            &list,
            &price,
            "Standard",
            &self.payer.currency,
            &price,
            &billed,
            &price,
            &pointed(decimal(charge.priced_attos, 18)),
            charge.unit,
            &self.seller.name,
            &self.seller.name,
            region,
            named.map_or(region, String::as_str),
            "Networking",
            "Weir Ingress",
            "Application Networking",
            &charge.sku,
            charge.sku_meter,
            &details,
            &charge.sku_price,
            route.as_deref().unwrap_or_default(),
        ];
        for (place, value) in values.into_iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            out.push_str(comma);
            field(value, out);
        }
        out.push_str("\r\n");
    }
}

/// A number that readers who guess types take for a decimal, also where no row has a fraction.
fn pointed(mut number: String) -> String {
    if !number.contains('.') {
        number.push_str(".0");
    }
    number
}

/// A field, quoted where RFC 4180 section 2 asks for it.
fn field(value: &str, out: &mut String) {
    if value.contains(['"', ',', '\r', '\n']) {
        let _infallible = write!(out, "\"{}\"", value.replace('"', "\"\""));
    } else {
        out.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (value, written) in [
            ("a b", "a b"),
            ("a,b", "\"a,b\""),
            ("{\"a\":1}", "\"{\"\"a\"\":1}\""),
            ("", ""),
        ] {
            let mut out = String::new();
            field(value, &mut out);
            assert_eq!(out, written);
        }
    }

    #[test]
    fn columns_are_in_order_and_once_each() {
        assert!(COLUMNS.is_sorted_by(|a, b| a < b));
    }
}
