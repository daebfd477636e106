//! Proxies and regions: who serves what, and who is behind.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::live::Span;
use super::top::Top;
use super::{Parts, clip};
use crate::auth::{Names, Scope};
use crate::collect::Usage;
use crate::push::ProxyState;

/// Proxies that are listed.
const PROXIES_MAX: usize = 20;
/// Regions that are listed.
const REGIONS_MAX: usize = 32;

/// Proxies at a glance.
#[derive(Default, Serialize)]
pub(super) struct FleetView {
    total: u64,
    connected: u64,
    /// Those that do not serve what they are to serve.
    stale: u64,
    /// The newest version; none yet.
    newest_revision: Option<u64>,
    /// Those that ask for a look come first: away, then behind for longest, then by name.
    listed: Vec<ProxyView>,
}

#[derive(Serialize)]
struct ProxyView {
    node: String,
    region: String,
    connected: bool,
    /// Since when it is connected or away, Unix time in milliseconds.
    since_ms: u64,
    revision: Option<u64>,
    target: Option<u64>,
    /// Since when it does not serve what it is to serve, milliseconds; 0 when it does.
    stale_ms: u64,
    /// The revision that it refused last.
    refused: Option<u64>,
    program: String,
}

/// A region at a glance, over the last minute.
#[derive(Default, Serialize)]
pub(super) struct RegionView {
    region: String,
    proxies: u64,
    connected: u64,
    stale: u64,
    requests: u64,
    errors: u64,
    refused: u64,
    cpu_ns: u64,
}

impl RegionView {
    const fn with(mut self, usage: &Usage) -> Self {
        self.requests = usage.requests;
        self.errors = usage.errors;
        self.refused = usage.refused;
        self.cpu_ns = usage.cpu_ns;
        self
    }
}

fn view(node: String, state: &ProxyState, now_ms: u64) -> ProxyView {
    ProxyView {
        node: clip(&node),
        region: clip(&state.region),
        connected: state.connected,
        since_ms: state.since_ms,
        revision: state.serving.map(|head| head.revision),
        target: state.target.map(|head| head.revision),
        stale_ms: state.stale_ms(now_ms),
        refused: state.refused.map(|head| head.revision),
        program: clip(&state.program),
    }
}

impl FleetView {
    /// Of the regions of a scope, with those regions.
    pub(super) fn of(parts: &Parts, scope: &Scope, now_ms: u64) -> (Self, Vec<RegionView>) {
        let mut fleet = Self {
            newest_revision: parts.versions.newest().map(|newest| newest.head().revision),
            ..Self::default()
        };
        let mut regions: BTreeMap<String, RegionView> = BTreeMap::new();
        let mut first = Top::new(PROXIES_MAX);
        let all: BTreeMap<String, ProxyState> = parts.fleet.all().into_iter().collect();
        // Proxies serve all tenants: a token of some tenants sees how many there are, not which.
        let named = scope.tenants == Names::All;
        for (node, state) in all.iter().filter(|(_, state)| scope.regions.has(&state.region)) {
            let stale_ms = state.stale_ms(now_ms);
            let (connected, stale) = (u64::from(state.connected), u64::from(stale_ms > 0));
            fleet.total += 1;
            fleet.connected += connected;
            fleet.stale += stale;
            let region = regions.entry(state.region.clone()).or_default();
            region.proxies += 1;
            region.connected += connected;
            region.stale += stale;
            if named {
                first.put((state.connected, Reverse(stale_ms), node));
            }
        }
        let first = first
            .into_iter()
            .filter_map(|(_, _, node)| Some(view(node.clone(), all.get(node)?, now_ms)));
        fleet.listed = first.collect();
        let traffic = parts.live.regions(scope, Span::Minute, now_ms / 1000);
        for (name, usage) in &traffic {
            let region = regions.remove(name).unwrap_or_default();
            regions.insert(name.clone(), region.with(usage));
        }
        let mut shown: Vec<RegionView> = regions
            .into_iter()
            .map(|(name, region)| RegionView {
                region: clip(&name),
                ..region
            })
            .collect();
        shown.sort_by_key(|region| Reverse(region.requests));
        shown.truncate(REGIONS_MAX);
        (fleet, shown)
    }
}
