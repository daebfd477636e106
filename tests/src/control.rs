//! Control inside the test's process, for facts about what it pushes: versions of any content, also such that it would
//! refuse itself. Facts about the whole process start `weir control`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use weir_control::boot::{Core, CoreOptions};
use weir_control::collect::Collector;
use weir_control::push::{Fleet, FrameSink, Hub, ProxyState, PushOptions, new_proxy};
use weir_control::rollouts::Rollouts;
use weir_control::store::{Batch, IfMatch, Kind, Store};
use weir_control::versions::{Actor, Applied, Change, Compiler, Refused, Tried, Versions};
use weir_proxy::Trial;
use weir_schema::push::{JoinToken, ObjectHash};

use crate::wait::wait_for;

/// Control under test.
pub struct Control {
    // First: its tasks end before the folder goes.
    runtime: Runtime,
    /// Versions.
    pub versions: Arc<Versions>,
    /// Proxies.
    pub fleet: Arc<Fleet>,
    /// Versions on their way.
    pub rollouts: Arc<Rollouts>,
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// What sessions share.
    pub hub: Arc<Hub>,
    address: std::net::SocketAddr,
    pinned: Option<ObjectHash>,
    folder: Arc<TempDir>,
}

/// Tries versions as `weir control` does.
struct Real(Trial);

impl Compiler for Real {
    fn check(
        &mut self,
        index: &ObjectHash,
        object: &dyn Fn(&ObjectHash) -> Option<Vec<u8>>,
    ) -> Result<Tried, Vec<Value>> {
        let tried = self.0.check(index, object)?;
        Ok(Tried {
            warnings: tried.warnings,
            quarantined: tried.quarantined,
            diff: tried.diff,
            compile_ms: tried.compile_ms,
        })
    }
}

/// Publishes whatever it is given.
struct Blind;

impl Compiler for Blind {
    fn check(
        &mut self,
        _index: &ObjectHash,
        _object: &dyn Fn(&ObjectHash) -> Option<Vec<u8>>,
    ) -> Result<Tried, Vec<Value>> {
        Ok(Tried {
            warnings: Vec::new(),
            quarantined: json!([]),
            diff: Value::Null,
            compile_ms: 0,
        })
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    u64::try_from(now.as_millis()).expect("a clock before the year 584942417")
}

impl Control {
    /// Starts, without a version.
    pub fn start() -> Self {
        Self::start_in(
            Arc::new(TempDir::with_prefix("weir-control-").expect("a temporary folder")),
            true,
            0,
        )
    }

    /// As [`Self::start`], but publishes also what no proxy can serve.
    pub fn start_blind() -> Self {
        Self::start_in(
            Arc::new(TempDir::with_prefix("weir-control-").expect("a temporary folder")),
            false,
            0,
        )
    }

    /// Ends, and starts again with the same data on the same port.
    #[must_use]
    pub fn restart(self) -> Self {
        let (folder, port) = (Arc::clone(&self.folder), self.address.port());
        self.end();
        Self::start_in(folder, true, port)
    }

    /// Ends; gives the folder, so that it can be started again.
    pub fn end(self) -> Arc<TempDir> {
        let folder = Arc::clone(&self.folder);
        let Self { runtime, store, .. } = self;
        runtime.shutdown_timeout(Duration::from_secs(5));
        // The last of its owners: the file's lock goes with it.
        drop(store);
        folder
    }

    /// Starts with the data of an earlier one.
    pub fn start_in(folder: Arc<TempDir>, careful: bool, port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let options = CoreOptions {
            data_dir: folder.path().join("data"),
            push: PushOptions {
                address: ([127, 0, 0, 1], port).into(),
                certificate: None,
                client_ca: None,
                plain: false,
            },
        };
        let compiler: Box<dyn Compiler> = if careful {
            Box::new(Real(
                Trial::new(&folder.path().join("trial")).expect("a folder for trials"),
            ))
        } else {
            Box::new(Blind)
        };
        let sink = |store: &Arc<dyn Store>, _: &Arc<Versions>, fleet: &Arc<Fleet>| {
            let sink: Arc<dyn FrameSink> =
                Arc::new(Collector::new(Arc::clone(store), Arc::clone(fleet), Vec::new()));
            Ok(sink)
        };
        let core = runtime
            .block_on(Core::open(&options, compiler, sink))
            .expect("control starts");
        let address = core.push.address().expect("an address");
        let pinned = core.push.pinned();
        runtime.spawn(core.push.run());
        runtime.spawn(Arc::clone(&core.rollouts).run());
        Self {
            versions: core.versions,
            fleet: core.fleet,
            rollouts: core.rollouts,
            store: core.store,
            hub: core.hub,
            runtime,
            address,
            pinned,
            folder,
        }
    }

    /// Where proxies dial.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Makes a proxy; gives its join token.
    pub fn join(&self, node: &str, region: &str) -> String {
        let (record, secret) = new_proxy(node, region, now_ms()).expect("randomness");
        let batch = Batch::at(now_ms())
            .put(Kind::Proxy, node, &record, IfMatch::Any)
            .expect("JSON");
        self.runtime.block_on(self.store.commit(batch)).expect("kept");
        JoinToken {
            node: node.to_owned(),
            region: region.to_owned(),
            deployment: self.versions.deployment().to_owned(),
            secret,
            keys: self.runtime.block_on(self.versions.public_keys()),
            authority: self.pinned,
        }
        .encode()
    }

    /// Runs something of control's to its end.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Changes paths; `null` removes one.
    ///
    /// # Errors
    /// Why control refuses it.
    pub fn try_apply(&self, changes: &[(&str, Value)]) -> Result<Applied, Refused> {
        let (removed, put): (Vec<_>, Vec<_>) = changes.iter().partition(|(_, value)| value.is_null());
        let bytes = |value: &Value| match value {
            Value::String(text) => text.clone().into_bytes(),
            value => value.to_string().into_bytes(),
        };
        let change = Change {
            put: put
                .iter()
                .map(|(path, value)| ((*path).to_owned(), bytes(value)))
                .collect(),
            remove: removed.iter().map(|(path, _)| (*path).to_owned()).collect(),
            note: "test".to_owned(),
            ..Change::default()
        };
        self.runtime
            .block_on(self.versions.apply(change, &Actor::system(), false, now_ms()))
    }

    /// Changes paths; gives the new revision.
    pub fn apply(&self, changes: &[(&str, Value)]) -> u64 {
        match self.try_apply(changes) {
            Ok(applied) => applied.revision,
            Err(Refused::Invalid(reasons)) => panic!("{reasons:?}"),
            Err(refused) => panic!("{refused}"),
        }
    }

    /// What is known of a proxy.
    pub fn proxy(&self, node: &str) -> ProxyState {
        self.fleet.get(node).unwrap_or_default()
    }

    /// Waits until a proxy serves a revision.
    pub fn wait_served(&self, node: &str, revision: u64) {
        wait_for(&format!("{node} to serve revision {revision}"), || {
            let serving = self.proxy(node).serving;
            serving
                .is_some_and(|serving| serving.revision == revision)
                .then_some(())
        });
    }

    /// Folder of the data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
