//! The FOCUS export before the public validator (PyPI `focus-validator`), and against the charges that it was made of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod validator;

use std::collections::BTreeMap;

use weir_plan::cost::book::{self, PriceBook};
use weir_plan::cost::calendar::Month;
use weir_plan::cost::charge::{Account, Cell, DayCharges, DayUsage};
use weir_plan::cost::focus::{self, Payer, Seller};
use weir_plan::cost::meter::Usage;
use weir_plan::cost::{Money, invoice};
use weir_schema::ids::{RegionId, RouteId, TenantId, TierId};

/// A month of three tenants: one changes its tier, one has usage far over what its fee includes, one has no tier at first.
fn month_of_charges() -> Vec<(Payer, Vec<DayCharges>)> {
    let book = PriceBook::read(book::example()).unwrap();
    let month = Month::parse("2026-11").unwrap();
    let payers = [("shop", "Shop, \"the\" one"), ("bank", "Bank"), ("news", "News")];
    let charged = payers.into_iter().enumerate().map(|(place, (id, name))| {
        let payer = Payer {
            tenant: TenantId::new(id).unwrap(),
            name: name.to_owned(),
            currency: book.currency.clone(),
        };
        let mut account = Account::new(month);
        let days = month.each_day().map(|day| {
            let tier = match (place, day.number()) {
                (0, 1..=11) | (1, _) => Some("starter"),
                (0, _) => Some("professional"),
                (_, 1..=5) => None,
                _ => Some("enterprise"),
            };
            let tier = tier.and_then(TierId::new);
            account
                .charge(
                    day,
                    tier.as_ref(),
                    &usage(place as u64, day.number().into()),
                    &book,
                )
                .unwrap()
        });
        let days = days.collect();
        (payer, days)
    });
    charged.collect()
}

fn usage(tenant: u64, day: u64) -> DayUsage {
    let cells = [("eu", Some("all")), ("eu", None), ("ap", Some("api"))];
    let usage = cells.into_iter().enumerate().map(|(place, (region, route))| {
        let n = (tenant + 1) * (day + 3) * (place as u64 + 7);
        let cell = Cell {
            region: RegionId::new(region).unwrap(),
            route: route.and_then(RouteId::new),
        };
        let usage = Usage {
            requests: n * 9_973,
            cpu_ns: n * 1_000_000_007 * 13,
            waf_cpu_ns: n * 999_999_937,
            bytes_in: n * 123_456_789,
            bytes_out: n * 987_654_321,
            connection_ms: n * 7_777_777,
            upstream_ms: n * 1_111,
        };
        (cell, usage)
    });
    usage.collect()
}

fn export(charges: &[(Payer, Vec<DayCharges>)]) -> String {
    let eu = (RegionId::new("eu").unwrap(), "Europe".to_owned());
    let seller = Seller {
        name: "Example Edge Ltd".to_owned(),
        regions: BTreeMap::from([eu]),
    };
    let mut csv = String::new();
    focus::header(&mut csv);
    for (payer, days) in charges {
        days.iter()
            .for_each(|day| focus::rows(&seller, payer, day, &mut csv));
    }
    csv
}

/// Rules on `InvoiceId` of which one fails for every row: the validator knows no condition of "null without an invoice" and
/// "not null with one", only that one of the two must hold (`InvoiceId-C-003-C`, which does).
const WITH_INVOICE: &str = "InvoiceId-C-004-C";
const WITHOUT_INVOICE: &str = "InvoiceId-C-005-C";

#[test]
fn the_public_validator_finds_nothing_wrong_with_the_export() {
    let csv = export(&month_of_charges());
    let Some(report) = validator::run(&csv) else {
        return;
    };
    assert_eq!(
        report.rules_failed(),
        [WITH_INVOICE],
        "{}",
        report.failed.join("\n")
    );
    // So many rules have something to check with these columns; a validator that checks nothing is no proof.
    assert!(report.passed >= 220, "only {} rules passed", report.passed);
    println!("{} rules passed, {} do not apply", report.passed, report.skipped);
    let without = validator::run(&without_invoices(&csv)).expect("it was there a moment ago");
    assert_eq!(without.rules_failed(), [WITHOUT_INVOICE]);
}

/// The export with no invoice named.
fn without_invoices(csv: &str) -> String {
    ["shop", "bank", "news"].iter().fold(csv.to_owned(), |csv, id| {
        csv.replace(&format!(",weir-{id}-2026-11,"), ",,")
    })
}

#[test]
fn a_month_without_cost_is_still_of_decimals() {
    let (payer, days) = month_of_charges().remove(2);
    let Some(report) = validator::run(&export(&[(payer, vec![days[0].clone()])])) else {
        return;
    };
    assert_eq!(
        report.rules_failed(),
        [WITH_INVOICE],
        "{}",
        report.failed.join("\n")
    );
}

#[test]
fn the_validator_sees_planted_faults() {
    let faults = [
        (",USD,", ",DOLLAR,", "BillingCurrency"),
        (",Usage,", ",Use,", "ConsumedQuantity"),
        ("InvoiceIssuerName", "InvoiceIssuer", "InvoiceIssuerName"),
    ];
    let csv = export(&month_of_charges());
    let wrong = faults
        .iter()
        .fold(csv, |csv, (from, to, _)| csv.replacen(from, to, 40));
    let Some(report) = validator::run(&wrong) else {
        return;
    };
    for (_, to, column) in faults {
        let told = report.rules_failed().iter().any(|rule| rule.starts_with(column));
        assert!(told, "{to} was not found: {}", report.failed.join("\n"));
    }
}

/// Rows as column name to field. Names with commas are replaced before.
fn table(csv: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows = lines.map(|line| names.iter().copied().zip(line.split(',')).collect());
    rows.collect()
}

fn plain_export(charges: &[(Payer, Vec<DayCharges>)]) -> String {
    export(charges).replace("\"Shop, \"\"the\"\" one\"", "Shop")
}

#[test]
fn billed_costs_of_an_invoice_sum_to_it() {
    let charges = month_of_charges();
    let csv = plain_export(&charges);
    let mut sums: BTreeMap<String, Money> = BTreeMap::new();
    for row in table(&csv) {
        *sums.entry(row["InvoiceId"].to_owned()).or_default() += Money::parse(row["BilledCost"]).unwrap();
    }
    let invoices = charges.iter().map(|(payer, days)| {
        let invoice = invoice::preview(&payer.tenant, days[0].day.month(), &payer.currency, days);
        (invoice.id, invoice.total)
    });
    assert_eq!(sums, invoices.collect());
}

/// The validator checks these products only in rows with a charge class.
#[test]
fn price_times_quantity_is_the_list_cost_to_the_18th_digit() {
    let attos = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap();
        format!("{whole}{fraction:0<18}").parse::<i128>().unwrap()
    };
    let csv = plain_export(&month_of_charges());
    for row in table(&csv) {
        let price = Money::parse(row["ListUnitPrice"]).unwrap().as_nanos();
        // In 10^-27 units; the quantity was cut after its 18th digit, and so was the cost.
        let product = price * attos(row["PricingQuantity"]);
        let off = attos(row["ListCost"]) * 1_000_000_000 - product;
        assert!((-1_000_000_000..=price).contains(&off), "{row:?}");
        let billed = attos(row["BilledCost"]) - attos(row["ListCost"]);
        assert!(
            billed.abs() < 1_000_000_000,
            "less than a nano-unit apart: {row:?}"
        );
    }
}
