//! The events of 30 days in cells: minutes for 6 hours, ten minutes for 3 days, hours for the rest; 20 KB.
//!
//! Every event is in all three rings that reach back to it, and each window has a running sum over the cells of one ring.
//! An event costs an addition per ring and window; time costs, per cell that begins, a subtraction per window. Nothing is
//! ever summed again, and all sums are exact: what leaves a sum is what went into its cell.

use super::counts::Counts;
use super::objective::KINDS;
use super::window::{Grain, WINDOWS};

const MINUTES: usize = 360;
const TENS: usize = 432;
const HOURS: usize = 720;

/// Every ring is as long as its longest window.
const _: () = {
    let mut at = 0;
    while at < WINDOWS.len() {
        let cells = match WINDOWS[at].grain {
            Grain::Hour => HOURS,
            Grain::Minute => MINUTES,
            Grain::TenMinutes => TENS,
        };
        assert!(WINDOWS[at].cells() as usize <= cells);
        at += 1;
    }
};

/// Sums over [`WINDOWS`].
pub(super) type Sums = [Counts; WINDOWS.len()];

/// The newest cell of each ring, by number since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heads {
    minute: u64,
    ten: u64,
    hour: u64,
}

impl Heads {
    /// The cells that hold `second`.
    pub(super) fn at(second: u64) -> Self {
        Self {
            minute: second / Grain::Minute.seconds(),
            ten: second / Grain::TenMinutes.seconds(),
            hour: second / Grain::Hour.seconds(),
        }
    }
}

/// A cell's room for counts.
trait Cell: Copy {
    const ZERO: Self;

    fn counts(&self) -> Counts;

    /// Stores counts, those that are too large as the largest that it can hold.
    fn set(&mut self, counts: Counts);
}

/// Up to 4.3e9 events: 7 million a second over ten minutes.
#[derive(Clone, Copy)]
struct Narrow([u32; 1 + KINDS]);

/// Up to 1.1e12 events: 300 million a second over an hour, in 15 bytes.
#[derive(Clone, Copy)]
struct Wide([[u8; 5]; 1 + KINDS]);

impl Cell for Narrow {
    const ZERO: Self = Self([0; 1 + KINDS]);

    fn counts(&self) -> Counts {
        let [events, bad @ ..] = self.0;
        Counts {
            events: events.into(),
            bad: bad.map(u64::from),
        }
    }

    fn set(&mut self, counts: Counts) {
        let narrow = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let [events, bad @ ..] = &mut self.0;
        *events = narrow(counts.events);
        *bad = counts.bad.map(narrow);
    }
}

impl Cell for Wide {
    const ZERO: Self = Self([[0; 5]; 1 + KINDS]);

    fn counts(&self) -> Counts {
        let wide = |[a, b, c, d, e]: [u8; 5]| u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
        let [events, bad @ ..] = self.0;
        Counts {
            events: wide(events),
            bad: bad.map(wide),
        }
    }

    fn set(&mut self, counts: Counts) {
        let packed = |count: u64| {
            let [a, b, c, d, e, ..] = count.min((1 << 40) - 1).to_le_bytes();
            [a, b, c, d, e]
        };
        let [events, bad @ ..] = &mut self.0;
        *events = packed(counts.events);
        *bad = counts.bad.map(packed);
    }
}

/// The newest `N` cells of one grain.
struct Ring<C, const N: usize> {
    cells: [C; N],
}

impl<C: Cell, const N: usize> Ring<C, N> {
    const EMPTY: Self = Self { cells: [C::ZERO; N] };

    fn cell(&mut self, number: u64) -> Option<&mut C> {
        self.cells.get_mut((number % N as u64) as usize)
    }

    /// Adds to a cell and to the windows that hold it. False when the cell is too old, or could not hold all.
    fn add(&mut self, sums: &mut Sums, grain: Grain, head: u64, number: u64, counts: Counts) -> bool {
        if number + N as u64 <= head {
            return false;
        }
        let Some(cell) = self.cell(number) else {
            return false;
        };
        let before = cell.counts();
        cell.set(before.plus(counts));
        let added = cell.counts().minus(before);
        for (sum, window) in sums.iter_mut().zip(WINDOWS) {
            if window.grain == grain && number + window.cells() > head {
                *sum = sum.plus(added);
            }
        }
        added == counts
    }

    /// Begins the cells after `from` up to `to`: what is as old as a window is long leaves its sum.
    fn roll(&mut self, sums: &mut Sums, grain: Grain, from: u64, to: u64) {
        let windows = || WINDOWS.iter().enumerate().filter(|(_, w)| w.grain == grain);
        if to.saturating_sub(from) >= N as u64 {
            self.cells = [C::ZERO; N];
            for (at, _) in windows() {
                if let Some(sum) = sums.get_mut(at) {
                    *sum = Counts::default();
                }
            }
            return;
        }
        for head in from + 1..=to {
            for (at, window) in windows() {
                let leaving = head.checked_sub(window.cells()).and_then(|old| self.cell(old));
                if let (Some(cell), Some(sum)) = (leaving, sums.get_mut(at)) {
                    *sum = sum.minus(cell.counts());
                }
            }
            if let Some(cell) = self.cell(head) {
                *cell = C::ZERO;
            }
        }
    }
}

/// The cells of one series.
pub(super) struct Rings {
    minutes: Ring<Narrow, MINUTES>,
    tens: Ring<Narrow, TENS>,
    hours: Ring<Wide, HOURS>,
}

/// 10,000 of them are within 205 MB, also where an allocator rounds up to 20 KiB.
const _: () = assert!(size_of::<Rings>() <= 20 * 1024);

impl Rings {
    /// Without events, on the heap.
    pub(super) fn empty() -> Box<Self> {
        Box::new(Self {
            minutes: Ring::EMPTY,
            tens: Ring::EMPTY,
            hours: Ring::EMPTY,
        })
    }

    /// Adds what happened in `second`, which is not in a cell after `heads`. False when a cell could not hold all of it, or
    /// when it is older than all cells.
    pub(super) fn add(&mut self, sums: &mut Sums, heads: Heads, second: u64, counts: Counts) -> bool {
        let at = Heads::at(second);
        // The shorter rings may be too short for it; the hours decide whether it is counted.
        let recent = at.minute + MINUTES as u64 > heads.minute;
        let minutes = self
            .minutes
            .add(sums, Grain::Minute, heads.minute, at.minute, counts);
        let recent_ten = at.ten + TENS as u64 > heads.ten;
        let tens = self.tens.add(sums, Grain::TenMinutes, heads.ten, at.ten, counts);
        let hours = self.hours.add(sums, Grain::Hour, heads.hour, at.hour, counts);
        hours && (tens || !recent_ten) && (minutes || !recent)
    }

    /// Moves the newest cells.
    pub(super) fn roll(&mut self, sums: &mut Sums, from: Heads, to: Heads) {
        self.minutes.roll(sums, Grain::Minute, from.minute, to.minute);
        self.tens.roll(sums, Grain::TenMinutes, from.ten, to.ten);
        self.hours.roll(sums, Grain::Hour, from.hour, to.hour);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The slow way: all events are kept, and a window adds up those of its cells.
    fn recount(events: &[(u64, Counts)], head: u64) -> Sums {
        let mut sums = Sums::default();
        for (sum, window) in sums.iter_mut().zip(WINDOWS) {
            let grain = window.grain.seconds();
            let first = (head / grain + 1).saturating_sub(window.cells());
            let inside = events.iter().filter(|(second, _)| second / grain >= first);
            *sum = inside.fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts));
        }
        sums
    }

    fn counts() -> impl Strategy<Value = Counts> {
        (0..1_000_000u64, 0..1000u64, 0..1000u64).prop_map(|(events, down, slow)| Counts {
            events,
            bad: [down, slow],
        })
    }

    /// Steps of time of every size, and how late what comes then is.
    fn steps() -> impl Strategy<Value = Vec<(u64, u64, Counts)>> {
        let step = prop_oneof![8 => 0..3u64, 4 => 0..900u64, 2 => 0..90_000u64, 1 => 0..4_000_000u64];
        let late = prop_oneof![6 => Just(0u64), 3 => 0..900u64, 1 => 0..3_000_000u64];
        prop::collection::vec((step, late, counts()), 1..80)
    }

    proptest! {
        #[test]
        fn running_sums_are_the_recount(start in 0..9_000_000u64, steps in steps()) {
            let (mut rings, mut sums) = (Rings::empty(), Sums::default());
            let mut now = start;
            let mut events = Vec::new();
            for (step, late, counts) in steps {
                rings.roll(&mut sums, Heads::at(now), Heads::at(now + step));
                now += step;
                let second = now.saturating_sub(late);
                let held = rings.add(&mut sums, Heads::at(now), second, counts);
                prop_assert_eq!(held, second / 3600 + 720 > now / 3600);
                events.push((second, counts));
                prop_assert_eq!(sums, recount(&events, now));
            }
        }
    }

    #[test]
    fn a_full_cell_stays_full_and_leaves_no_more_than_it_took() {
        let (mut rings, mut sums) = (Rings::empty(), Sums::default());
        let heads = Heads::at(6000);
        let many = Counts {
            events: 3_000_000_000,
            bad: [0, 1],
        };
        assert!(rings.add(&mut sums, heads, 6000, many));
        assert!(!rings.add(&mut sums, heads, 6001, many));
        assert_eq!(sums[0].events, u64::from(u32::MAX));
        assert_eq!(sums[7].events, 6_000_000_000);
        rings.roll(&mut sums, heads, Heads::at(6000 + 3 * 86_400));
        assert_eq!((sums[0].events, sums[6].events), (0, 0));
        assert_eq!(sums[7].events, 6_000_000_000);
    }
}
