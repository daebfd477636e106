//! From a document to a swap: check, compile, swap once, keep as last-known-good. A failure changes nothing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use weir_schema::config::{Document, check, diff};

use crate::boot::{Process, read_document};
use crate::clock;
use crate::live::{self, Live, Shared, SwapLock};
use crate::sync::last_good::LastGood;

/// Makes swaps.
pub(crate) struct Reloader {
    shared: Arc<Shared>,
    file: Option<PathBuf>,
    last_good: Option<LastGood>,
    lock: SwapLock,
    current: Mutex<Document>,
}

/// What became of a reload.
pub(crate) enum Outcome {
    /// Nothing differs, or only a dry run was asked for.
    Checked { generation: u64, diff: Value },
    /// Refused, with reasons.
    Refused(Vec<Value>),
    /// Swapped.
    Swapped {
        generation: u64,
        diff: Value,
        compile_ms: u64,
    },
}

impl Outcome {
    /// The outcome as JSON.
    pub(crate) fn event(&self) -> Value {
        match self {
            Self::Checked { generation, diff } => {
                json!({"event": "checked", "generation": generation, "diff": diff})
            }
            Self::Refused(errors) => json!({"event": "reload_refused", "errors": errors}),
            Self::Swapped {
                generation,
                diff,
                compile_ms,
            } => {
                json!({"event": "reloaded", "generation": generation, "compile_ms": compile_ms, "diff": diff})
            }
        }
    }
}

fn refused(message: impl ToString) -> Outcome {
    Outcome::Refused(vec![json!({"message": message.to_string()})])
}

impl Reloader {
    pub(crate) fn new(
        shared: Arc<Shared>,
        file: Option<PathBuf>,
        last_good: Option<LastGood>,
        current: Document,
    ) -> Self {
        Self {
            shared,
            file,
            last_good,
            lock: SwapLock::default(),
            current: Mutex::new(current),
        }
    }

    /// The first version serves: it is the last that is known to be good.
    pub(crate) fn booted(&self) {
        if let Some(last_good) = &self.last_good {
            last_good.boot_succeeded();
            last_good.store(&self.current.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The document that is being served.
    pub(crate) fn document(&self) -> Document {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The file's document.
    fn read(&self) -> Result<Document, Outcome> {
        let Some(file) = &self.file else {
            return Err(refused(
                "this proxy was started without a file; send the document as the body",
            ));
        };
        read_document(file).map_err(|error| refused(format!("{}: {error}", file.display())))
    }

    /// Checks, compiles and swaps. Blocks while it compiles: call it off the workers.
    pub(crate) fn reload(&self, text: Option<String>, dry_run: bool) -> (Outcome, Option<Arc<Live>>) {
        self.lock.run(|| {
            let document = match text {
                Some(text) => Document {
                    name: "body".to_owned(),
                    base: self.document().base,
                    text,
                },
                None => match self.read() {
                    Ok(document) => document,
                    Err(outcome) => return (self.count(outcome), None),
                },
            };
            self.swap(document, dry_run)
        })
    }

    fn count(&self, outcome: Outcome) -> Outcome {
        let result = match &outcome {
            Outcome::Checked { .. } => "checked",
            Outcome::Refused(_) => "refused",
            Outcome::Swapped { .. } => "swapped",
        };
        self.shared.metrics.reloads.with_label_values(&[result]).inc();
        outcome
    }

    fn swap(&self, document: Document, dry_run: bool) -> (Outcome, Option<Arc<Live>>) {
        let start = Instant::now();
        let old = self.shared.live.load_full();
        let config = match check(&document) {
            Ok(config) => config,
            Err(errors) => {
                let errors = errors.iter().map(|error| json!(error)).collect();
                return (self.count(Outcome::Refused(errors)), None);
            }
        };
        let difference = json!(diff(&old.config, &config));
        self.shared.claims.forget();
        let live = match live::compile(config, Some(&old), &self.shared.metrics) {
            Ok(live) => live,
            Err(errors) => {
                let errors = errors
                    .iter()
                    .map(|error| json!({"message": error.to_string()}))
                    .collect();
                return (self.count(Outcome::Refused(errors)), None);
            }
        };
        if dry_run {
            return (
                self.count(Outcome::Checked {
                    generation: old.generation,
                    diff: difference,
                }),
                None,
            );
        }
        let generation = live.generation;
        self.shared.live.store(Arc::new(live));
        self.shared
            .metrics
            .generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.shared
            .metrics
            .last_reload
            .set(clock::unix_ms() as f64 / 1000.0);
        if let Some(last_good) = &self.last_good {
            last_good.store(&document);
        }
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = document;
        let compile_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        (
            self.count(Outcome::Swapped {
                generation,
                diff: difference,
                compile_ms,
            }),
            Some(old),
        )
    }

    /// Puts back what a swap replaced: its listeners could not be started.
    fn put_back(&self, old: Arc<Live>) {
        self.shared
            .metrics
            .generation
            .set(i64::try_from(old.generation).unwrap_or(i64::MAX));
        self.shared.live.store(old);
    }
}

impl Process {
    /// Reads the file again.
    pub(crate) async fn reload_file(self: &Arc<Self>) -> Outcome {
        self.reload(None, false).await
    }

    /// Reloads, listeners included: when one cannot be started, the old version is put back.
    pub(crate) async fn reload(self: &Arc<Self>, text: Option<String>, dry_run: bool) -> Outcome {
        let process = Arc::clone(self);
        let reloaded = tokio::task::spawn_blocking(move || process.reloader.reload(text, dry_run)).await;
        let Ok((outcome, old)) = reloaded else {
            return refused("the reload failed inside");
        };
        let Some(old) = old else { return outcome };
        if let Err(errors) = self.apply_listeners().await {
            self.reloader.put_back(old);
            // The old listeners were serving before: they start again, or were never stopped.
            let _ = self.apply_listeners().await;
            return Outcome::Refused(
                errors
                    .into_iter()
                    .map(|message| json!({"message": message}))
                    .collect(),
            );
        }
        outcome
    }

    async fn apply_listeners(&self) -> Result<(), Vec<String>> {
        let (done, result) = tokio::sync::oneshot::channel();
        if self.changed.send(done).await.is_err() {
            return Err(vec!["the proxy is stopping".to_owned()]);
        }
        result
            .await
            .unwrap_or_else(|_| Err(vec!["the proxy is stopping".to_owned()]))
    }
}
