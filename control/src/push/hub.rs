//! What each region is to serve, and what sessions share.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use weir_schema::push::ObjectHash;

use super::Fleet;
use super::outbox::Outbox;
use crate::store::Store;
use crate::versions::{Published, Versions};

/// Versions by region.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Of regions that have another one than the rest.
    pub regions: BTreeMap<String, Arc<Published>>,
    /// Of all others; `None` before the first version.
    pub rest: Option<Arc<Published>>,
}

impl Targets {
    /// The version of a region.
    #[must_use]
    pub fn of(&self, region: &str) -> Option<&Arc<Published>> {
        self.regions.get(region).or(self.rest.as_ref())
    }
}

/// Frames that are kept: epoch and number of the last of each epoch, which the proxy may forget. Or a sentence on why they
/// are not: the proxy sends them again.
pub type Keeping = Pin<Box<dyn Future<Output = Result<Vec<(u64, u64)>, String>> + Send>>;

/// Takes telemetry.
pub trait FrameSink: Send + Sync {
    /// Keeps frames of a proxy for good.
    fn keep(&self, node: &str, region: &str, frames: Vec<serde_json::Value>) -> Keeping;
}

/// What all sessions share.
pub struct Hub {
    pub(super) store: Arc<dyn Store>,
    pub(super) versions: Arc<Versions>,
    pub(super) fleet: Arc<Fleet>,
    pub(super) outbox: Outbox,
    pub(super) frames: Arc<dyn FrameSink>,
    targets: watch::Sender<Targets>,
}

impl Hub {
    /// Without targets.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        versions: Arc<Versions>,
        frames: Arc<dyn FrameSink>,
        fleet: Arc<Fleet>,
    ) -> Self {
        Self {
            store,
            versions,
            frames,
            fleet,
            outbox: Outbox::default(),
            targets: watch::channel(Targets::default()).0,
        }
    }

    /// The proxies.
    #[must_use]
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// What regions are to serve.
    #[must_use]
    pub fn targets(&self) -> Targets {
        self.targets.borrow().clone()
    }

    pub(super) fn watch_targets(&self) -> watch::Receiver<Targets> {
        self.targets.subscribe()
    }

    /// Changes what regions are to serve.
    pub fn aim(&self, targets: Targets) {
        self.targets.send_replace(targets);
    }

    /// A version that proxies may still serve, by its content.
    pub(super) fn known(&self, index: &ObjectHash) -> Option<Arc<Published>> {
        let targets = self.targets.borrow();
        let all = targets.regions.values().chain(&targets.rest);
        let known = all
            .into_iter()
            .find(|version| version.content.index == *index)
            .cloned();
        known.or_else(|| self.versions.recent(index))
    }
}
