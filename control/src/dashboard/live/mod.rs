//! What happened during the last minutes, in memory: per tenant and region in slots, per region second by second. It begins
//! empty when control starts; what must not be lost is in the store.

mod cell;
mod latency;
mod region;
mod ring;
mod span;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::counts::Counts;
use weir_schema::telemetry::frame::{Entry, FOLDED, Frame};

use crate::auth::{Names, Scope};
use crate::clock;
use crate::collect::{Usage, Watcher};
use crate::store::Write;

use cell::Cell;
pub(super) use cell::{RouteSum, Sum};
pub(super) use region::Second;
use region::{Region, RegionSum, SERIES_S};
pub(super) use span::Span;

/// Pairs of tenant and region that are counted apart; more are counted as tenant `*`.
const CELLS_MAX: usize = 65_536;
/// Regions that are told apart; more are counted as region `*`.
const REGIONS_MAX: usize = 64;
/// Routes of all tenants that are told apart; more are counted as route `*` of their tenant.
const ROUTES_MAX: usize = 131_072;
/// A frame from further ahead than this is counted now: a clock that is wrong must not push out what is right, seconds.
const AHEAD_S: u64 = 5;
/// Between two looks for what is silent, seconds.
const TIDY_EVERY_S: u64 = 30;

/// Cells of a tenant by region.
type Cells = Vec<(Arc<str>, Cell)>;

#[derive(Default)]
struct State {
    tenants: HashMap<Arc<str>, Cells>,
    regions: BTreeMap<Arc<str>, Region>,
    cells: usize,
    routes: usize,
    folded: u64,
    tidied_s: u64,
    /// When the newest frame came.
    newest_ms: Option<u64>,
    /// The newest second that was counted.
    newest_s: u64,
}

/// Latencies by nearest rank, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50_us: u32,
    pub(super) p90_us: u32,
    pub(super) p99_us: u32,
}

impl Quantiles {
    /// By what gives a quantile; none without requests.
    pub(super) fn of(quantile_us: impl Fn(u64) -> Option<u32>) -> Option<Self> {
        Some(Self {
            p50_us: quantile_us(500_000)?,
            p90_us: quantile_us(900_000)?,
            p99_us: quantile_us(990_000)?,
        })
    }
}

/// What was counted of all that a token may see.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) usage: Usage,
    /// Also of requests whose head could not be read, which `usage` does not have.
    pub(super) refusals: Counts<RefusalCode>,
    /// Requests whose head could not be read; they belong to no tenant.
    pub(super) unread: u64,
    pub(super) latency: Option<Quantiles>,
}

/// What did not get a place of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Bounds {
    /// Pairs of tenant and region that are counted apart.
    pub(super) cells: usize,
    /// Entries of frames that were counted as tenant `*` since control started, because there were too many tenants.
    pub(super) folded: u64,
    /// Routes that are told apart.
    pub(super) routes: usize,
}

/// The last minutes.
pub struct Live {
    state: Mutex<State>,
    since_s: u64,
}

impl Live {
    /// Empty; `now_ms` is Unix time in milliseconds.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            state: Mutex::default(),
            since_s: now_ms / 1000,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when it counts, Unix time in seconds.
    pub(super) const fn since_s(&self) -> u64 {
        self.since_s
    }

    /// Counts a frame of a proxy that stands in `region`. The second is that in which most of the frame lies.
    pub fn count(&self, region: &str, frame: &Frame, now_ms: u64) {
        let now_s = now_ms / 1000;
        let at_s = (frame.from_ms / 2 + frame.to_ms / 2) / 1000;
        let at_s = if at_s > now_s + AHEAD_S { now_s } else { at_s };
        let mut state = self.state();
        state.tidy(now_s);
        state.newest_ms = Some(now_ms);
        if at_s / span::LONG.seconds < Span::TenMinutes.first_slot(now_s) {
            return;
        }
        state.newest_s = state.newest_s.max(at_s);
        let region = state.region(region);
        for entry in &frame.entries {
            state.count(entry, &region, at_s);
        }
        if let Some(region) = state.regions.get_mut(&region) {
            region.count_unread(frame, at_s);
        }
    }

    /// What was counted over a span.
    pub(super) fn totals(&self, scope: &Scope, span: Span, now_s: u64) -> Totals {
        let state = self.state();
        if scope.tenants == Names::All {
            let mut sum = RegionSum::default();
            state
                .regions_of(scope)
                .for_each(|(_, region)| region.sum(span, now_s, &mut sum));
            return Totals {
                latency: Quantiles::of(|ppm| sum.latency.quantile_us(ppm)),
                usage: sum.usage,
                refusals: sum.refusals,
                unread: sum.unread,
            };
        }
        let mut sum = Sum::default();
        state
            .cells_of(scope)
            .for_each(|(_, cell)| cell.sum(span, now_s, &mut sum, true));
        Totals {
            latency: Quantiles::of(|ppm| sum.latency.quantile_us(ppm)),
            usage: sum.usage,
            refusals: sum.refusals,
            unread: 0,
        }
    }

    /// Seconds that a span covers.
    pub(super) fn covered_s(&self, span: Span, now_s: u64) -> u64 {
        span.seconds(now_s, self.since_s, self.state().newest_s)
    }

    /// When the newest frame came, Unix time in milliseconds; none yet.
    pub(super) fn newest_ms(&self) -> Option<u64> {
        self.state().newest_ms
    }

    /// The first of [`Self::seconds`], Unix time in seconds.
    pub(super) const fn seconds_from_s(now_s: u64) -> u64 {
        now_s.saturating_sub(span::SETTLE_S + SERIES_S)
    }

    /// The last [`SERIES_S`] seconds whose frames have come, the oldest first; none for a token of some tenants.
    pub(super) fn seconds(&self, scope: &Scope, now_s: u64) -> Option<Vec<Second>> {
        if scope.tenants != Names::All {
            return None;
        }
        let mut seconds = vec![Second::default(); usize::try_from(SERIES_S).unwrap_or(0)];
        let from_s = Self::seconds_from_s(now_s);
        for (_, region) in self.state().regions_of(scope) {
            region.seconds(from_s, &mut seconds);
        }
        Some(seconds)
    }

    /// Requests, errors and CPU time by region over a span.
    pub(super) fn regions(&self, scope: &Scope, span: Span, now_s: u64) -> BTreeMap<String, Usage> {
        let state = self.state();
        let mut regions: BTreeMap<String, Usage> = BTreeMap::new();
        if scope.tenants == Names::All {
            for (name, region) in state.regions_of(scope) {
                let mut sum = RegionSum::default();
                region.sum(span, now_s, &mut sum);
                regions.insert(name.to_string(), sum.usage);
            }
            return regions;
        }
        for (name, cell) in state.cells_of(scope) {
            let mut sum = Sum::default();
            cell.sum(span, now_s, &mut sum, false);
            regions.entry(name.to_string()).or_default().add(&sum.usage);
        }
        regions
    }

    /// Each tenant's figures over a span, all regions of the scope together, in no order; with refusals and latency when
    /// `whole`.
    pub(super) fn tenants(
        &self,
        scope: &Scope,
        span: Span,
        now_s: u64,
        whole: bool,
        mut each: impl FnMut(&Arc<str>, Sum),
    ) {
        let state = self.state();
        for (tenant, cells) in state.tenants_of(scope) {
            let mut sum = Sum::default();
            let cells = cells.iter().filter(|(region, _)| scope.regions.has(region));
            cells.for_each(|(_, cell)| cell.sum(span, now_s, &mut sum, whole));
            each(tenant, sum);
        }
    }

    /// A tenant's figures over a span.
    pub(super) fn tenant(&self, tenant: &str, scope: &Scope, span: Span, now_s: u64) -> Option<Sum> {
        let state = self.state();
        let cells = state.tenants.get(tenant)?.iter();
        let mut sum = Sum::default();
        let cells = cells.filter(|(region, _)| scope.regions.has(region));
        cells.for_each(|(_, cell)| cell.sum(span, now_s, &mut sum, true));
        Some(sum)
    }

    /// What each route of each tenant did during the last minute, in no order.
    pub(super) fn routes(&self, scope: &Scope, now_s: u64, mut each: impl FnMut(&Arc<str>, &str, RouteSum)) {
        let state = self.state();
        for (tenant, cells) in state.tenants_of(scope) {
            let mut routes: BTreeMap<&str, RouteSum> = BTreeMap::new();
            let cells = cells.iter().filter(|(region, _)| scope.regions.has(region));
            for (route, sum) in cells.flat_map(|(_, cell)| cell.routes(now_s)) {
                routes.entry(route).or_default().add(sum);
            }
            routes
                .into_iter()
                .for_each(|(route, sum)| each(tenant, route, sum));
        }
    }

    /// How full it is.
    pub(super) fn bounds(&self) -> Bounds {
        let state = self.state();
        Bounds {
            cells: state.cells,
            folded: state.folded,
            routes: state.routes,
        }
    }
}

impl Watcher for Live {
    fn writes(&self, _frame: &Frame) -> Vec<Write> {
        Vec::new()
    }

    fn counted(&self, region: &str, frame: &Frame) {
        self.count(region, frame, clock::unix_ms());
    }
}

impl State {
    /// The region's name, as it is kept.
    fn region(&mut self, name: &str) -> Arc<str> {
        if let Some((known, _)) = self.regions.get_key_value(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = if self.regions.len() < REGIONS_MAX {
            name.into()
        } else {
            FOLDED.into()
        };
        self.regions.entry(Arc::clone(&name)).or_default();
        name
    }

    fn count(&mut self, entry: &Entry, region: &Arc<str>, at_s: u64) {
        let usage = Usage::of(entry);
        if let Some(region) = self.regions.get_mut(region) {
            region.count(entry, &usage, at_s);
        }
        let full = self.cells >= CELLS_MAX;
        let is_known = |cells: &Cells| cells.iter().any(|(known, _)| known == region);
        let known = self.tenants.get(entry.tenant.as_str()).is_some_and(is_known);
        let tenant = if known || !full {
            entry.tenant.as_str()
        } else {
            FOLDED
        };
        self.folded += u64::from(!known && full);
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.into(), Cells::new());
        }
        let Some(cells) = self.tenants.get_mut(tenant) else {
            return;
        };
        let place = cells.iter().position(|(known, _)| known == region);
        let place = place.unwrap_or_else(|| {
            // Also over the bound: `*` has a cell in each region.
            self.cells += 1;
            cells.push((Arc::clone(region), Cell::default()));
            cells.len() - 1
        });
        if let Some((_, cell)) = cells.get_mut(place) {
            self.routes += cell.count(entry, &usage, at_s, ROUTES_MAX.saturating_sub(self.routes));
        }
    }

    /// Forgets what is silent, now and then.
    fn tidy(&mut self, now_s: u64) {
        if now_s < self.tidied_s.saturating_add(TIDY_EVERY_S) {
            return;
        }
        self.tidied_s = now_s;
        (self.cells, self.routes) = (0, 0);
        for cells in self.tenants.values_mut() {
            cells.retain(|(_, cell)| !cell.is_silent(now_s));
            self.cells += cells.len();
            self.routes += cells.iter_mut().map(|(_, cell)| cell.tidy(now_s)).sum::<usize>();
        }
        self.tenants.retain(|_, cells| !cells.is_empty());
    }

    fn regions_of<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a Arc<str>, &'a Region)> {
        let regions = self.regions.iter();
        regions.filter(|(name, _)| scope.regions.has(name))
    }

    fn tenants_of<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a Arc<str>, &'a Cells)> {
        let tenants = self.tenants.iter();
        tenants.filter(|(name, _)| scope.tenants.has(name))
    }

    fn cells_of<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a Arc<str>, &'a Cell)> {
        let cells = self.tenants_of(scope).flat_map(|(_, cells)| cells.iter());
        let cells = cells.filter(|(region, _)| scope.regions.has(region));
        cells.map(|(region, cell)| (region, cell))
    }
}
