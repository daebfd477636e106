//! Amounts of money: whole nano-units, and the finer grains of which prices times quantities are whole numbers.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use serde::{Deserialize, Serialize};

/// Nano-units in a unit of currency.
pub const NANOS: i128 = 1_000_000_000;

/// An amount in nano-units (10^-9) of the price book's currency; in JSON an integer.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Money(i128);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Most units of currency that a document may name as one price.
    pub const UNITS_MAX: i128 = 100_000;

    /// An amount of nano-units.
    pub const fn nanos(nanos: i128) -> Self {
        Self(nanos)
    }

    /// An amount of whole units of currency.
    pub const fn units(units: i32) -> Self {
        Self(units as i128 * NANOS)
    }

    /// The amount in nano-units.
    pub const fn as_nanos(self) -> i128 {
        self.0
    }

    /// Reads a decimal such as `29`, `0.60` or `0.000000001` exactly: digits with at most 9 behind the point and at most
    /// [`Self::UNITS_MAX`] before it. `None` for anything else: signs, exponents and spaces too.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || whole.len() > 6 || fraction.len() > 9 {
            return None;
        }
        let units: i128 = whole.parse().ok()?;
        let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
        let amount = units * NANOS + nanos;
        (amount <= Self::UNITS_MAX * NANOS).then_some(Self(amount))
    }

    /// The exact decimal without superfluous zeros: `0.6`, `-29`.
    pub fn decimal(self) -> String {
        decimal(self.0, 9)
    }
}

/// A whole number of 10^-`places` as the shortest exact decimal.
pub(super) fn decimal(value: i128, places: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.decimal())
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// An unrounded amount: whole numbers of 1 / [`Grains::PER_NANO`] nano-units, in which every price times every quantity
/// is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grains(i128);

impl Grains {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Grains in a nano-unit: the least common multiple of the quantities that prices are for ([`Meter::per`]).
    ///
    /// [`Meter::per`]: super::meter::Meter::per
    pub const PER_NANO: i128 = 9_000_000_000;

    /// `price` for `per` units, times `quantity`. The largest price times the largest quantity fits: 10^14 nano-units
    /// times 2^64 times 9,000 is 1.7 * 10^37, of 1.7 * 10^38.
    pub const fn of(price: Money, quantity: u64, per: u64) -> Self {
        let factor = Self::PER_NANO / per as i128;
        Self(price.0.saturating_mul(quantity as i128).saturating_mul(factor))
    }

    /// The amount in 10^-18 units of currency, without what is below.
    pub(super) const fn attos(self) -> i128 {
        let nanos = self.0.div_euclid(Self::PER_NANO);
        let rest = self.0.rem_euclid(Self::PER_NANO);
        nanos
            .saturating_mul(NANOS)
            .saturating_add(rest * NANOS / Self::PER_NANO)
    }

    /// The amount in grains.
    pub const fn count(self) -> i128 {
        self.0
    }
}

impl Add for Grains {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Grains {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_and_written_exactly() {
        for (text, nanos, shown) in [
            ("29", 29_000_000_000, "29"),
            ("0.60", 600_000_000, "0.6"),
            ("0.000000001", 1, "0.000000001"),
            ("100000", 100_000 * NANOS, "100000"),
            ("0", 0, "0"),
        ] {
            let amount = Money::parse(text).unwrap();
            assert_eq!(
                (amount.as_nanos(), amount.decimal()),
                (nanos, shown.to_owned()),
                "{text}"
            );
        }
        assert_eq!(Money::nanos(-1_500_000_000).decimal(), "-1.5");
        for wrong in [
            "",
            ".5",
            "1.",
            "-1",
            "+1",
            "1e3",
            "0.0000000001",
            " 1",
            "1,5",
            "100000.000000001",
            "1000000",
            "1_0",
            "٣",
        ] {
            assert_eq!(Money::parse(wrong), None, "{wrong}");
        }
    }
}
