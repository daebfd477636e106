//! From a document to a swap: check, compile, open listeners, swap once, keep as last-known-good. A failure changes nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::oneshot;
use weir_schema::config::{ConfigError, Document, check, check_parts, diff};

use crate::boot::read_document;
use crate::clock;
use crate::live::{self, Live, Shared};
use crate::pace;
use crate::process::Process;
use crate::sync::first::Fallback;
use crate::sync::last_good::LastGood;
use crate::sync::origin::{Origin, PushedOrigin};
use crate::sync::pushed::Version;

/// How long a version that was replaced is kept.
const RETIRED_FOR: Duration = Duration::from_secs(2);
/// Of the thread that compiles: beside a busy worker on the same core it has a tenth of it (kernel, `sched_prio_to_weight`).
const NICENESS: i32 = 10;
/// To whoever gives a document to a proxy that has its versions from control.
const CONTROLLED: &str =
    "this proxy takes its configuration from control: change it there, with `weir apply`";

/// Makes versions and keeps them.
pub(crate) struct Reloader {
    shared: Arc<Shared>,
    file: Option<PathBuf>,
    last_good: Option<LastGood>,
    /// Held by whoever changes the version, or hands it over.
    alone: tokio::sync::Mutex<()>,
    current: Mutex<Current>,
    /// The version before, kept until its requests are over: taking it apart is not for the worker that has the last of them.
    retired: Mutex<Option<Arc<Live>>>,
    successor: OnceLock<u32>,
}

/// What is served.
pub(crate) struct Current {
    /// What it was made from.
    pub(crate) origin: Origin,
    /// Whether it is what the program makes from its arguments.
    pub(crate) from_start: bool,
    /// Why it is not the one that was asked for.
    pub(crate) fallback: Option<Fallback>,
    /// The last version in which nobody was set aside, while somebody is.
    pub(crate) sound: Option<Origin>,
}

/// What became of a reload.
pub(crate) enum Outcome {
    /// Nothing differs, or only a dry run was asked for.
    Checked {
        generation: u64,
        diff: Value,
        warnings: Vec<String>,
    },
    /// Refused, with reasons.
    Refused(Vec<Value>),
    /// Swapped.
    Swapped {
        generation: u64,
        diff: Value,
        quarantined: Value,
        /// What works but may not mean what an operator thinks.
        warnings: Vec<String>,
        /// From reading the document to the swap.
        compile_ms: u64,
        /// CPU time of reading and checking, and of compiling and comparing, microseconds.
        check_cpu_us: u64,
        compile_cpu_us: u64,
    },
}

impl Outcome {
    /// The outcome as JSON.
    pub(crate) fn event(&self) -> Value {
        match self {
            Self::Checked {
                generation,
                diff,
                warnings,
            } => {
                json!({"event": "checked", "generation": generation, "warnings": warnings, "diff": diff})
            }
            Self::Refused(errors) => json!({"event": "reload_refused", "errors": errors}),
            Self::Swapped {
                generation,
                diff,
                quarantined,
                warnings,
                compile_ms,
                check_cpu_us,
                compile_cpu_us,
            } => {
                json!({"event": "reloaded", "generation": generation, "compile_ms": compile_ms,
                    "check_cpu_us": check_cpu_us, "compile_cpu_us": compile_cpu_us, "quarantined": quarantined,
                    "warnings": warnings, "diff": diff})
            }
        }
    }
}

fn messages(errors: impl IntoIterator<Item = impl ToString>) -> Vec<Value> {
    errors
        .into_iter()
        .map(|error| json!({"message": error.to_string()}))
        .collect()
}

fn refused(message: impl ToString) -> Outcome {
    Outcome::Refused(messages([message.to_string()]))
}

/// What a version is made from.
pub(crate) enum Input {
    /// The file, read again.
    File,
    /// A document.
    Text(String),
    /// A version from control.
    Pushed(Box<Version>),
}

/// A version that could be swapped in.
struct Candidate {
    origin: Origin,
    live: Live,
    diff: Value,
    started: Instant,
    check_cpu_us: u64,
    compile_cpu_us: u64,
}

impl Reloader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        file: Option<PathBuf>,
        last_good: Option<LastGood>,
        current: Current,
    ) -> Self {
        shared.metrics.degraded.set(i64::from(current.fallback.is_some()));
        Self {
            shared,
            file,
            last_good,
            alone: tokio::sync::Mutex::default(),
            current: Mutex::new(current),
            retired: Mutex::default(),
            successor: OnceLock::new(),
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why an older version is served than the one that was asked for.
    pub(crate) fn fallback(&self) -> Option<Fallback> {
        self.current().fallback.clone()
    }

    /// The first version serves: it is the last that is known to be good.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub(crate) fn booted(&self) -> std::io::Result<()> {
        self.count_quarantined();
        if let Some(last_good) = &self.last_good {
            last_good.boot_succeeded();
        }
        self.keep()
    }

    /// Keeps what is served. An older version that stands in for a broken document is kept already.
    fn keep(&self) -> std::io::Result<()> {
        let Some(last_good) = &self.last_good else {
            return Ok(());
        };
        let document = {
            let current = self.current();
            match &current.origin {
                Origin::Document(document) if current.fallback.is_none() => document.clone(),
                // What control sends has a store of its own.
                _ => return Ok(()),
            }
        };
        last_good.store(&document)
    }

    /// Waits until nobody else changes the version, and keeps others waiting.
    pub(crate) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.alone.lock().await
    }

    /// The same content has another revision from now on.
    pub(crate) fn renumber(&self, version: Version) {
        let mut current = self.current();
        if let Origin::Pushed(old) = &current.origin {
            let checked = old.checked.clone();
            current.origin = Origin::Pushed(Arc::new(PushedOrigin { version, checked }));
        }
    }

    /// The document for a process that takes over; `None` when it makes the same one from its arguments.
    pub(crate) fn document_to_hand_over(&self) -> Option<Document> {
        let current = self.current();
        match &current.origin {
            Origin::Document(document) if !current.from_start => Some(document.clone()),
            _ => None,
        }
    }

    /// The version from control that is served.
    pub(crate) fn pushed(&self) -> Option<Arc<PushedOrigin>> {
        self.current().origin.pushed().cloned()
    }

    /// The document that tenants who are set aside are served from.
    pub(crate) fn document_of_kept_tenants(&self) -> Option<Document> {
        let sound = self.current().sound.clone();
        sound.and_then(|sound| sound.document())
    }

    /// Another process serves from now on: no version is swapped here any more.
    pub(crate) fn handed_over(&self, pid: u32) {
        // Set once: only a process without a successor hands over.
        let _ = self.successor.set(pid);
    }

    /// The process that took over.
    pub(crate) fn successor(&self) -> Option<u32> {
        self.successor.get().copied()
    }

    /// The file's document.
    fn read(&self) -> Result<Document, Vec<Value>> {
        if self.pushed().is_some() {
            return Err(messages([CONTROLLED]));
        }
        let Some(file) = &self.file else {
            return Err(messages([
                "this proxy was started without a file; send the document as the body",
            ]));
        };
        read_document(file).map_err(|error| messages([format!("{}: {error}", file.display())]))
    }

    /// A document that came as a body.
    fn body(&self, text: String) -> Result<Document, Vec<Value>> {
        match &self.current().origin {
            Origin::Document(served) => Ok(Document {
                name: "body".to_owned(),
                base: served.base.clone(),
                text,
            }),
            Origin::Pushed(_) => Err(messages([CONTROLLED])),
        }
    }

    /// Checks and compiles. Blocks while it compiles: call it off the workers.
    fn prepare(&self, input: Input) -> Result<Candidate, Vec<Value>> {
        let started = Instant::now();
        let cpu_started_us = clock::thread_cpu_us();
        let listed = |errors: Vec<ConfigError>| errors.iter().map(|error| json!(error)).collect::<Vec<_>>();
        let (origin, config) = match input {
            Input::Pushed(version) => {
                let serving = self.pushed();
                let serving = serving.as_ref().map(|pushed| &pushed.checked);
                let checked = check_parts(version.parts.clone(), serving).map_err(listed)?;
                let config = checked.config.clone();
                let version = *version;
                (
                    Origin::Pushed(Arc::new(PushedOrigin { version, checked })),
                    config,
                )
            }
            Input::File | Input::Text(_) => {
                let document = match input {
                    Input::Text(text) => self.body(text)?,
                    _ => self.read()?,
                };
                let config = check(&document).map_err(listed)?;
                (Origin::Document(document), config)
            }
        };
        let cpu_checked_us = clock::thread_cpu_us();
        pace::give_way();
        let old = self.shared.live.load_full();
        let live = live::compile(config, Some(&old), &self.shared.metrics).map_err(messages)?;
        pace::give_way();
        Ok(Candidate {
            diff: json!(diff(&old.config, &live.config)),
            origin,
            live,
            started,
            check_cpu_us: cpu_checked_us.saturating_sub(cpu_started_us),
            compile_cpu_us: clock::thread_cpu_us().saturating_sub(cpu_checked_us),
        })
    }

    /// Swaps; the version before is the second that is returned.
    fn commit(&self, candidate: Candidate) -> (Outcome, Arc<Live>) {
        let generation = candidate.live.generation;
        let quarantined = json!(candidate.live.config.quarantined);
        let sound = (!candidate.live.config.quarantined.is_empty()).then(|| {
            let current = self.current();
            current.sound.clone().unwrap_or_else(|| current.origin.clone())
        });
        let warnings = candidate.live.warnings.clone();
        let old = self.shared.live.swap(Arc::new(candidate.live));
        self.shared.switches.settle(&self.shared);
        self.shared.claims.forget();
        let metrics = &self.shared.metrics;
        metrics
            .generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        metrics.last_reload.set(clock::unix_ms() as f64 / 1000.0);
        metrics.degraded.set(0);
        self.count_quarantined();
        *self.current() = Current {
            origin: candidate.origin,
            from_start: false,
            fallback: None,
            sound,
        };
        let outcome = Outcome::Swapped {
            generation,
            diff: candidate.diff,
            quarantined,
            warnings,
            compile_ms: u64::try_from(candidate.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            check_cpu_us: candidate.check_cpu_us,
            compile_cpu_us: candidate.compile_cpu_us,
        };
        (outcome, old)
    }

    /// Keeps a version that was replaced, instead of the one that was kept so far.
    fn retire(&self, old: Arc<Live>) {
        let before = self.retired().replace(old);
        drop(before);
    }

    /// Lets a version go, if it is the one that is kept.
    fn forget(&self, generation: u64) {
        let old = self.retired().take_if(|old| old.generation == generation);
        drop(old);
    }

    fn retired(&self) -> std::sync::MutexGuard<'_, Option<Arc<Live>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_quarantined(&self) {
        let count = self.shared.live.load().config.quarantined.len();
        let quarantined = &self.shared.metrics.quarantined;
        quarantined.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn count(&self, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Checked { .. } => "checked",
            Outcome::Refused(_) => "refused",
            Outcome::Swapped { .. } => "swapped",
        };
        self.shared.metrics.reloads.with_label_values(&[result]).inc();
    }
}

impl Process {
    /// Reloads from `input`, listeners included.
    pub(crate) async fn reload(self: &Arc<Self>, input: Input, dry_run: bool) -> Outcome {
        let _alone = self.reloader.alone().await;
        let outcome = self.reload_alone(input, dry_run).await;
        self.reloader.count(&outcome);
        outcome
    }

    async fn reload_alone(self: &Arc<Self>, input: Input, dry_run: bool) -> Outcome {
        if let Some(pid) = self.reloader.successor() {
            return refused(format!("process {pid} took over: ask again, it will answer"));
        }
        let process = Arc::clone(self);
        let candidate = match behind(move || process.reloader.prepare(input)).await {
            Some(Ok(candidate)) => candidate,
            Some(Err(errors)) => return Outcome::Refused(errors),
            None => return refused("the reload failed inside"),
        };
        if dry_run {
            return Outcome::Checked {
                generation: self.shared.live.load().generation,
                diff: candidate.diff,
                warnings: candidate.live.warnings,
            };
        }
        let (outcome, old) = {
            let mut listeners = self.listeners.lock().await;
            let Some(listeners) = listeners.as_mut() else {
                return refused("the proxy is starting or stopping");
            };
            let sockets = match listeners.prepare(&candidate.live.config.listeners) {
                Ok(sockets) => sockets,
                Err(errors) => return Outcome::Refused(messages(errors)),
            };
            let swapped = self.reloader.commit(candidate);
            let before = listeners.addresses();
            listeners.commit(sockets);
            for opened in listeners.addresses().iter().filter(|one| !before.contains(one)) {
                self.tell_listening(opened.0.as_str(), opened.1);
            }
            swapped
        };
        let replaced = old.generation;
        let process = Arc::clone(self);
        let kept = behind(move || {
            process.reloader.retire(old);
            process.reloader.keep()
        });
        self.tell_not_kept(kept.await.unwrap_or(Ok(())));
        let process = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(RETIRED_FOR).await;
            behind(move || process.reloader.forget(replaced)).await
        });
        outcome
    }
}

/// Runs on a thread of its own, which gives way to the workers: compiling takes long, and nobody's answer waits for it.
/// `None` when it ended without a result.
pub(crate) async fn behind<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name("reload".to_owned());
    let started = thread.spawn(move || {
        // Of this thread alone, on Linux; where it is refused, the work is done all the same.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        pace::begin();
        let _ = sender.send(work());
    });
    started.ok()?;
    result.await.ok()
}
