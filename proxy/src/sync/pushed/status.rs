//! What is known of control, for operators.

use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Serialize;
use serde_json::{Value, json};
use weir_schema::push::Head;

/// What happened lately.
#[derive(Clone, Debug, Default, Serialize)]
struct Facts {
    /// Whether a session is open.
    connected: bool,
    /// When control was heard last, Unix time in milliseconds.
    heard_ms: Option<u64>,
    /// Sessions that were opened.
    sessions: u64,
    /// Why the last session ended or none could be opened.
    error: Option<String>,
    /// The version that is served, if it is control's.
    serving: Option<Head>,
    /// The version that was refused last.
    refused: Option<Head>,
    /// Why.
    reasons: Vec<Value>,
}

/// The state of the connection to control.
#[derive(Debug, Default)]
pub(crate) struct Status(Mutex<Facts>);

impl Status {
    fn with<T>(&self, change: impl FnOnce(&mut Facts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn connected(&self, now_ms: u64) {
        self.with(|facts| {
            facts.connected = true;
            facts.sessions += 1;
            facts.heard_ms = Some(now_ms);
            facts.error = None;
        });
    }

    pub(crate) fn heard(&self, now_ms: u64) {
        self.with(|facts| facts.heard_ms = Some(now_ms));
    }

    pub(crate) fn ended(&self, reason: String) {
        self.with(|facts| {
            facts.connected = false;
            facts.error = Some(reason);
        });
    }

    pub(crate) fn serves(&self, head: Head) {
        self.with(|facts| {
            facts.serving = Some(head);
            facts.refused = None;
            facts.reasons.clear();
        });
    }

    pub(crate) fn refused(&self, head: Option<Head>, reasons: Vec<Value>) {
        self.with(|facts| {
            facts.refused = head;
            facts.reasons = reasons;
        });
    }

    /// What was refused last.
    pub(crate) fn last_refused(&self) -> Option<Head> {
        self.with(|facts| facts.refused)
    }

    pub(crate) fn report(&self) -> Value {
        self.with(|facts| json!(facts))
    }
}
