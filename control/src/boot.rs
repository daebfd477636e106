//! Puts control together.

mod seed;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api::{Api, ApiOptions, ApiParts, ApiServer};
use crate::clock;
use crate::collect::{Collector, Watcher};
use crate::dashboard::{self, Guard, Live, ServiceLevels};
use crate::push::{Fleet, FrameSink, Hub, PushOptions, PushServer};
use crate::rollouts::Rollouts;
use crate::slo::{Delivery, DeliveryOptions, SloBook};
use crate::store::{SqliteOptions, SqliteStore, Store};
use crate::versions::{Compiler, Versions};

/// Between two looks for what is old.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// How to run control.
#[derive(Clone, Debug)]
pub struct CoreOptions {
    /// Folder of everything that control keeps.
    pub data_dir: PathBuf,
    /// Where proxies dial.
    pub push: PushOptions,
}

/// How to run the control process.
#[derive(Clone, Debug)]
pub struct ControlOptions {
    /// What owns the configuration.
    pub core: CoreOptions,
    /// A document that is published at the start and at SIGHUP, if it is another one than was published last.
    pub config: Option<PathBuf>,
    /// Proxies of this machine, with their regions: their join tokens are written below `join` in the data folder.
    pub local_proxies: Vec<(String, String)>,
    /// Where operators ask.
    pub api: ApiOptions,
    /// Where alerts go.
    pub alerts: DeliveryOptions,
}

/// Runs control until SIGTERM or SIGINT; tells its addresses and its readiness on standard output, JSON by line.
///
/// # Errors
/// A sentence on why it cannot start.
pub fn run_control(options: ControlOptions, compiler: Box<dyn Compiler>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let live = Arc::new(Live::new(clock::unix_ms()));
        let mut book = None;
        let collector = |store: &Arc<dyn Store>, versions: &Arc<Versions>, fleet: &Arc<Fleet>| {
            let slo = SloBook::open(Arc::clone(store), Arc::clone(versions)).map_err(|error| error.to_string())?;
            book = Some(Arc::clone(&slo));
            let watchers: Vec<Arc<dyn Watcher>> = vec![slo, Arc::clone(&live) as Arc<dyn Watcher>];
            let sink: Arc<dyn FrameSink> = Arc::new(Collector::new(Arc::clone(store), Arc::clone(fleet), watchers));
            Ok(sink)
        };
        let core = Core::open(&options.core, compiler, collector).await?;
        let slo = book.ok_or("the objectives were not opened")?;
        let delivery = Delivery::start(options.alerts.clone())?;
        let told = |error: std::io::Error| error.to_string();
        tell(&json!({"event": "listening", "listener": "push", "address": core.push.address().map_err(told)?.to_string()}));
        let (store, versions) = (Arc::clone(&core.store), Arc::clone(&core.versions));
        seed::join_local(&core, &options).await?;
        if let Some(file) = &options.config {
            seed::publish(&store, &versions, file).await?;
        }
        let mut hup = signal(SignalKind::hangup()).map_err(told)?;
        let mut ended = signal(SignalKind::terminate()).map_err(told)?;
        let mut interrupted = signal(SignalKind::interrupt()).map_err(told)?;
        let api = Api::new(ApiParts {
            store: Arc::clone(&core.store),
            versions: Arc::clone(&core.versions),
            fleet: Arc::clone(&core.fleet),
            rollouts: Arc::clone(&core.rollouts),
            pinned: core.push.pinned(),
        });
        let api = api.map_err(|error| error.to_string())?;
        api.tokens().bootstrap(&options.core.data_dir, clock::unix_ms()).await?;
        let dashboard = dashboard::router(dashboard::Parts {
            live,
            store: Arc::clone(&core.store),
            versions: Arc::clone(&core.versions),
            fleet: Arc::clone(&core.fleet),
            rollouts: Arc::clone(&core.rollouts),
            guard: Arc::clone(&api) as Arc<dyn Guard>,
            levels: Some(Arc::clone(&slo) as Arc<dyn ServiceLevels>),
            costs: None,
        });
        let server = ApiServer::bind(&options.api, &api).await?.beside(dashboard);
        if let Some(address) = server.address().map_err(told)? {
            tell(&json!({"event": "listening", "listener": "api", "address": address.to_string()}));
        }
        let (end, ending) = watch::channel(false);
        let served = tokio::spawn(server.run(ending));
        let push = core.push.run();
        tokio::spawn(Arc::clone(&core.rollouts).run());
        tokio::spawn(push);
        tokio::spawn(tidy(api));
        tokio::spawn(slo.run(delivery));
        tell(&json!({"event": "ready"}));
        loop {
            tokio::select! {
                _ = ended.recv() => break,
                _ = interrupted.recv() => break,
                _ = hup.recv() => if let Some(file) = &options.config {
                    // What is wrong was told; what is served stays.
                    let _ = seed::publish(&store, &versions, file).await;
                },
            }
        }
        end.send_replace(true);
        // It ends by itself when its last request is answered, or soon after.
        let _ = served.await;
        tell(&json!({"event": "ended"}));
        Ok(())
    })
}

/// Forgets what is old, now and then.
async fn tidy(api: Arc<Api>) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        // What fails now is done the next time.
        let _ = api.prune(clock::unix_ms()).await;
    }
}

pub(crate) fn tell(event: &Value) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; control works all the same.
    let _ = writeln!(out, "{event}").and_then(|()| out.flush());
}

/// What owns the configuration: the store, the versions and their way to the proxies.
pub struct Core {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Versions.
    pub versions: Arc<Versions>,
    /// Proxies.
    pub fleet: Arc<Fleet>,
    /// What sessions share.
    pub hub: Arc<Hub>,
    /// Versions on their way.
    pub rollouts: Arc<Rollouts>,
    /// The listener of proxies.
    pub push: PushServer,
}

impl Core {
    /// Opens the store, and listens for proxies; nothing is answered before [`PushServer::run`].
    ///
    /// # Errors
    /// A sentence on what cannot be used.
    pub async fn open(
        options: &CoreOptions,
        compiler: Box<dyn Compiler>,
        sink: impl FnOnce(&Arc<dyn Store>, &Arc<Versions>, &Arc<Fleet>) -> Result<Arc<dyn FrameSink>, String>,
    ) -> Result<Self, String> {
        // Fails only when a provider was installed before, which then serves as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let store = open_store(&options.data_dir)?;
        let told = |error: crate::store::StoreError| error.to_string();
        let versions = Versions::open(Arc::clone(&store), compiler, clock::unix_ms());
        let versions = Arc::new(versions.await.map_err(told)?);
        let fleet = Arc::new(Fleet::default());
        let sink = sink(&store, &versions, &fleet)?;
        let hub = Hub::new(
            Arc::clone(&store),
            Arc::clone(&versions),
            sink,
            Arc::clone(&fleet),
        );
        let hub = Arc::new(hub);
        let rollouts =
            Rollouts::open(Arc::clone(&store), Arc::clone(&versions), Arc::clone(&hub)).map_err(told)?;
        Ok(Self {
            push: PushServer::bind(&options.push, &options.data_dir, Arc::clone(&hub)).await?,
            store,
            versions,
            fleet,
            hub,
            rollouts: Arc::new(rollouts),
        })
    }
}

fn open_store(data_dir: &Path) -> Result<Arc<dyn Store>, String> {
    let store = SqliteStore::open(&SqliteOptions::new(data_dir)).map_err(|error| error.to_string())?;
    Ok(Arc::new(store))
}
