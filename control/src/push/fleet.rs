//! What is known of the proxies: who is there and what each serves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use weir_plan::rollout::Sums;
use weir_schema::push::Head;

/// Proxies that are remembered; a proxy must be made by an operator to be known.
const PROXIES_MAX: usize = 100_000;
/// Reasons of a refusal that are remembered.
const REASONS_MAX: usize = 20;
/// Versions whose sums are kept per region.
const VERSIONS_MAX: usize = 16;

/// A proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProxyState {
    /// Its region.
    pub region: String,
    /// Whether a session is open.
    pub connected: bool,
    /// Since when it is connected or away, Unix time in milliseconds.
    pub since_ms: u64,
    /// When it was heard last, Unix time in milliseconds.
    pub heard_ms: u64,
    /// Its address.
    pub address: String,
    /// Version of its program.
    pub program: String,
    /// What it serves.
    pub serving: Option<Head>,
    /// Generation of its process.
    pub generation: u64,
    /// What it is to serve.
    pub target: Option<Head>,
    /// Since when it is to serve that, Unix time in milliseconds.
    pub target_ms: u64,
    /// How long it took for the version that it serves, milliseconds.
    pub compile_ms: u64,
    /// Bytes of objects that it fetched for it.
    pub fetched_bytes: u64,
    /// What it refused last.
    pub refused: Option<Head>,
    /// Why.
    pub reasons: Vec<Value>,
    /// Tenants that are set aside in what it serves.
    pub quarantined: Vec<String>,
    /// Number of its session; an older one says nothing any more.
    #[serde(skip)]
    pub(super) session: u64,
}

impl ProxyState {
    /// Since when it does not serve what it is to serve, milliseconds; 0 when it does.
    #[must_use]
    pub fn stale_ms(&self, now_ms: u64) -> u64 {
        match (self.target, self.serving) {
            (Some(target), Some(serving)) if target.index == serving.index => 0,
            (None, _) => 0,
            _ => now_ms.saturating_sub(self.target_ms),
        }
    }
}

/// What the proxies of a region did lately.
#[derive(Clone, Debug, Default)]
struct Region {
    /// By revision, oldest first: per second the sums.
    versions: VecDeque<(u64, VecDeque<(u64, Sums)>)>,
}

/// Sums of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionSums {
    /// On other revisions.
    pub before: Sums,
    /// On the revision that was asked for.
    pub after: Sums,
}

#[derive(Debug, Default)]
struct State {
    proxies: BTreeMap<String, ProxyState>,
    regions: BTreeMap<String, Region>,
    sessions: u64,
}

/// All proxies.
#[derive(Debug, Default)]
pub struct Fleet(Mutex<State>);

/// Seconds that sums are kept.
const SECONDS: u64 = 300;

impl Fleet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A proxy opens a session; gives its number, or `None` if there are too many proxies.
    pub(super) fn connected(&self, node: &str, region: &str, address: String, now_ms: u64) -> Option<u64> {
        let mut state = self.state();
        if state.proxies.len() >= PROXIES_MAX && !state.proxies.contains_key(node) {
            return None;
        }
        state.sessions += 1;
        let session = state.sessions;
        let proxy = state.proxies.entry(node.to_owned()).or_default();
        region.clone_into(&mut proxy.region);
        proxy.connected = true;
        (proxy.since_ms, proxy.heard_ms) = (now_ms, now_ms);
        proxy.address = address;
        proxy.session = session;
        Some(session)
    }

    /// Changes what is known of a proxy, if its session is still the newest.
    pub(super) fn update(&self, node: &str, session: u64, change: impl FnOnce(&mut ProxyState)) {
        if let Some(proxy) = self
            .state()
            .proxies
            .get_mut(node)
            .filter(|proxy| proxy.session == session)
        {
            change(proxy);
        }
    }

    /// The session ended.
    pub(super) fn left(&self, node: &str, session: u64, now_ms: u64) {
        self.update(node, session, |proxy| {
            proxy.connected = false;
            proxy.since_ms = now_ms;
        });
    }

    /// A version was refused.
    pub(super) fn refused(&self, node: &str, session: u64, head: Option<Head>, mut reasons: Vec<Value>) {
        reasons.truncate(REASONS_MAX);
        self.update(node, session, |proxy| {
            proxy.refused = head;
            proxy.reasons = reasons;
        });
    }

    /// A proxy that was taken out of the records.
    pub fn forget(&self, node: &str) {
        self.state().proxies.remove(node);
    }

    /// A proxy.
    #[must_use]
    pub fn get(&self, node: &str) -> Option<ProxyState> {
        self.state().proxies.get(node).cloned()
    }

    /// All proxies, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(String, ProxyState)> {
        let state = self.state();
        let all = state.proxies.iter();
        all.map(|(node, proxy)| (node.clone(), proxy.clone())).collect()
    }

    /// Regions in which there are proxies.
    #[must_use]
    pub fn regions(&self) -> Vec<String> {
        let state = self.state();
        let regions: std::collections::BTreeSet<&String> =
            state.proxies.values().map(|proxy| &proxy.region).collect();
        regions.into_iter().cloned().collect()
    }

    /// Counts what a frame says of a second in a region on a revision.
    pub fn count(&self, region: &str, revision: u64, second: u64, sums: Sums) {
        let mut state = self.state();
        let region = state.regions.entry(region.to_owned()).or_default();
        let place = match region.versions.iter().position(|(known, _)| *known == revision) {
            Some(place) => place,
            None => {
                if region.versions.len() >= VERSIONS_MAX {
                    region.versions.pop_front();
                }
                region.versions.push_back((revision, VecDeque::new()));
                region.versions.len() - 1
            }
        };
        let Some((_, seconds)) = region.versions.get_mut(place) else {
            return;
        };
        match seconds.iter_mut().rev().find(|(known, _)| *known == second) {
            Some((_, known)) => known.add(sums),
            None => seconds.push_back((second, sums)),
        }
        while seconds
            .front()
            .is_some_and(|(oldest, _)| oldest + SECONDS < second)
        {
            seconds.pop_front();
        }
    }

    /// What a region did on `revision`, and on the others from `since_s` on (Unix time in seconds).
    #[must_use]
    pub fn sums(&self, region: &str, revision: u64, since_s: u64) -> RegionSums {
        let state = self.state();
        let mut sums = RegionSums::default();
        let versions = state.regions.get(region).map(|region| region.versions.iter());
        for (known, seconds) in versions.into_iter().flatten() {
            let into = if *known == revision {
                &mut sums.after
            } else {
                &mut sums.before
            };
            let counted = seconds
                .iter()
                .filter(|(second, _)| *known == revision || *second >= since_s);
            counted.for_each(|(_, more)| into.add(*more));
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_session_says_nothing_any_more() {
        let fleet = Fleet::default();
        let old = fleet.connected("n", "eu", "a".to_owned(), 1).unwrap();
        let new = fleet.connected("n", "eu", "b".to_owned(), 2).unwrap();
        fleet.left("n", old, 3);
        assert!(fleet.get("n").unwrap().connected);
        fleet.left("n", new, 4);
        assert!(!fleet.get("n").unwrap().connected);
        assert_eq!(fleet.regions(), ["eu"]);
    }

    #[test]
    fn sums_are_kept_by_revision() {
        let fleet = Fleet::default();
        let one = Sums {
            requests: 1,
            ..Sums::default()
        };
        for second in 0..400 {
            fleet.count("eu", if second < 390 { 1 } else { 2 }, second, one);
        }
        let sums = fleet.sums("eu", 2, 340);
        assert_eq!((sums.before.requests, sums.after.requests), (50, 10));
        assert_eq!(fleet.sums("us", 2, 0), RegionSums::default());
    }
}
