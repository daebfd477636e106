//! Kill switches of the WAF while the process runs: set at the admin endpoint, in effect for the next request, kept over
//! reloads, upgrades and starts. The request path asks [`Switches::now`], which is one load while nothing is switched.

mod store;
mod switch;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use serde_json::json;
use tokio::sync::Notify;
use weir_decide::switch::{WafSwitch, WafSwitches};
use weir_schema::config::checked::WafMode;

use crate::clock;
use crate::live::Shared;
use crate::process::Process;

pub(crate) use store::FILE;
pub(crate) use switch::{KINDS, Position, Scope, Switch};

/// Most switches that are set.
pub(crate) const SWITCHES_MAX: usize = 1000;
/// Longest sleep while a switch has an end: the wall clock may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What is switched.
#[derive(Default)]
pub(crate) struct Switches {
    /// Whether `view` switches anything.
    any: AtomicBool,
    /// What the document and `set` switch together.
    view: ArcSwap<WafSwitches>,
    set: Mutex<Vec<Switch>>,
    /// Held by whoever changes `set`, or hands it over.
    alone: tokio::sync::Mutex<()>,
    changed: Notify,
    /// Where they are kept; `None` when the process has no folder for state.
    file: Option<PathBuf>,
    /// Why those that were kept could not be read.
    unread: Option<String>,
}

/// There are [`SWITCHES_MAX`] already.
pub(crate) struct TooMany;

impl Switches {
    /// Those that a process hands over, or else those that `file` keeps. [`Self::settle`] puts them into effect.
    pub(crate) fn new(file: Option<PathBuf>, handed_over: Option<Vec<Switch>>) -> Self {
        let kept = match (handed_over, &file) {
            (Some(switches), _) => Ok(switches),
            (None, Some(file)) => store::load(file),
            (None, None) => Ok(Vec::new()),
        };
        let (mut set, unread) = match kept {
            Ok(set) => (set, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        set.truncate(SWITCHES_MAX);
        Self {
            set: Mutex::new(set),
            file,
            unread,
            ..Self::default()
        }
    }

    /// What is switched; `None` when nothing is.
    pub(crate) fn now(&self) -> Option<Guard<Arc<WafSwitches>>> {
        // Relaxed: a request that begins while a switch is set may see it or not.
        self.any.load(Ordering::Relaxed).then(|| self.view.load())
    }

    fn set(&self) -> MutexGuard<'_, Vec<Switch>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that were set at the admin endpoint.
    pub(crate) fn list(&self) -> Vec<Switch> {
        self.set().clone()
    }

    /// Where they are kept.
    pub(crate) fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// Why those that were kept could not be read.
    pub(crate) fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Waits until nobody else changes or hands over switches, and keeps others waiting.
    pub(crate) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.alone.lock().await
    }

    /// Sets a switch; one that is about the same goes.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn put(&self, switch: Switch) -> Result<(), TooMany> {
        let mut set = self.set();
        let about_same = |known: &&mut Switch| known.is_about(&switch.scope, switch.rule);
        if let Some(same) = set.iter_mut().find(about_same) {
            *same = switch;
            return Ok(());
        }
        if set.len() >= SWITCHES_MAX {
            return Err(TooMany);
        }
        set.push(switch);
        Ok(())
    }

    /// Takes a switch away; gives it if it was set.
    pub(crate) fn clear(&self, scope: &Scope, rule: Option<u64>) -> Option<Switch> {
        let mut set = self.set();
        let at = set.iter().position(|known| known.is_about(scope, rule))?;
        Some(set.remove(at))
    }

    /// Takes away those whose time is over.
    fn clear_ended(&self, unix_ms: u64) -> Vec<Switch> {
        self.set()
            .extract_if(.., |switch| switch.has_ended(unix_ms))
            .collect()
    }

    /// Puts what is set, and what the version that is served says, into effect; call it after either changed.
    pub(crate) fn settle(&self, shared: &Shared) {
        let set = self.set();
        // The version is read under the lock, so that the last to settle has seen the last change of both.
        let live = shared.live.load();
        let document = &live.config.waf;
        let rules_off = document
            .rules_off
            .iter()
            .map(|id| (None, WafSwitch::RuleOff(*id)));
        let mode_max = std::iter::once((None, WafSwitch::ModeMax(document.mode_max)));
        let own = set.iter().map(Switch::effect);
        let view = WafSwitches::new(rules_off.chain(mode_max).chain(own));
        let any = !view.is_empty();
        self.view.store(Arc::new(view));
        self.any.store(any, Ordering::Release);
        for kind in KINDS {
            let own = set.iter().filter(|switch| switch.kind() == kind).count();
            let documents = match kind {
                "all" => usize::from(document.mode_max != WafMode::Block),
                "rule" => document.rules_off.len(),
                _ => 0,
            };
            let count = i64::try_from(own + documents).unwrap_or(i64::MAX);
            shared.metrics.waf_switches.with_label_values(&[kind]).set(count);
        }
        drop(set);
        self.changed.notify_one();
    }

    /// Writes them to the disk. Blocks.
    ///
    /// # Errors
    /// Those of the folder: the switches are in effect all the same.
    pub(crate) fn keep(&self) -> io::Result<()> {
        let switches = self.list();
        self.file
            .as_deref()
            .map_or(Ok(()), |file| store::save(file, &switches))
    }

    /// Waits for the next end of a switch, as far as that is near, or for a change.
    async fn wait(&self) {
        let next = self.set().iter().filter_map(|switch| switch.until_unix_ms).min();
        let Some(next) = next else {
            return self.changed.notified().await;
        };
        let left = Duration::from_millis(next.saturating_sub(clock::unix_ms()));
        // Over time is what it waits for.
        let _ = tokio::time::timeout(left.min(SLEEP_MAX), self.changed.notified()).await;
    }
}

/// Takes switches away whose time is over, for as long as the process runs.
pub(crate) async fn end_timed(process: Arc<Process>) {
    let switches = &process.shared.switches;
    loop {
        switches.wait().await;
        let _alone = switches.alone().await;
        let ended = switches.clear_ended(clock::unix_ms());
        if ended.is_empty() {
            continue;
        }
        switches.settle(&process.shared);
        if process.reloader.successor().is_some() {
            // The successor keeps and tells them; here they end for what is still in flight.
            continue;
        }
        for switch in &ended {
            let shown = switch.shown(clock::unix_ms());
            process
                .events
                .tell(&json!({"event": "waf_switch_ended", "switch": shown}));
        }
        process.keep_switches().await;
    }
}

impl Process {
    /// Writes the switches to the disk, off the workers; whether they are kept there.
    pub(crate) async fn keep_switches(self: &Arc<Self>) -> bool {
        let process = Arc::clone(self);
        let keep = move || process.shared.switches.keep();
        let kept = tokio::task::spawn_blocking(keep).await;
        match kept.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => self.shared.switches.file().is_some(),
            Err(error) => {
                self.events
                    .tell(&json!({"event": "waf_switches_not_kept", "reason": error.to_string()}));
                false
            }
        }
    }
}
