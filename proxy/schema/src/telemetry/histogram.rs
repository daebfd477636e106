//! Latency histograms: one layout of cells everywhere, so that histograms of any process, second and tenant add up.
//!
//! The layout is log-linear, as that of HdrHistogram with two significant digits: 256 cells of 1 us, then 128 cells for
//! each doubling. A cell is never wider than 1/128 of its lower bound; cells below 256 us are exact. Every `u32` has a cell.

use serde::{Deserialize, Serialize};

use super::counts::Counts;

/// Number of cells.
pub const CELLS: u16 = 3328;

/// Cells of each doubling, as a power of two.
const HALF_BITS: u32 = 7;

/// The cell of a latency in microseconds.
#[inline]
pub const fn cell_of(us: u32) -> u16 {
    let shift = (u32::BITS - (us | 1).leading_zeros()).saturating_sub(HALF_BITS + 1);
    // At most 24 * 128 + 255.
    ((shift << HALF_BITS) + (us >> shift)) as u16
}

/// Least and greatest microseconds of a cell. Cells that do not exist are taken for the last.
pub const fn bounds_us(cell: u16) -> (u32, u32) {
    let cell = if cell < CELLS {
        cell as u32
    } else {
        CELLS as u32 - 1
    };
    if cell < 2 << HALF_BITS {
        return (cell, cell);
    }
    let shift = (cell >> HALF_BITS) - 1;
    let low = (cell - (shift << HALF_BITS)) << shift;
    (low, low + ((1 << shift) - 1))
}

/// The threshold that [`Histogram::above`] goes by when it is asked for `us`: the next greatest value of a cell, at most
/// 1/128 more. An objective that is stated as one of these values is counted without error.
pub const fn threshold_us(us: u32) -> u32 {
    bounds_us(cell_of(us)).1
}

/// Latencies of some requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Sum of all latencies, microseconds.
    pub sum_us: u64,
    /// Requests per cell.
    pub cells: Counts<u16>,
}

impl Histogram {
    /// Counts a request.
    #[inline]
    pub fn record(&mut self, us: u32) {
        self.cells.add(cell_of(us), 1);
        self.sum_us = self.sum_us.saturating_add(u64::from(us));
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.cells.merge(&other.cells);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// Number of requests.
    pub fn count(&self) -> u64 {
        self.cells.total()
    }

    /// Requests that took longer than [`threshold_us`] of `us`. A request that took longer than `us` by less than 1/128
    /// may not be among them; one that took no longer never is.
    pub fn above(&self, us: u32) -> u64 {
        let cell = cell_of(us);
        let slower = self.cells.iter().rev().take_while(|(known, _)| *known > cell);
        slower.fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// The quantile `ppm / 1,000,000`, microseconds: no more than 1/128 above the exact one by nearest rank, and never below
    /// it. `None` without requests.
    pub fn quantile_us(&self, ppm: u32) -> Option<u32> {
        let ppm = u128::from(ppm.min(1_000_000));
        let rank = (u128::from(self.count()) * ppm).div_ceil(1_000_000).max(1);
        let mut seen = 0_u128;
        let found = self.cells.iter().find(|(_, count)| {
            seen += u128::from(*count);
            seen >= rank
        });
        found.map(|(cell, _)| bounds_us(cell).1)
    }
}
