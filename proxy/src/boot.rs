//! Wires everything once: the first version, shared state, Pingora's server with our services.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, OnceLock};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{ListenFds, RunArgs, Server, ShutdownWatch};
use pingora_core::services::Service;
use serde_json::json;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use weir_decide::guard::ConnectionGuard;
use weir_decide::limit::Table;
use weir_schema::config::checked::CheckedConfig;
use weir_schema::config::{ConfigError, Document};

use crate::admin;
use crate::claims::Claims;
use crate::clock;
use crate::events::Events;
use crate::handover::{self, Offer, Predecessor};
use crate::listen::accept::Listeners;
use crate::listen::inherit::Inherited;
use crate::live::Shared;
use crate::process::{Command, Process, Signals};
use crate::reload::{Current, Reloader};
use crate::switches::{self, Switches};
use crate::sync::first::{self, First};
use crate::sync::pushed::{Control, ControlOptions, ControlService};
use crate::telemetry::access_log::Writer;
use crate::telemetry::audit::Auditor;
use crate::telemetry::frames::{self, Frames};
use crate::telemetry::registry::Metrics;
use crate::upstream::probe;

/// How to run a proxy.
pub struct ProxyOptions {
    /// The document, or why there is none: then only a last-known-good version can be served.
    pub document: Result<Document, String>,
    /// File that SIGHUP and an empty reload read again; `None` when the document came from elsewhere.
    pub file: Option<PathBuf>,
    /// Folder for last-known-good versions; without it the document's `node.state_dir`.
    pub state_dir: Option<PathBuf>,
    /// Where configuration is pushed from; without it the process runs alone, on its document.
    pub control: Option<ControlOptions>,
    /// Name of the proxy to whoever collects its telemetry frames; without it none are made.
    pub frames: Option<String>,
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

impl StartError {
    /// What is wrong, a sentence each.
    pub(crate) fn sentences(&self) -> Vec<String> {
        match self {
            Self::Compile(errors) => errors.clone(),
            Self::Config(errors) => errors.iter().map(ToString::to_string).collect(),
            Self::System(error) => vec![error.clone()],
        }
    }
}

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// Runs a proxy until a signal ends it.
///
/// # Errors
/// When it cannot start; a proxy that runs ends without an error.
pub fn run_proxy(options: ProxyOptions) -> Result<(), StartError> {
    // Fails only when a provider was installed before, which then serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (predecessor, offer) = Predecessor::meet()?.unzip();
    let (process, traffic, commands) = match assemble(options, offer) {
        Ok(assembled) => assembled,
        Err(error) => {
            if let Some(predecessor) = predecessor {
                predecessor.failed(error.sentences());
            }
            return Err(error);
        }
    };
    if let Ok(mut kept) = process.predecessor.lock() {
        *kept = predecessor;
    }
    let workers = process.shared.live.load().config.node.workers.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        |workers| workers.get() as usize,
    );
    let conf = ServerConf {
        threads: workers,
        work_stealing: true,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let (started, listening) = oneshot::channel();
    server.add_service(Traffic {
        started: Some(started),
        ..traffic
    });
    server.add_service(admin::AdminService {
        process: Arc::clone(&process),
        listening: Some(listening),
    });
    if let Some(control) = &process.control {
        server.add_service(ControlService::new(Arc::clone(&process), Arc::clone(control)));
    }
    let signals = Signals {
        process: Arc::clone(&process),
        commands: Mutex::new(commands),
    };
    server.run(RunArgs {
        shutdown_signal: Box::new(signals),
    });
    process
        .failed
        .get()
        .map_or(Ok(()), |errors| Err(StartError::System(errors.join("\n"))))
}

type Assembled = (Arc<Process>, Traffic, mpsc::Receiver<Command>);

/// Makes everything that needs no runtime: the first version, the admin endpoint's socket, shared state.
fn assemble(options: ProxyOptions, offer: Option<Offer>) -> Result<Assembled, StartError> {
    let metrics = Metrics::new().map_err(|error| StartError::System(error.to_string()))?;
    let mut inherited = Inherited::take(offer.as_ref().map_or(&[], |offer| offer.sockets.as_slice()));
    let generation = offer.as_ref().map_or(1, |offer| offer.generation);
    clock::sync_wall();
    let control = options.control.map(Control::open).transpose()?.map(Arc::new);
    let state_dir = options.state_dir.as_deref();
    let waf_switches = offer.as_ref().and_then(|offer| offer.waf_switches.clone());
    let mut first = match (offer, &control) {
        (
            Some(Offer {
                pushed: Some(signed),
                fallback,
                kept_tenants,
                kept_document,
                ..
            }),
            Some(control),
        ) => {
            let kept = first::Kept {
                tenants: kept_tenants,
                document: kept_document.map(Into::into),
            };
            control.handed_over(signed, fallback, kept, &metrics)?
        }
        (
            Some(Offer {
                document: Some(document),
                fallback,
                kept_tenants,
                kept_document,
                ..
            }),
            _,
        ) => {
            let kept = first::Kept {
                tenants: kept_tenants,
                document: kept_document.map(Into::into),
            };
            First::handed_over(document.into(), state_dir, fallback, kept, &metrics)?
        }
        (_, Some(control)) => control.choose(options.file.as_ref().map(|_| options.document), &metrics)?,
        (_, None) => first::choose(options.document, state_dir, &metrics)?,
    };
    first.live.generation = generation;
    let config = Arc::clone(&first.live.config);
    let admin_socket = inherited
        .listen(None, config.admin.address)
        .map_err(|error| StartError::System(format!("admin: {}: {error}", config.admin.address)))?;
    admin_socket.set_nonblocking(true)?;
    let spool = first.last_good.as_ref().map(|kept| kept.path(frames::FOLDER));
    let shared = Arc::new(Shared {
        frames: options
            .frames
            .map_or_else(Frames::off, |node| Frames::on(&node, spool.as_deref())),
        access_log: Writer::start(metrics.log_dropped.clone())?,
        audit: Auditor::start(&metrics.rules.audit_events)?,
        limits: Table::new(config.limits.table_keys),
        claims: Claims::default(),
        held: Default::default(),
        guard: ConnectionGuard::new(),
        live: ArcSwap::from_pointee(first.live),
        switches: Switches::new(
            first.last_good.as_ref().map(|kept| kept.path(switches::FILE)),
            waf_switches,
        ),
        metrics,
    });
    shared.frames.start(&shared)?;
    shared.switches.settle(&shared);
    shared
        .metrics
        .generation
        .set(i64::try_from(generation).unwrap_or(i64::MAX));
    let (commands, received) = mpsc::channel(16);
    let current = Current {
        from_start: options.file.is_none() && first.fallback.is_none() && generation == 1,
        origin: first.origin,
        fallback: first.fallback,
        sound: first.kept,
    };
    let reloader = Reloader::new(Arc::clone(&shared), options.file, first.last_good, current);
    let process = Arc::new(Process {
        reloader,
        shared,
        listeners: Mutex::new(None),
        ready: watch::channel(false).0,
        commands,
        events: Events::new(options.human),
        leave: watch::channel(None).0,
        handed_over: watch::channel(false).0,
        admin_ended: watch::channel(false).0,
        admin_socket,
        predecessor: StdMutex::new(None),
        program: handover::program(),
        started_ms: clock::unix_ms(),
        control,
        failed: OnceLock::new(),
    });
    let traffic = Traffic {
        process: Arc::clone(&process),
        inherited: Some(inherited),
        started: None,
    };
    Ok((process, traffic, received))
}

/// The service that carries traffic.
struct Traffic {
    process: Arc<Process>,
    inherited: Option<Inherited>,
    started: Option<oneshot::Sender<()>>,
}

#[async_trait]
impl Service for Traffic {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut shutdown: ShutdownWatch, _per_fd: usize) {
        let process = Arc::clone(&self.process);
        let inherited = self.inherited.take().unwrap_or_default();
        let mut listeners = Listeners::new(Arc::clone(&process.shared), process.leave.subscribe(), inherited);
        let config = Arc::clone(&process.shared.live.load().config);
        match listeners.prepare(&config.listeners) {
            Ok(prepared) => listeners.commit(prepared),
            Err(errors) => return process.cannot_start(errors),
        }
        for warning in &process.shared.live.load().warnings {
            process
                .events
                .tell(&json!({"event": "warning", "message": warning}));
        }
        for (id, address) in listeners.addresses() {
            process.tell_listening(id.as_str(), address);
        }
        *process.listeners.lock().await = Some(listeners);
        tokio::spawn(probe::run(Arc::clone(&process.shared)));
        tokio::spawn(switches::end_timed(Arc::clone(&process)));
        if let Some(started) = self.started.take() {
            // The admin service ends only with the process.
            let _ = started.send(());
        }
        // Listeners and connections are tasks of this service's runtime: it must last.
        let _ = shutdown.changed().await;
    }

    fn name(&self) -> &str {
        "traffic"
    }
}

/// Checks a document and everything that it names: certificates, keys, rules, databases. Gives what would be served, and
/// warnings.
///
/// # Errors
/// All that is wrong with the document, or all that is wrong with the files of a document that is right.
pub fn check_files(document: &Document) -> Result<(CheckedConfig, Vec<String>), StartError> {
    // Fails only when a provider was installed before, which then serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let metrics = Metrics::new().map_err(|error| StartError::System(error.to_string()))?;
    let live = first::compile(document, None, &metrics)?;
    Ok(((*live.config).clone(), live.warnings))
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
