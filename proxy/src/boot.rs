//! Wires everything once: configuration, shared state, Pingora's server with our services, signals, drain, hand-over.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{ListenFds, RunArgs, Server, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora_core::services::Service;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use weir_decide::guard::ConnectionGuard;
use weir_decide::limit::Table;
use weir_schema::config::{ConfigError, Document, check};

use crate::admin;
use crate::claims::Claims;
use crate::listen::accept::Listeners;
use crate::listen::inherit;
use crate::live::{self, Shared};
use crate::reload::Reloader;
use crate::sync::last_good::LastGood;
use crate::telemetry::access_log::Writer;
use crate::telemetry::registry::Metrics;
use crate::upstream::probe;

/// How to run a proxy.
pub struct ProxyOptions {
    /// The document.
    pub document: Document,
    /// File that SIGHUP and an empty reload read again; `None` when the document came from elsewhere.
    pub file: Option<PathBuf>,
    /// Print events for people instead of JSON lines.
    pub human: bool,
}

/// Why a proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Files that the document names cannot be used.
    #[error("{}", .0.join("\n"))]
    Compile(Vec<String>),
    /// The document is not valid.
    #[error("{} errors in the configuration", .0.len())]
    Config(Vec<ConfigError>),
    /// Something of the system.
    #[error("{0}")]
    System(String),
}

/// Prints an event on standard output; JSON unless a person asked for text.
fn announce(human: bool, event: &serde_json::Value) {
    let line = if human {
        admin::human_line(event)
    } else {
        event.to_string()
    };
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; the proxy serves all the same.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Asks that listeners follow the current version; the answer says which could not.
pub(crate) type ListenersChanged = oneshot::Sender<Result<(), Vec<String>>>;

/// What the running parts share.
pub(crate) struct Process {
    pub(crate) shared: Arc<Shared>,
    pub(crate) reloader: Reloader,
    pub(crate) listeners: Mutex<Option<Listeners>>,
    pub(crate) changed: mpsc::Sender<ListenersChanged>,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) drain: mpsc::Sender<()>,
    stop: watch::Sender<bool>,
    human: bool,
}

/// Runs a proxy until a signal ends it.
///
/// # Errors
/// When it cannot start; a proxy that runs ends without an error.
pub fn run_proxy(options: ProxyOptions) -> Result<(), StartError> {
    // Fails only when a provider was installed before, which then serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let metrics = Metrics::new().map_err(|error| StartError::System(error.to_string()))?;
    let (config, live, document) = first_version(&options, &metrics)?;
    let admin_address = config.admin.address;
    let workers = config.node.workers.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        |workers| workers.get() as usize,
    );
    let last_good = config.node.state_dir.as_deref().map(LastGood::new);
    let table = Table::new(config.limits.table_keys);
    let log =
        Writer::start(metrics.log_dropped.clone()).map_err(|error| StartError::System(error.to_string()))?;
    let shared = Arc::new(Shared {
        live: ArcSwap::from_pointee(live),
        access_log: log,
        limits: table,
        claims: Claims::default(),
        held: Default::default(),
        guard: ConnectionGuard::new(),
        metrics,
    });
    shared.metrics.generation.set(1);
    let (changed, changes) = mpsc::channel(16);
    let (drain, drains) = mpsc::channel(1);
    let (started, listening) = oneshot::channel();
    let process = Arc::new(Process {
        reloader: Reloader::new(Arc::clone(&shared), options.file.clone(), last_good, document),
        shared,
        listeners: Mutex::new(None),
        changed,
        ready: watch::channel(false).0,
        drain,
        stop: watch::channel(false).0,
        human: options.human,
    });
    let conf = ServerConf {
        threads: workers,
        work_stealing: true,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    server.add_service(Traffic {
        process: Arc::clone(&process),
        changes: Some(changes),
        started: Some(started),
    });
    server.add_service(admin::AdminService {
        process: Arc::clone(&process),
        address: admin_address,
        listening: Some(listening),
    });
    let signals = Signals {
        process,
        drains: Mutex::new(drains),
    };
    server.run(RunArgs {
        shutdown_signal: Box::new(signals),
    });
    Ok(())
}

type First = (weir_schema::config::checked::CheckedConfig, live::Live, Document);

/// The version to begin with: the document, or the last one that worked when the state folder says that this one keeps
/// failing.
fn first_version(options: &ProxyOptions, metrics: &Metrics) -> Result<First, StartError> {
    let config = check(&options.document).map_err(StartError::Config)?;
    let mut document = options.document.clone();
    let last_good = config.node.state_dir.as_deref().map(LastGood::new);
    if let Some(last_good) = &last_good
        && last_good.boots_failed_lately() >= 3
        && let Some(kept) = last_good.load_previous()
        && let Ok(older) = check(&kept)
        && let Ok(live) = live::compile(older.clone(), None, metrics)
    {
        return Ok((older, live, kept));
    }
    if let Some(last_good) = &last_good {
        last_good.boot_begins();
    }
    let live = match live::compile(config.clone(), None, metrics) {
        Ok(live) => live,
        Err(errors) => {
            let kept = last_good.as_ref().and_then(LastGood::load);
            let older = kept.and_then(|kept| Some((check(&kept).ok()?, kept)));
            match older {
                Some((older, kept)) if kept.text != document.text => {
                    document = kept;
                    live::compile(older, None, metrics).map_err(|_| compile_error(&errors))?
                }
                _ => return Err(compile_error(&errors)),
            }
        }
    };
    Ok(((*live.config).clone(), live, document))
}

fn compile_error(errors: &[live::CompileError]) -> StartError {
    StartError::Compile(errors.iter().map(ToString::to_string).collect())
}

/// The service that carries traffic.
struct Traffic {
    process: Arc<Process>,
    changes: Option<mpsc::Receiver<ListenersChanged>>,
    started: Option<oneshot::Sender<()>>,
}

#[async_trait]
impl Service for Traffic {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _shutdown: ShutdownWatch, _per_fd: usize) {
        let process = Arc::clone(&self.process);
        let mut listeners = Listeners::new(Arc::clone(&process.shared), process.stop.subscribe());
        match listeners.reconcile() {
            Ok(addresses) => {
                for (id, address) in addresses {
                    let event = json!({"event": "listening", "listener": id.as_str(), "address": address.to_string()});
                    announce(process.human, &event);
                }
            }
            Err(errors) => {
                announce(process.human, &json!({"event": "failed", "errors": errors}));
                // The signal task sees it and ends the process.
                let _ = process.drain.try_send(());
                return;
            }
        }
        *process.listeners.lock().await = Some(listeners);
        tokio::spawn(probe::run(Arc::clone(&process.shared)));
        if let Some(started) = self.started.take() {
            let _ = started.send(());
        }
        let Some(mut changes) = self.changes.take() else {
            return;
        };
        while let Some(done) = changes.recv().await {
            let mut listeners = process.listeners.lock().await;
            let result = listeners
                .as_mut()
                .map_or(Ok(()), |listeners| listeners.reconcile().map(|_| ()));
            let _ = done.send(result);
        }
    }

    fn name(&self) -> &str {
        "traffic"
    }
}

impl Process {
    /// Tells that everything is up.
    pub(crate) fn is_ready(&self, admin: std::net::SocketAddr) {
        self.ready.send_replace(true);
        announce(
            self.human,
            &json!({"event": "listening", "listener": "admin", "address": admin.to_string()}),
        );
        announce(self.human, &json!({"event": "ready"}));
        self.reloader.booted();
        if std::env::var_os("WEIR_HANDED_OVER").is_some() {
            // The process that handed its sockets over waits for this before it drains.
            let parent = rustix::process::getppid();
            if let Some(parent) = parent {
                let _ = rustix::process::kill_process(parent, rustix::process::Signal::QUIT);
            }
        }
    }

    /// Stops: not ready, then no new connections, then waits for what is in flight.
    async fn drain_all(&self) {
        let drain = self.shared.live.load().config.drain.clone();
        self.ready.send_replace(false);
        tokio::time::sleep(drain.readiness_delay).await;
        if let Some(listeners) = self.listeners.lock().await.as_mut() {
            listeners.close();
        }
        self.stop.send_replace(true);
        let deadline = Instant::now() + drain.timeout;
        while self.shared.guard.total() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        announce(
            self.human,
            &json!({"event": "drained", "connections_cut": self.shared.guard.total()}),
        );
    }

    /// Starts a new process on our sockets and waits until it serves. True when it does.
    async fn hand_over(&self, quit: &mut tokio::signal::unix::Signal) -> bool {
        let Some(Ok(sockets)) = self.listeners.lock().await.as_ref().map(Listeners::sockets) else {
            return false;
        };
        let mut child = match inherit::hand_over(sockets) {
            Ok(child) => child,
            Err(error) => {
                announce(
                    self.human,
                    &json!({"event": "upgrade_failed", "reason": error.to_string()}),
                );
                return false;
            }
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            if tokio::time::timeout(Duration::from_millis(50), quit.recv())
                .await
                .is_ok()
            {
                announce(self.human, &json!({"event": "handed_over", "pid": child.id()}));
                return true;
            }
            let ended = matches!(child.try_wait(), Ok(Some(_)) | Err(_));
            if ended || tokio::time::Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                announce(
                    self.human,
                    &json!({"event": "upgrade_failed", "reason": "the new process did not become ready"}),
                );
                return false;
            }
        }
    }
}

/// Our signals: TERM and INT drain, HUP reloads, USR2 hands over.
struct Signals {
    process: Arc<Process>,
    drains: Mutex<mpsc::Receiver<()>>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::user_defined2(),
            SignalKind::quit(),
        ];
        let [Ok(mut term), Ok(mut int), Ok(mut hup), Ok(mut usr2), Ok(mut quit)] = kinds.map(signal) else {
            return ShutdownSignal::FastShutdown;
        };
        let mut drains = self.drains.lock().await;
        loop {
            tokio::select! {
                _ = term.recv() => break,
                _ = int.recv() => break,
                _ = drains.recv() => break,
                _ = quit.recv() => {}
                _ = hup.recv() => {
                    self.process.shared.access_log.reopen();
                    let outcome = self.process.reload_file().await;
                    announce(self.process.human, &outcome.event());
                }
                _ = usr2.recv() => {
                    if self.process.hand_over(&mut quit).await {
                        break;
                    }
                }
            }
        }
        self.process.drain_all().await;
        ShutdownSignal::FastShutdown
    }
}

/// Path of the document's folder.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Reads a document.
///
/// # Errors
/// Those of reading, and that the file is not UTF-8.
pub fn read_document(path: &Path) -> std::io::Result<Document> {
    Ok(Document {
        name: path.display().to_string(),
        base: folder_of(path),
        text: std::fs::read_to_string(path)?,
    })
}
