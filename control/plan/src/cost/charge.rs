//! The charges of one tenant on one day: the only place where money is rounded.
//!
//! A tier's fee of a month is spread over its days so that all of them sum to it; on each day the tenant pays the share
//! of the tier that it has that day. The usage that a fee includes is spread the same way: a day may use what the days so
//! far were given and did not use, and what the days to come will be given if the tier stays. Usage is free in the order
//! of days; within a day each route and region gets its proportion. Days that were charged never change.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_schema::ids::{RegionId, RouteId, TierId};

use super::apportion::{round_parts, split};
use super::book::PriceBook;
use super::calendar::{Day, Month};
use super::meter::{Meter, Usage};
use super::money::{Grains, Money};

/// Where usage happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Cell {
    /// The region.
    pub region: RegionId,
    /// The route; `None` for requests that matched none.
    pub route: Option<RouteId>,
}

/// A tenant's usage of a day, by region and route.
pub type DayUsage = BTreeMap<Cell, Usage>;

/// What a tenant pays for a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayCharges {
    /// The day.
    pub day: Day,
    /// The version of the price book.
    pub book: String,
    /// The tier of that day; `None` without one.
    pub tier: Option<TierId>,
    /// The tier's fee of a whole month.
    pub month_fee: Money,
    /// That day's share of it.
    pub fee: Money,
    /// Usage by region, route and meter; none with a quantity of 0.
    pub lines: Vec<ChargeLine>,
    /// Everything: the fee and all lines, exactly.
    pub total: Money,
}

/// What a tenant pays for one meter of one route in one region on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChargeLine {
    /// Where.
    #[serde(flatten)]
    pub cell: Cell,
    /// What.
    pub meter: Meter,
    /// How much, in base units of the meter.
    pub quantity: u64,
    /// How much of it the tier includes.
    pub included: u64,
    /// Price per [`Meter::per`] base units.
    pub price: Money,
    /// What it costs.
    pub amount: Money,
}

impl ChargeLine {
    /// Base units that are paid for.
    pub const fn charged(&self) -> u64 {
        self.quantity.saturating_sub(self.included)
    }

    /// The amount split over parts of the day, such as minutes, by their quantities; sums exactly to it.
    pub fn split(&self, quantities: &[u64]) -> Vec<Money> {
        let parts = split(self.amount.as_nanos(), quantities);
        parts.into_iter().map(Money::nanos).collect()
    }
}

/// Why a day cannot be charged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChargeError {
    /// Days come in order, each once.
    #[error("{day} is not after the last charged day of {month}; charge the month's days in order")]
    DayOutOfOrder {
        /// The day.
        day: Day,
        /// The account's month.
        month: Month,
    },
    /// The price book begins later.
    #[error("price book `{book}` holds from a later day than {day}")]
    NotYetValid {
        /// The book.
        book: String,
        /// The day.
        day: Day,
    },
    /// The price book does not price the tier.
    #[error("price book `{book}` has no tier `{tier}`; add it to a new version")]
    UnknownTier {
        /// The book.
        book: String,
        /// The tier.
        tier: TierId,
    },
}

impl ChargeError {
    /// The stable name of the class.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DayOutOfOrder { .. } => "day_out_of_order",
            Self::NotYetValid { .. } => "book_not_yet_valid",
            Self::UnknownTier { .. } => "unknown_tier",
        }
    }
}

/// What must be known of a tenant's earlier days of a month to charge the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    month: Month,
    next: u32,
    granted: [u64; Meter::ALL.len()],
    used: [u64; Meter::ALL.len()],
}

impl Account {
    /// The beginning of a month.
    pub const fn new(month: Month) -> Self {
        Self {
            month,
            next: 1,
            granted: [0; Meter::ALL.len()],
            used: [0; Meter::ALL.len()],
        }
    }

    /// Charges a day: `tier` is the one that the tenant has at its end, `None` before it is active and after it is gone.
    ///
    /// # Errors
    /// When the day is not after those charged, or the book does not fit. The account is as before then.
    pub fn charge(
        &mut self,
        day: Day,
        tier: Option<&TierId>,
        usage: &DayUsage,
        book: &PriceBook,
    ) -> Result<DayCharges, ChargeError> {
        if day.month() != self.month || day.number() < self.next {
            return Err(ChargeError::DayOutOfOrder {
                day,
                month: self.month,
            });
        }
        if day < book.valid_from {
            let book = book.id.clone();
            return Err(ChargeError::NotYetValid { book, day });
        }
        let price = tier
            .map(|tier| {
                book.tier(tier).ok_or_else(|| ChargeError::UnknownTier {
                    book: book.id.clone(),
                    tier: tier.clone(),
                })
            })
            .transpose()?;
        self.next = day.number() + 1;
        let month_fee = price.map_or(Money::ZERO, |price| price.month);
        let fee = Money::nanos(day_share(month_fee.as_nanos(), day));
        let mut lines = Vec::new();
        for meter in Meter::ALL {
            let included = price.map_or(0, |price| price.included[meter.place()]);
            self.lines(day, meter, included, usage, book, &mut lines);
        }
        let exact: Vec<Grains> = lines
            .iter()
            .map(|line| Grains::of(line.price, line.charged(), line.meter.per()))
            .collect();
        let (sum, parts) = round_parts(&exact);
        for (line, amount) in lines.iter_mut().zip(parts) {
            line.amount = amount;
        }
        lines.sort_by(|a, b| (&a.cell, a.meter).cmp(&(&b.cell, b.meter)));
        Ok(DayCharges {
            day,
            book: book.id.clone(),
            tier: tier.cloned(),
            month_fee,
            fee,
            lines,
            total: fee + sum,
        })
    }

    /// One meter's lines of a day, without their amounts.
    fn lines(
        &mut self,
        day: Day,
        meter: Meter,
        included: u64,
        usage: &DayUsage,
        book: &PriceBook,
        lines: &mut Vec<ChargeLine>,
    ) {
        let place = meter.place();
        let quantities: Vec<u64> = usage.values().map(|usage| usage.quantity(meter)).collect();
        let sum = quantities
            .iter()
            .fold(0, |sum: u64, one| sum.saturating_add(*one));
        let (today, to_come) = (share(included, day), remaining(included, day));
        let pool = self.granted[place].saturating_add(to_come);
        let free = pool.saturating_sub(self.used[place]).min(sum);
        self.granted[place] = self.granted[place].saturating_add(today);
        self.used[place] = self.used[place].saturating_add(free);
        let parts = split(i128::from(free), &quantities);
        for ((cell, quantity), part) in usage.keys().zip(quantities).zip(parts) {
            if quantity == 0 {
                continue;
            }
            lines.push(ChargeLine {
                cell: cell.clone(),
                meter,
                quantity,
                // A largest remainder is below its share plus one, and no share is above its quantity.
                included: u64::try_from(part).unwrap_or(0).min(quantity),
                price: book.price(&cell.region, meter),
                amount: Money::ZERO,
            });
        }
    }
}

/// `total` of a month up to and with its day `number`.
fn until(total: i128, number: u32, days: u32) -> i128 {
    total.saturating_mul(i128::from(number)) / i128::from(days)
}

/// A day's part of a month's whole; those of all days sum to it.
pub(super) fn day_share(total: i128, day: Day) -> i128 {
    let (number, days) = (day.number(), day.month().days());
    until(total, number, days) - until(total, number - 1, days)
}

fn share(total: u64, day: Day) -> u64 {
    u64::try_from(day_share(i128::from(total), day)).unwrap_or(0)
}

/// The parts of a day and all later ones of its month.
fn remaining(total: u64, day: Day) -> u64 {
    let before = until(i128::from(total), day.number() - 1, day.month().days());
    u64::try_from(i128::from(total) - before).unwrap_or(0)
}

#[cfg(test)]
mod tests;
