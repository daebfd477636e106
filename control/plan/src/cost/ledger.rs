//! Views of charges: sums by day, month to date, tenant, tier, region, route or meter. All of the same whole nano-units, so
//! that the rows of every view sum to the same total.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_schema::ids::TenantId;

use super::calendar::{Day, Month};
use super::charge::DayCharges;
use super::money::Money;

/// By what a view sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Each day.
    Day,
    /// Each meter; fees are `fee`.
    Meter,
    /// Each region; fees are `fee`.
    Region,
    /// Each route of each tenant as `tenant/route`; usage without a route is `tenant/`, fees are `fee`.
    Route,
    /// Each tenant.
    Tenant,
    /// Each tier; days without one are `none`.
    Tier,
}

/// Sums of charges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct View {
    /// All rows, exactly.
    pub total: Money,
    /// The groups in order of their names.
    pub rows: BTreeMap<String, Money>,
}

/// What a fee is called where usage has a region, route or meter.
const FEE: &str = "fee";

/// Sums the charges of tenants' days.
pub fn view<'a>(charges: impl IntoIterator<Item = (&'a TenantId, &'a DayCharges)>, by: GroupBy) -> View {
    let mut view = View::default();
    for (tenant, day) in charges {
        view.total += day.total;
        let mut add = |name: String, amount: Money| *view.rows.entry(name).or_default() += amount;
        match by {
            GroupBy::Day => add(day.day.to_string(), day.total),
            GroupBy::Tenant => add(tenant.to_string(), day.total),
            GroupBy::Tier => add(
                day.tier.as_ref().map_or("none", |tier| tier.as_str()).to_owned(),
                day.total,
            ),
            GroupBy::Meter | GroupBy::Region | GroupBy::Route => {
                add(FEE.to_owned(), day.fee);
                for line in &day.lines {
                    let name = match by {
                        GroupBy::Region => line.cell.region.to_string(),
                        GroupBy::Route => {
                            let route = line.cell.route.as_ref().map_or("", |route| route.as_str());
                            format!("{tenant}/{route}")
                        }
                        _ => line.meter.as_str().to_owned(),
                    };
                    add(name, line.amount);
                }
            }
        }
    }
    view
}

/// The charges of a month up to and with a day.
pub fn month_to_date<'a>(
    charges: impl IntoIterator<Item = &'a DayCharges>,
    month: Month,
    until: Day,
) -> Money {
    let counted = charges
        .into_iter()
        .filter(|charges| charges.day.month() == month && charges.day <= until);
    counted.map(|charges| charges.total).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::book::PriceBook;
    use crate::cost::charge::{Account, Cell, DayUsage};
    use crate::cost::meter::Usage;
    use weir_schema::ids::{RegionId, RouteId, TierId};

    #[test]
    fn every_view_has_the_same_total_and_rows_that_sum_to_it() {
        let book = PriceBook::read(include_str!("book/example.yaml")).unwrap();
        let month = Month::parse("2026-11").unwrap();
        let mut charges = Vec::new();
        for (place, id) in ["a", "b"].into_iter().enumerate() {
            let tenant = TenantId::new(id).unwrap();
            let tier = TierId::new(["starter", "enterprise"][place]).unwrap();
            let mut account = Account::new(month);
            for day in month.each_day() {
                let usage = Usage {
                    requests: 999_983 * u64::from(day.number()),
                    bytes_out: 7_777_777_777,
                    cpu_ns: 1_234_567_891_011,
                    ..Usage::default()
                };
                let cell = |region: &str, route: Option<&str>| Cell {
                    region: RegionId::new(region).unwrap(),
                    route: route.and_then(RouteId::new),
                };
                let usage = DayUsage::from([(cell("eu", Some("x")), usage), (cell("ap", None), usage)]);
                let tier = (day.number() > 3).then_some(&tier);
                charges.push((tenant.clone(), account.charge(day, tier, &usage, &book).unwrap()));
            }
        }
        let all = || charges.iter().map(|(tenant, day)| (tenant, day));
        let total: Money = charges.iter().map(|(_, day)| day.total).sum();
        for (by, rows) in [
            (GroupBy::Day, 30),
            (GroupBy::Meter, 4),
            (GroupBy::Region, 3),
            (GroupBy::Route, 5),
            (GroupBy::Tenant, 2),
            (GroupBy::Tier, 3),
        ] {
            let view = view(all(), by);
            assert_eq!((view.total, view.rows.len()), (total, rows), "{by:?}");
            assert_eq!(view.rows.values().copied().sum::<Money>(), total, "{by:?}");
        }
        let to_date = |until: Day| month_to_date(charges.iter().map(|(_, day)| day), month, until);
        assert_eq!(to_date(month.end()), total);
        assert_eq!(to_date(month.first()), charges[0].1.total + charges[30].1.total);
    }
}
