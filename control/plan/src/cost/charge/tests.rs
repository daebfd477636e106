use proptest::prelude::*;

use super::*;

fn book() -> PriceBook {
    PriceBook::read(include_str!("../book/example.yaml")).unwrap()
}

fn month() -> Month {
    Month::parse("2026-11").unwrap()
}

fn day(number: u32) -> Day {
    Day::new(2026, 11, number).unwrap()
}

fn tier(id: &str) -> TierId {
    TierId::new(id).unwrap()
}

fn cell(region: &str, route: &str) -> Cell {
    Cell {
        region: RegionId::new(region).unwrap(),
        route: RouteId::new(route),
    }
}

fn out(gigabytes: u64) -> Usage {
    Usage {
        bytes_out: gigabytes * 1_000_000_000,
        ..Usage::default()
    }
}

#[test]
fn a_whole_month_of_one_tier_costs_its_fee() {
    let mut account = Account::new(month());
    let days: Vec<Money> = month()
        .each_day()
        .map(|day| {
            account
                .charge(day, Some(&tier("starter")), &DayUsage::new(), &book())
                .unwrap()
                .total
        })
        .collect();
    assert_eq!(days.iter().copied().sum::<Money>(), Money::units(29));
    assert!(days.iter().all(|day| (day.as_nanos() - 966_666_666).abs() <= 1));
}

#[test]
fn usage_above_what_the_fee_includes_is_priced_by_region() {
    let mut account = Account::new(month());
    let usage = DayUsage::from([(cell("eu", "a"), out(60)), (cell("ap", "a"), out(60))]);
    let charges = account
        .charge(day(1), Some(&tier("starter")), &usage, &book())
        .unwrap();
    // 100 of 120 GB are included, 10 of 60 are paid in each region.
    let amounts: Vec<String> = charges.lines.iter().map(|line| line.amount.decimal()).collect();
    assert_eq!(amounts, ["1.2", "0.9"]);
    assert_eq!(charges.total, charges.fee + Money::nanos(2_100_000_000));
    let next = account
        .charge(day(2), Some(&tier("starter")), &usage, &book())
        .unwrap();
    assert_eq!(
        next.total - next.fee,
        Money::nanos(12_600_000_000),
        "nothing is left to include"
    );
}

#[test]
fn a_tenant_that_comes_late_or_changes_tier_gets_its_days_of_the_included_usage() {
    let mut account = Account::new(month());
    let usage = DayUsage::from([(cell("eu", "a"), out(51))]);
    let charges = account
        .charge(day(16), Some(&tier("starter")), &usage, &book())
        .unwrap();
    assert_eq!(charges.lines[0].charged(), 1_000_000_000, "15 of 30 days: 50 GB");
    // From day 17 professional: one day of 100 GB and 14 days of 2,000 GB, of which 50 GB are used.
    let usage = DayUsage::from([(cell("eu", "a"), out(2000))]);
    let charges = account
        .charge(day(17), Some(&tier("professional")), &usage, &book())
        .unwrap();
    let granted = 100_000_000_000 / 30 + 2_000_000_000_000 * 14 / 30 - 50_000_000_000;
    assert!(charges.lines[0].included.abs_diff(granted) <= 2);
    // Down again: what was free stays free, nothing more is.
    let charges = account
        .charge(day(18), Some(&tier("starter")), &usage, &book())
        .unwrap();
    assert_eq!(charges.lines[0].included, 0);
}

#[test]
fn a_tier_change_prorates_the_fee_by_days() {
    let mut account = Account::new(month());
    let charged = month().each_day().map(|day| {
        let tier = tier(if day.number() <= 10 {
            "starter"
        } else {
            "professional"
        });
        account
            .charge(day, Some(&tier), &DayUsage::new(), &book())
            .unwrap()
            .total
    });
    let total: Money = charged.sum();
    let exact = (29 * 10 + 299 * 20) * 1_000_000_000_i128 / 30;
    assert!((total.as_nanos() - exact).abs() <= 1, "{total}");
}

#[test]
fn days_are_charged_in_order_and_a_refused_one_changes_nothing() {
    let mut account = Account::new(month());
    let none = DayUsage::new();
    account.charge(day(3), None, &none, &book()).unwrap();
    let before = account.clone();
    let code = |account: &mut Account, day: Day, tier: Option<&TierId>| {
        account
            .charge(day, tier, &DayUsage::new(), &book())
            .unwrap_err()
            .code()
    };
    assert_eq!(code(&mut account, day(3), None), "day_out_of_order");
    assert_eq!(code(&mut account, day(30).next(), None), "day_out_of_order");
    assert_eq!(code(&mut account, day(4), Some(&tier("gold"))), "unknown_tier");
    let october = Day::new(2026, 10, 31).unwrap();
    assert_eq!(
        code(&mut Account::new(october.month()), october, None),
        "book_not_yet_valid"
    );
    assert_eq!(account, before);
}

fn usages() -> impl Strategy<Value = Vec<(u8, u8, u8, Usage)>> {
    let usage = any::<[u32; 6]>().prop_map(|n| Usage {
        requests: n[0].into(),
        cpu_ns: u64::from(n[1]) * 1_000,
        waf_cpu_ns: n[2].into(),
        bytes_in: n[3].into(),
        bytes_out: u64::from(n[4]) * 100,
        connection_ms: n[5].into(),
        upstream_ms: 0,
    });
    prop::collection::vec((1_u8..=30, 0_u8..3, 0_u8..4, usage), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Parts sum to each day's total, minutes to their line, and the total is the exact one within half a nano-unit a day.
    #[test]
    fn nothing_is_lost_or_made(usages in usages(), change in 1_u32..=30, order in any::<bool>()) {
        let book = book();
        let mut days: Vec<DayUsage> = vec![DayUsage::new(); 31];
        let mut sorted: Vec<_> = usages.iter().collect();
        if order {
            sorted.reverse();
        }
        for (day, region, route, usage) in sorted {
            let region = ["eu", "us", "ap"][usize::from(*region)];
            let cell = cell(region, &format!("r{route}"));
            days[usize::from(*day)].entry(cell).or_default().merge(usage);
        }
        let mut account = Account::new(month());
        let mut charged = [0_u64; 6];
        for (number, usage) in (1_u32..=30).map(|number| (number, &days[number as usize])) {
            let tier = tier(if number < change { "starter" } else { "professional" });
            let charges = account.charge(day(number), Some(&tier), usage, &book).unwrap();
            let sum: Money = charges.lines.iter().map(|line| line.amount).sum();
            prop_assert_eq!(sum + charges.fee, charges.total);
            let mut exact = 0;
            for line in &charges.lines {
                exact += line.price.as_nanos() * i128::from(line.charged()) * (Grains::PER_NANO / i128::from(line.meter.per()));
                let minutes = [line.quantity / 3, line.quantity / 7, line.quantity - line.quantity / 3 - line.quantity / 7];
                prop_assert_eq!(line.split(&minutes).into_iter().sum::<Money>(), line.amount);
                charged[line.meter.place()] += line.included;
            }
            prop_assert!((sum.as_nanos() * Grains::PER_NANO - exact).abs() * 2 <= Grains::PER_NANO);
        }
        let most = book.tier(&tier("professional")).unwrap().included;
        for meter in Meter::ALL {
            prop_assert!(charged[meter.place()] <= most[meter.place()]);
        }
    }
}
