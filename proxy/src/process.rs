//! The life of a running process: ready, told by signals and the admin endpoint, drained or handed over.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::events::Events;
use crate::handover::{self, Offer, Predecessor};
use crate::listen::accept::Listeners;
use crate::listen::leave::Leaving;
use crate::live::Shared;
use crate::reload::{Input, Reloader};
use crate::supervisor::{self, State};
use crate::sync::pushed::Control;

/// Longest wait for answers of the admin endpoint that are on their way after a hand-over.
const ADMIN_END_MAX: Duration = Duration::from_secs(2);

/// Longest wait for the access log, the audit log and the last frame, each.
const LOG_END_MAX: Duration = Duration::from_secs(2);

/// What the running parts share.
pub(crate) struct Process {
    pub(crate) shared: Arc<Shared>,
    pub(crate) reloader: Reloader,
    /// `None` before the start and once the process leaves.
    pub(crate) listeners: Mutex<Option<Listeners>>,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) events: Events,
    pub(crate) leave: watch::Sender<Option<Leaving>>,
    /// True once a successor answers on the admin endpoint.
    pub(crate) handed_over: watch::Sender<bool>,
    /// True once the admin endpoint has ended.
    pub(crate) admin_ended: watch::Sender<bool>,
    pub(crate) admin_socket: TcpListener,
    pub(crate) predecessor: StdMutex<Option<Predecessor>>,
    pub(crate) program: PathBuf,
    /// Unix time in milliseconds.
    pub(crate) started_ms: u64,
    /// `None` of a proxy that runs alone.
    pub(crate) control: Option<Arc<Control>>,
    /// Why it could not start.
    pub(crate) failed: OnceLock<Vec<String>>,
}

/// What the admin endpoint asks of the process.
pub(crate) enum Command {
    /// Stop.
    Drain,
    /// Hand over; the answer is the new process's id, or why there is none.
    Upgrade(oneshot::Sender<Upgraded>),
}

/// The new process's id, or why there is none.
pub(crate) type Upgraded = Result<u32, Vec<String>>;

/// Why a process ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Drain,
    HandedOver,
}

impl Process {
    fn predecessor(&self) -> Option<Predecessor> {
        self.predecessor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Tells that everything is up.
    pub(crate) async fn is_ready(self: &Arc<Self>, admin: std::net::SocketAddr) {
        self.ready.send_replace(true);
        self.tell_listening("admin", admin);
        if let Some(fallback) = self.reloader.fallback() {
            self.events.tell(&fallback.event());
        }
        for aside in &self.shared.live.load().config.quarantined {
            self.events
                .tell(&json!({"event": "quarantined", "tenant": &aside.id, "reasons": &aside.reasons}));
        }
        if let Some(reason) = self.shared.switches.unread() {
            self.events
                .tell(&json!({"event": "waf_switches_not_read", "reason": reason}));
        }
        self.events.tell(&json!({"event": "ready"}));
        supervisor::tell(State::Ready);
        if let Some(predecessor) = self.predecessor() {
            predecessor.served();
        }
        let process = Arc::clone(self);
        let booted = tokio::task::spawn_blocking(move || process.reloader.booted()).await;
        self.tell_not_kept(booted.unwrap_or(Ok(())));
    }

    /// Tells that a listener accepts.
    pub(crate) fn tell_listening(&self, listener: &str, address: std::net::SocketAddr) {
        self.events
            .tell(&json!({"event": "listening", "listener": listener, "address": address.to_string()}));
    }

    /// Tells that the process cannot start, and ends it.
    pub(crate) fn cannot_start(&self, errors: Vec<String>) {
        self.events.tell(&json!({"event": "failed", "errors": &errors}));
        if let Some(predecessor) = self.predecessor() {
            predecessor.failed(errors.clone());
        }
        // The first reason is the one that is reported.
        let _ = self.failed.set(errors);
        // The signal task sees it and ends the process; a full channel means that it ends already.
        let _ = self.commands.try_send(Command::Drain);
    }

    /// Tells that a version could not be kept on disk.
    pub(crate) fn tell_not_kept(&self, kept: std::io::Result<()>) {
        if let Err(error) = kept {
            self.events
                .tell(&json!({"event": "last_known_good_not_kept", "reason": error.to_string()}));
        }
    }

    /// Stops: not ready, then no new connections, then waits for what is in flight. After a hand-over the successor is
    /// ready in our place, so the listeners close at once.
    async fn leave(self: &Arc<Self>, end: End) {
        let drain = self.shared.live.load().config.drain.clone();
        match end {
            End::Drain => {
                supervisor::tell(State::Stopping);
                self.ready.send_replace(false);
                tokio::time::sleep(drain.readiness_delay).await;
            }
            End::HandedOver => {
                self.handed_over.send_replace(true);
            }
        }
        if let Some(mut listeners) = self.listeners.lock().await.take() {
            listeners.close().await;
        }
        let since = Instant::now();
        self.leave.send_replace(Some(Leaving {
            since,
            idle_grace: drain.idle_grace,
        }));
        if end == End::HandedOver {
            let mut ended = self.admin_ended.subscribe();
            // A client that does not read its answer must not hold the process.
            let _ = tokio::time::timeout(ADMIN_END_MAX, ended.wait_for(|ended| *ended)).await;
        }
        while self.shared.guard.total() > 0 && since.elapsed() < drain.timeout {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let process = Arc::clone(self);
        let flush = move || {
            process.shared.access_log.flush(LOG_END_MAX);
            process.shared.audit.flush(LOG_END_MAX);
            process.shared.frames.finish(LOG_END_MAX);
        };
        // Only a panic in it would make it fail, and then there is nothing left to write.
        let _ = tokio::task::spawn_blocking(flush).await;
        self.events
            .tell(&json!({"event": "drained", "connections_cut": self.shared.guard.total()}));
    }

    /// Starts a new process on our sockets and waits until it serves. No version is swapped meanwhile.
    async fn hand_over(self: Arc<Self>) -> Upgraded {
        let _alone = self.reloader.alone().await;
        let _switches = self.shared.switches.alone().await;
        let told = |error: std::io::Error| vec![error.to_string()];
        let (names, sockets) = {
            let listeners = self.listeners.lock().await;
            let Some(listeners) = listeners.as_ref() else {
                return Err(vec!["the proxy is starting or stopping".to_owned()]);
            };
            let mut names = vec![None];
            let mut sockets = vec![self.admin_socket.try_clone().map_err(told)?];
            for (id, socket) in listeners.sockets().map_err(told)? {
                names.push(Some(id.as_str().to_owned()));
                sockets.push(socket);
            }
            (names, sockets)
        };
        let live = self.shared.live.load_full();
        let offer = Offer {
            sockets: names,
            generation: live.generation,
            kept_tenants: live.kept_tenants().map(|id| id.as_str().to_owned()).collect(),
            kept_document: self.reloader.document_of_kept_tenants().map(Into::into),
            pushed: self.reloader.pushed().map(|pushed| pushed.version.signed.clone()),
            document: self.reloader.document_to_hand_over().map(Into::into),
            fallback: self.reloader.fallback(),
            waf_switches: Some(self.shared.switches.list()),
        };
        let pid = handover::hand_over(&self.program, sockets, &offer).await?;
        self.reloader.handed_over(pid);
        supervisor::tell(State::MainPid(pid));
        Ok(pid)
    }

    fn upgrade(self: &Arc<Self>, asked_by: Option<oneshot::Sender<Upgraded>>) -> Upgrade {
        Upgrade {
            outcome: Box::pin(Arc::clone(self).hand_over()),
            asked_by,
        }
    }

    fn tell_upgraded(&self, upgraded: &Upgraded) {
        match upgraded {
            Ok(pid) => self.events.tell(&json!({"event": "handed_over", "pid": pid})),
            Err(errors) => self
                .events
                .tell(&json!({"event": "upgrade_failed", "errors": errors})),
        }
    }
}

/// A hand-over that is under way; dropping it ends the new process.
struct Upgrade {
    outcome: std::pin::Pin<Box<dyn Future<Output = Upgraded> + Send>>,
    asked_by: Option<oneshot::Sender<Upgraded>>,
}

async fn outcome(upgrade: &mut Option<Upgrade>) -> Upgraded {
    match upgrade {
        Some(upgrade) => upgrade.outcome.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Our signals: TERM and INT drain (a second one ends at once), HUP reloads, USR2 hands over.
pub(crate) struct Signals {
    pub(crate) process: Arc<Process>,
    pub(crate) commands: Mutex<mpsc::Receiver<Command>>,
}

struct Caught {
    term: Signal,
    int: Signal,
    hup: Signal,
    usr2: Signal,
}

impl Caught {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }
}

impl Signals {
    /// Serves until something ends the process.
    async fn until_end(&self, caught: &mut Caught) -> End {
        let process = &self.process;
        let mut commands = self.commands.lock().await;
        let mut upgrade: Option<Upgrade> = None;
        loop {
            tokio::select! {
                _ = caught.term.recv() => return End::Drain,
                _ = caught.int.recv() => return End::Drain,
                _ = caught.hup.recv() => {
                    process.shared.access_log.reopen();
                    process.shared.audit.reopen();
                    // A reload waits for an upgrade that is under way; signals must not.
                    let process = Arc::clone(process);
                    tokio::spawn(async move {
                        let outcome = process.reload(Input::File, false).await;
                        process.events.tell(&outcome.event());
                    });
                }
                _ = caught.usr2.recv() => {
                    if upgrade.is_none() {
                        upgrade = Some(process.upgrade(None));
                    }
                }
                command = commands.recv() => match command {
                    Some(Command::Upgrade(asked_by)) if upgrade.is_none() => {
                        upgrade = Some(process.upgrade(Some(asked_by)));
                    }
                    Some(Command::Upgrade(asked_by)) => {
                        // Who asked may be gone.
                        let _ = asked_by.send(Err(vec!["an upgrade is under way already".to_owned()]));
                    }
                    Some(Command::Drain) | None => return End::Drain,
                },
                upgraded = outcome(&mut upgrade) => {
                    process.tell_upgraded(&upgraded);
                    let over = upgraded.is_ok();
                    if let Some(asked_by) = upgrade.take().and_then(|upgrade| upgrade.asked_by) {
                        // Who asked may be gone.
                        let _ = asked_by.send(upgraded);
                    }
                    if over {
                        return End::HandedOver;
                    }
                }
            }
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let Ok(mut caught) = Caught::new() else {
            return ShutdownSignal::FastShutdown;
        };
        let end = self.until_end(&mut caught).await;
        tokio::select! {
            () = self.process.leave(end) => {}
            _ = caught.term.recv() => {}
            _ = caught.int.recv() => {}
        }
        ShutdownSignal::FastShutdown
    }
}
