//! Conservation: what random meter events cost is what tenants are billed, to the nano-unit, in every view.
//!
//! A month of events, each priced alone and exactly by the test in integers of its own; against that the charges made of
//! their sums, their split over parts of the day, and the views. CI runs 10^6 events, `--ignored` 10^8.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use weir_plan::cost::Money;
use weir_plan::cost::book::{self, PriceBook};
use weir_plan::cost::calendar::{Day, Month};
use weir_plan::cost::charge::{Account, Cell, DayCharges, DayUsage};
use weir_plan::cost::ledger::{GroupBy, view};
use weir_plan::cost::meter::{Meter, Usage};
use weir_schema::ids::{RegionId, RouteId, TenantId, TierId};

const TENANTS: usize = 50;
const REGIONS: [&str; 3] = ["ap", "eu", "us"];
const ROUTES: usize = 4;
const CELLS: usize = REGIONS.len() * ROUTES;
/// Parts of a day that lines are split over.
const SLOTS: usize = 144;
/// The unit of the test's own sums, in which each price for one base unit is whole.
const OWN_PER_NANO: i128 = 36_000_000_000;

#[test]
fn a_million_events_are_billed_to_the_nano_unit() {
    run(1_000_000);
}

#[test]
#[ignore = "100 million events: a quarter of a minute in release"]
fn a_hundred_million_events_are_billed_to_the_nano_unit() {
    run(100_000_000);
}

/// Speed is measured from outside (docs/cost.md): this crate names no clock.
#[test]
#[ignore = "10,000 tenants for a month: some seconds in release"]
fn ten_thousand_tenants_are_charged_for_a_month() {
    let book = PriceBook::read(book::example()).unwrap();
    let month = Month::parse("2026-11").unwrap();
    let starter = TierId::new("starter");
    let mut random = Random(7);
    let mut lines = 0;
    for _ in 0..10_000 {
        let mut account = Account::new(month);
        for day in month.each_day() {
            let mut usage = DayUsage::new();
            for cell in cells() {
                usage.insert(cell, random.event().3);
            }
            lines += account
                .charge(day, starter.as_ref(), &usage, &book)
                .unwrap()
                .lines
                .len();
        }
    }
    println!("{lines} lines");
}

fn run(events: u64) {
    let book = PriceBook::read(book::example()).unwrap();
    let month = Month::parse("2026-11").unwrap();
    let mut month_run = MonthRun::new(month, &book);
    let mut random = Random(20_261_125);
    let mut count = 0;
    for day in month.each_day() {
        let until = events * u64::from(day.number()) / u64::from(month.days());
        month_run.day(day, until - count, &mut random);
        count = until;
    }
    let (total, error) = month_run.finish();
    println!("{count} events of {TENANTS} tenants, billed {total}, conservation error {error} nano-units");
    assert_eq!((count, error), (events, 0));
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One meter event: where, when and how much.
    fn event(&mut self) -> (usize, usize, usize, Usage) {
        let (place, sizes, times) = (self.next(), self.next(), self.next());
        // Squared, so that some tenants are far busier than others.
        let skewed = (place & 0xffff) * (place & 0xffff) >> 16;
        let tenant = (skewed as usize * TENANTS) >> 16;
        let cell = (place >> 16) as usize % CELLS;
        let slot = (place >> 32) as usize % SLOTS;
        let waf_cpu_ns = times & 0x3f_ffff;
        let usage = Usage {
            requests: 1 + (place >> 60),
            cpu_ns: waf_cpu_ns + (times >> 22 & 0xf_ffff),
            waf_cpu_ns,
            bytes_in: sizes & 0x3f_ffff,
            bytes_out: sizes >> 22 & 0x3fff_ffff,
            connection_ms: times >> 44,
            upstream_ms: sizes >> 52,
        };
        (tenant, cell, slot, usage)
    }
}

fn cells() -> Vec<Cell> {
    let cells = (0..CELLS).map(|place| Cell {
        region: RegionId::new(REGIONS[place / ROUTES]).unwrap(),
        route: RouteId::new(&format!("r{}", place % ROUTES)),
    });
    cells.collect()
}

struct MonthRun<'a> {
    book: &'a PriceBook,
    tenants: Vec<(TenantId, Option<TierId>, Account)>,
    cells: Vec<Cell>,
    /// Prices in the test's own unit for one base unit of a meter, by cell.
    own: Vec<[i128; 6]>,
    charges: Vec<(TenantId, DayCharges)>,
    error: i128,
}

impl<'a> MonthRun<'a> {
    fn new(month: Month, book: &'a PriceBook) -> Self {
        let tenants = (0..TENANTS).map(|place| {
            // Every second tenant has a tier, whose included usage is not in the test's own sums.
            let tier = [None, TierId::new("starter")][place % 2].clone();
            (
                TenantId::new(&format!("t{place}")).unwrap(),
                tier,
                Account::new(month),
            )
        });
        let cells = cells();
        let own = cells.iter().map(|cell| {
            Meter::ALL.map(|meter| {
                let price = book.price(&cell.region, meter).as_nanos() * OWN_PER_NANO;
                assert_eq!(price % i128::from(meter.per()), 0);
                price / i128::from(meter.per())
            })
        });
        Self {
            book,
            tenants: tenants.collect(),
            own: own.collect(),
            cells,
            charges: Vec::new(),
            error: 0,
        }
    }

    fn day(&mut self, day: Day, events: u64, random: &mut Random) {
        let mut slots = vec![Usage::default(); TENANTS * CELLS * SLOTS];
        let mut exact = [0_i128; TENANTS];
        for _ in 0..events {
            let (tenant, cell, slot, usage) = random.event();
            slots[(tenant * CELLS + cell) * SLOTS + slot].merge(&usage);
            for meter in Meter::ALL {
                exact[tenant] += self.own[cell][meter.place()] * i128::from(usage.quantity(meter));
            }
        }
        for (place, exact) in exact.into_iter().enumerate() {
            let of_tenant = &slots[place * CELLS * SLOTS..][..CELLS * SLOTS];
            self.tenant(day, place, of_tenant, exact);
        }
    }

    fn tenant(&mut self, day: Day, place: usize, slots: &[Usage], exact: i128) {
        let (id, tier, account) = &mut self.tenants[place];
        let by_cell = |cell: usize| &slots[cell * SLOTS..][..SLOTS];
        let mut usage = DayUsage::new();
        for (place, cell) in self.cells.iter().enumerate() {
            let sum = usage.entry(cell.clone()).or_default();
            by_cell(place).iter().for_each(|slot| sum.merge(slot));
        }
        let charges = account.charge(day, tier.as_ref(), &usage, self.book).unwrap();
        let mut parts = charges.fee;
        for line in &charges.lines {
            let cell = self.cells.iter().position(|cell| *cell == line.cell).unwrap();
            let quantities: Vec<u64> = by_cell(cell)
                .iter()
                .map(|slot| slot.quantity(line.meter))
                .collect();
            assert_eq!(quantities.iter().sum::<u64>(), line.quantity);
            parts += line.split(&quantities).into_iter().sum();
        }
        self.error += (parts - charges.total).as_nanos().abs();
        if tier.is_none() {
            let rounded = (exact + OWN_PER_NANO / 2).div_euclid(OWN_PER_NANO);
            self.error += (charges.total.as_nanos() - rounded).abs();
        } else {
            let paid: i128 = charges
                .lines
                .iter()
                .map(|line| {
                    let cell = self.cells.iter().position(|cell| *cell == line.cell).unwrap();
                    self.own[cell][line.meter.place()] * i128::from(line.quantity - line.included)
                })
                .sum();
            let rounded = (paid + OWN_PER_NANO / 2).div_euclid(OWN_PER_NANO);
            self.error += ((charges.total - charges.fee).as_nanos() - rounded).abs();
        }
        self.charges.push((id.clone(), charges));
    }

    /// The sum of all bills, and how far any view is from it, with what was found before.
    fn finish(mut self) -> (Money, i128) {
        let total: Money = self.charges.iter().map(|(_, day)| day.total).sum();
        for by in [
            GroupBy::Day,
            GroupBy::Meter,
            GroupBy::Region,
            GroupBy::Route,
            GroupBy::Tenant,
            GroupBy::Tier,
        ] {
            let view = view(self.charges.iter().map(|(tenant, day)| (tenant, day)), by);
            let rows: Money = view.rows.values().copied().sum();
            self.error += (rows - total).as_nanos().abs() + (view.total - total).as_nanos().abs();
        }
        (total, self.error)
    }
}
