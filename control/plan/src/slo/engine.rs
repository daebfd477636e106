//! All series: events come in, and once a second what changed is judged.
//!
//! Only what can have changed is looked at: series with new events, series with an alert, and, when a minute begins, all
//! that hold cells, because then old events leave their windows.

use thiserror::Error;

use super::alert::{Alert, Change, Labels};
use super::budget::{Budget, burn_milli};
use super::counts::Counts;
use super::objective::{KINDS, Kind, Objectives};
use super::rings::Heads;
use super::series::Series;
use super::window::{Grain, WindowId};

/// How far the clock of a proxy may be ahead; what comes from that far is counted as of now.
pub const AHEAD_MAX_S: u64 = 5;

/// A series of an engine. One that was removed is never mistaken for the next in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId {
    index: u32,
    generation: u32,
}

/// Events of one series in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Whose.
    pub series: SeriesId,
    /// When, unix seconds: the second that they fell into.
    pub second: u64,
    /// All events, and the bad ones by objective. An event that is bad is an event: `bad` is at most `events`.
    pub counts: Counts,
}

/// From when on a series counts, and what its exported counters had counted by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// Unix seconds.
    pub second: u64,
    /// All events since then: 0 for a new series, what the store kept for one that goes on.
    pub counts: Counts,
}

/// What became of a sample, if it was not simply counted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SampleError {
    /// Its time is yet to come. Nothing was counted.
    #[error("the events are more than {AHEAD_MAX_S} s ahead of the clock; set the clock of the proxy")]
    Ahead,
    /// Fewer events than bad ones. Nothing was counted.
    #[error("more bad events than events")]
    Inconsistent,
    /// The series is not there any more. Nothing was counted.
    #[error("the series was removed")]
    Removed,
    /// It is older than the 30 days that are kept, or beyond what a cell can hold; it was counted as far as it could be.
    #[error("the events are too old or too many to be held")]
    Unheld,
}

impl SampleError {
    /// Stable code, for a counter's label.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Ahead => "slo_sample_ahead",
            Self::Inconsistent => "slo_sample_inconsistent",
            Self::Removed => "slo_series_removed",
            Self::Unheld => "slo_sample_unheld",
        }
    }
}

/// There is no room for another series.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{max} series are counted already; raise the bound or remove tenants")]
pub struct Full {
    /// The bound.
    pub max: u32,
}

/// What a series shows of one objective: for exports and the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub objective: Kind,
    /// The budget of 30 days.
    pub budget: Budget,
    /// Burn rate by window, in the order of [`WindowId::ALL`], in thousandths.
    pub burn_milli: [u64; WindowId::ALL.len()],
}

struct Slot {
    generation: u32,
    series: Option<Series>,
}

/// The engine. Time is unix seconds; when it goes back, the engine stays where it was.
pub struct Engine {
    slots: Vec<Slot>,
    free: Vec<u32>,
    series_max: u32,
    /// Series with events since they were judged.
    touched: Vec<u32>,
    /// Series with an alert.
    firing: Vec<u32>,
    /// The last second that is over.
    newest_s: u64,
    heads: Heads,
    /// A minute began since all were judged.
    minute_began: bool,
}

impl Engine {
    /// Without series, at most so many; each takes about 21 KB from its first event on.
    pub fn new(series_max: u32) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            series_max,
            touched: Vec::new(),
            firing: Vec::new(),
            newest_s: 0,
            heads: Heads::default(),
            minute_began: false,
        }
    }

    /// Begins to count a series.
    pub fn add(&mut self, labels: Labels, objectives: Objectives, since: Since) -> Result<SeriesId, Full> {
        let full = Full { max: self.series_max };
        let series = Series::new(labels, objectives, since);
        if let Some(index) = self.free.pop() {
            let slot = self.slots.get_mut(index as usize).ok_or(full)?;
            slot.series = Some(series);
            return Ok(SeriesId {
                index,
                generation: slot.generation,
            });
        }
        let index = u32::try_from(self.slots.len()).map_err(|_| full)?;
        if index >= self.series_max {
            return Err(full);
        }
        self.slots.push(Slot {
            generation: 0,
            series: Some(series),
        });
        Ok(SeriesId { index, generation: 0 })
    }

    /// Ends a series; gives the alerts that end with it.
    pub fn remove(&mut self, id: SeriesId, now_s: u64) -> Vec<Alert> {
        let slot = self.slots.get_mut(id.index as usize);
        let Some(slot) = slot.filter(|slot| slot.generation == id.generation) else {
            return Vec::new();
        };
        let Some(series) = slot.series.take() else {
            return Vec::new();
        };
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.index);
        self.touched.retain(|index| *index != id.index);
        self.firing.retain(|index| *index != id.index);
        series.alerts(Some(now_s)).collect()
    }

    /// Changes what a series is judged by (a tier change, a new contract); what was counted stays. Gives the alerts that end
    /// because they would be told under other labels from now on; what still burns fires again.
    pub fn promise(
        &mut self,
        id: SeriesId,
        labels: Labels,
        objectives: Objectives,
        now_s: u64,
    ) -> Vec<Alert> {
        let Some(series) = self.series_mut(id) else {
            return Vec::new();
        };
        let ended = series.promise(labels, objectives, now_s);
        self.touch(id.index);
        ended
    }

    /// Counts events, in the time in which they happened: the windows are as if they had come in time.
    pub fn record(&mut self, now_s: u64, sample: &Sample) -> Result<(), SampleError> {
        self.count(now_s, sample, true)
    }

    /// As [`Self::record`] for events of before a restart, which [`Since::counts`] has already.
    pub fn restore(&mut self, now_s: u64, sample: &Sample) -> Result<(), SampleError> {
        self.count(now_s, sample, false)
    }

    fn count(&mut self, now_s: u64, sample: &Sample, exported: bool) -> Result<(), SampleError> {
        self.advance(now_s);
        if sample.second > self.newest_s + AHEAD_MAX_S {
            return Err(SampleError::Ahead);
        }
        if sample.counts.bad.iter().any(|bad| *bad > sample.counts.events) {
            return Err(SampleError::Inconsistent);
        }
        let (heads, second) = (self.heads, sample.second.min(self.newest_s));
        let series = self.series_mut(sample.series).ok_or(SampleError::Removed)?;
        if exported {
            series.since.counts = series.since.counts.plus(sample.counts);
        }
        let held = series.add(heads, second, sample.counts);
        self.touch(sample.series.index);
        if held { Ok(()) } else { Err(SampleError::Unheld) }
    }

    /// Judges what changed; to be called once a second. `revision` is that of the configuration being served.
    pub fn evaluate(&mut self, now_s: u64, revision: u64) -> Vec<Change> {
        self.advance(now_s);
        let mut changes = Vec::new();
        for index in std::mem::take(&mut self.firing) {
            self.touch(index);
        }
        if std::mem::take(&mut self.minute_began) {
            for index in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
                self.touch_if(index, Series::holds_cells);
            }
        }
        for index in self.touched.drain(..) {
            let slot = self.slots.get_mut(index as usize);
            if let Some(series) = slot.and_then(|slot| slot.series.as_mut()) {
                series.touched = false;
                if series.judge(now_s, revision, &mut changes) {
                    self.firing.push(index);
                }
            }
        }
        changes
    }

    /// All alerts that fire: what Alertmanager is told again and again.
    pub fn alerts(&self) -> impl Iterator<Item = Alert> {
        let firing = self
            .firing
            .iter()
            .filter_map(|index| self.slots.get(*index as usize));
        firing
            .filter_map(|slot| slot.series.as_ref())
            .flat_map(|series| series.alerts(None))
    }

    /// What a series promises and how it stands; none when it was removed.
    pub fn standings(&self, id: SeriesId) -> Option<[Standing; KINDS]> {
        let series = self.series(id)?;
        Some(Kind::ALL.map(|objective| {
            let target = series.objectives.target(objective);
            let mut burn = [0; WindowId::ALL.len()];
            for (burn, window) in burn.iter_mut().zip(WindowId::ALL) {
                *burn = burn_milli(&series.sum(*window), objective, target);
            }
            Standing {
                objective,
                budget: Budget::new(&series.sum(WindowId::D30), objective, target),
                burn_milli: burn,
            }
        }))
    }

    /// The sum over a window; none when the series was removed.
    pub fn sum(&self, id: SeriesId, window: WindowId) -> Option<Counts> {
        self.series(id).map(|series| series.sum(window))
    }

    /// All series with what their exported counters show.
    pub fn counters(&self) -> impl Iterator<Item = (&Labels, &Objectives, &Since)> {
        let series = self.slots.iter().filter_map(|slot| slot.series.as_ref());
        series.map(|series| (series.labels.as_ref(), &series.objectives, &series.since))
    }

    /// Moves to the last second that is over; cells that begin make room.
    fn advance(&mut self, now_s: u64) {
        let newest_s = now_s.saturating_sub(1);
        if newest_s <= self.newest_s {
            return;
        }
        let (from, to) = (self.heads, Heads::at(newest_s));
        let minute = |second| second / Grain::Minute.seconds();
        if minute(newest_s) != minute(self.newest_s) {
            for series in self.slots.iter_mut().filter_map(|slot| slot.series.as_mut()) {
                series.roll(from, to);
            }
            self.minute_began = true;
        }
        self.newest_s = newest_s;
        self.heads = to;
    }

    fn touch(&mut self, index: u32) {
        self.touch_if(index, |_| true);
    }

    /// Puts a series on the list of those to judge, once.
    fn touch_if(&mut self, index: u32, wanted: impl Fn(&Series) -> bool) {
        let series = self
            .slots
            .get_mut(index as usize)
            .and_then(|slot| slot.series.as_mut());
        if let Some(series) = series.filter(|series| !series.touched && wanted(series)) {
            series.touched = true;
            self.touched.push(index);
        }
    }

    fn series(&self, id: SeriesId) -> Option<&Series> {
        let slot = self.slots.get(id.index as usize)?;
        slot.series.as_ref().filter(|_| slot.generation == id.generation)
    }

    fn series_mut(&mut self, id: SeriesId) -> Option<&mut Series> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.series.as_mut().filter(|_| slot.generation == id.generation)
    }
}
