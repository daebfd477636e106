//! The preview of a month's invoice: lines for fees and for usage, which sum to the charges of its days.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_schema::ids::{RegionId, TenantId, TierId};

use super::calendar::{Day, Month};
use super::charge::DayCharges;
use super::meter::Meter;
use super::money::Money;

/// What a tenant will be asked to pay for a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invoice {
    /// `weir-<tenant>-<month>`.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// Of which month.
    pub month: Month,
    /// ISO 4217 code.
    pub currency: String,
    /// Whether days of the month are missing.
    pub provisional: bool,
    /// Fees in order of their days, then usage by meter, region and price.
    pub lines: Vec<InvoiceLine>,
    /// The sum of the lines, exactly; not rounded to cents.
    pub total: Money,
}

/// A line of an invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InvoiceLine {
    /// A tier's fee for a run of days.
    Fee {
        /// The tier.
        tier: TierId,
        /// First day.
        from: Day,
        /// Last day.
        to: Day,
        /// How many days.
        days: u32,
        /// How many days the month has.
        days_of_month: u32,
        /// What it costs.
        amount: Money,
    },
    /// Usage of a meter in a region at one price.
    Usage {
        /// What, for a person.
        title: &'static str,
        /// The meter.
        meter: Meter,
        /// Where.
        region: RegionId,
        /// How much, in base units of the meter.
        quantity: u64,
        /// How much of it the fee includes.
        included: u64,
        /// How much is over that.
        over: u64,
        /// Price per `price_per` base units.
        price: Money,
        /// Base units that the price is for.
        price_per: u64,
        /// What that is called.
        price_unit: &'static str,
        /// What it costs.
        amount: Money,
    },
}

impl InvoiceLine {
    /// What the line costs.
    pub const fn amount(&self) -> Money {
        match self {
            Self::Fee { amount, .. } | Self::Usage { amount, .. } => *amount,
        }
    }
}

/// The id of a tenant's invoice of a month.
pub fn invoice_id(tenant: &TenantId, month: Month) -> String {
    format!("weir-{tenant}-{month}")
}

/// Makes the invoice of a month from the charges of its days, in order; those of other months are not counted.
pub fn preview(tenant: &TenantId, month: Month, currency: &str, charges: &[DayCharges]) -> Invoice {
    let days: Vec<&DayCharges> = charges.iter().filter(|one| one.day.month() == month).collect();
    let mut lines = fees(month, &days);
    lines.extend(usage(&days));
    Invoice {
        id: invoice_id(tenant, month),
        tenant: tenant.clone(),
        month,
        currency: currency.to_owned(),
        provisional: days.len() < month.days() as usize,
        total: lines.iter().map(InvoiceLine::amount).sum(),
        lines,
    }
}

/// Fees of runs of days with the same tier and price book.
fn fees(month: Month, charges: &[&DayCharges]) -> Vec<InvoiceLine> {
    let mut lines: Vec<InvoiceLine> = Vec::new();
    let mut book = "";
    for one in charges {
        let Some(of_day) = &one.tier else { continue };
        if let Some(InvoiceLine::Fee {
            tier,
            to,
            days,
            amount,
            ..
        }) = lines.last_mut()
            && tier == of_day
            && to.next() == one.day
            && book == one.book
        {
            (*to, *days) = (one.day, *days + 1);
            *amount += one.fee;
            continue;
        }
        book = &one.book;
        lines.push(InvoiceLine::Fee {
            tier: of_day.clone(),
            from: one.day,
            to: one.day,
            days: 1,
            days_of_month: month.days(),
            amount: one.fee,
        });
    }
    lines
}

fn usage(charges: &[&DayCharges]) -> Vec<InvoiceLine> {
    let mut sums: BTreeMap<(Meter, &RegionId, Money), (u64, u64, Money)> = BTreeMap::new();
    for line in charges.iter().flat_map(|one| &one.lines) {
        let (quantity, included, amount) = sums
            .entry((line.meter, &line.cell.region, line.price))
            .or_default();
        *quantity = quantity.saturating_add(line.quantity);
        *included = included.saturating_add(line.included);
        *amount += line.amount;
    }
    let lines =
        sums.into_iter().map(
            |((meter, region, price), (quantity, included, amount))| InvoiceLine::Usage {
                title: meter.title(),
                meter,
                region: region.clone(),
                quantity,
                included,
                over: quantity.saturating_sub(included),
                price,
                price_per: meter.per(),
                price_unit: meter.price_unit(),
                amount,
            },
        );
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::book::PriceBook;
    use crate::cost::charge::{Account, Cell, DayUsage};
    use crate::cost::meter::Usage;

    #[test]
    fn an_invoice_has_a_fee_per_tier_and_the_usage_over_what_is_included() {
        let book = PriceBook::read(include_str!("book/example.yaml")).unwrap();
        let (tenant, month) = (TenantId::new("shop").unwrap(), Month::parse("2026-11").unwrap());
        let mut account = Account::new(month);
        let mut charges = Vec::new();
        for day in month.each_day().take(20) {
            let tier = TierId::new(if day.number() <= 6 {
                "starter"
            } else {
                "professional"
            })
            .unwrap();
            let usage = Usage {
                requests: 3_000_000,
                ..Usage::default()
            };
            let cell = Cell {
                region: RegionId::new("eu").unwrap(),
                route: None,
            };
            let usage = DayUsage::from([(cell, usage)]);
            charges.push(account.charge(day, Some(&tier), &usage, &book).unwrap());
        }
        let invoice = preview(&tenant, month, "USD", &charges);
        assert!(invoice.provisional);
        assert_eq!(invoice.total, charges.iter().map(|one| one.total).sum());
        let shown = serde_json::to_value(&invoice).unwrap();
        assert_eq!(shown["id"], "weir-shop-2026-11");
        let fees = [
            (6, 5_800_000_000_i64, "2026-11-01", "2026-11-06"),
            (14, 139_533_333_333, "2026-11-07", "2026-11-20"),
        ];
        for (place, (days, amount, from, to)) in fees.into_iter().enumerate() {
            let line = &shown["lines"][place];
            assert_eq!(
                (&line["days"], &line["from"], &line["to"]),
                (&days.into(), &from.into(), &to.into())
            );
            assert!(line["amount"].as_i64().unwrap().abs_diff(amount) <= 1, "{line}");
        }
        let usage = &shown["lines"][2];
        // Six days used 10 million (then 8 are paid); from the seventh on all is included.
        assert_eq!(
            (&usage["quantity"], &usage["over"]),
            (&60_000_000.into(), &8_000_000.into())
        );
        assert_eq!(
            (&usage["amount"], &usage["price_unit"]),
            (&4_800_000_000_i64.into(), &"1000000 Requests".into())
        );
    }
}
