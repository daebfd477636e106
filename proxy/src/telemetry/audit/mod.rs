//! The audit log: one JSON event per request on which rules matched. Refusals are always written, what passed as far as the
//! log's rate and every rule's own allow; what becomes of each event is counted.

mod event;
mod rate;
mod redact;

use std::hash::RandomState;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec};
use weir_decide::policy::TenantPolicy;
use weir_decide::switch::Switched;
use weir_rules::{Audit, Report};
use weir_schema::config::checked::{AuditLog, LogSink, WafMode};
use weir_schema::telemetry::audit::AuditVerdict;
use weir_schema::telemetry::record::RequestRecord;

use super::line_writer::{LineWriter, Log, Settings};
use crate::clock;
use crate::random;

/// Events that wait to be written. With [`EVENT_BYTES_MAX`] they hold 128 MiB at the very most; an ordinary event has 2 KiB.
const QUEUE_MAX: usize = 2048;
/// A longer event is written with fewer rules.
const EVENT_BYTES_MAX: usize = 65_536;

impl Log for AuditLog {
    fn sink(&self) -> &LogSink {
        &self.sink
    }
}

/// What happened to a request, and to whom.
pub(crate) struct Audited<'a> {
    pub(crate) record: &'a RequestRecord<'a>,
    pub(crate) report: &'a Report,
    pub(crate) tenant: &'a TenantPolicy,
    /// The mode that counted, where a switch changes what the document says.
    pub(crate) switched: Option<&'a (WafMode, Switched)>,
}

/// What came of the matches.
pub(crate) fn verdict(report: &Report) -> AuditVerdict {
    match report.decision {
        Some(decision) if decision.enforced => AuditVerdict::Blocked,
        Some(_) => AuditVerdict::WouldBlock,
        None => AuditVerdict::Passed,
    }
}

/// Makes events and writes them.
pub(crate) struct Auditor {
    lines: LineWriter<AuditLog>,
    rates: rate::Rates,
    /// Of the hashes of values.
    key: RandomState,
    written: IntCounter,
    sampled_out: IntCounter,
    over_rate: IntCounter,
    dropped: IntCounter,
}

impl Auditor {
    /// Starts the thread that writes; it ends with the value.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(events: &IntCounterVec) -> io::Result<Self> {
        let counter = |result: &str| events.with_label_values(&[result]);
        let lines = LineWriter::start(Settings {
            name: "audit-log",
            queue_max: QUEUE_MAX,
            // Events carry parts of requests.
            mode: 0o640,
            failed: counter("failed"),
        })?;
        Ok(Self {
            lines,
            rates: rate::Rates::new(),
            key: RandomState::new(),
            written: counter("written"),
            sampled_out: counter("sampled_out"),
            over_rate: counter("over_rate"),
            dropped: counter("dropped"),
        })
    }

    /// Writes the event of a request, if it has one. Never waits.
    pub(crate) fn write(&self, log: &Arc<AuditLog>, audited: &Audited<'_>) {
        if !is_audited(audited.report) {
            return;
        }
        if verdict(audited.report) != AuditVerdict::Blocked {
            let sample = u64::from(log.sample.get());
            if sample > 1 && !random::next().is_multiple_of(sample) {
                return self.sampled_out.inc();
            }
            if !self.is_within_rates(log, audited) {
                return self.over_rate.inc();
            }
        }
        let queued = line(log, audited, &self.key).is_some_and(|line| self.lines.write(log, line));
        if queued {
            self.written.inc();
        } else {
            self.dropped.inc();
        }
    }

    /// Takes from every rule's budget; whether any had something left. An event without a rule counts as rule 0.
    fn is_within_rates(&self, log: &AuditLog, audited: &Audited<'_>) -> bool {
        let Some(max) = log.rule_events_per_s_max else {
            return true;
        };
        let second = clock::unix_ms() / 1000;
        let tenant = &audited.tenant.tenant.id;
        let rules = audited.report.matches.iter().filter(|found| found.audited);
        let mut ids = rules.map(|found| found.id).peekable();
        if ids.peek().is_none() {
            return self.rates.take(tenant, 0, second, max.get());
        }
        // Every rule is asked, so that each event counts for all its rules.
        ids.fold(false, |any, id| {
            self.rates.take(tenant, id, second, max.get()) | any
        })
    }

    /// Waits until what was written so far is out, at most `limit`. Blocks.
    pub(crate) fn flush(&self, limit: Duration) {
        self.lines.flush(limit);
    }

    /// Opens files again, after a rotation.
    pub(crate) fn reopen(&self) {
        self.lines.reopen();
    }
}

/// Whether a request leaves an event.
fn is_audited(report: &Report) -> bool {
    match report.audit {
        Audit::Off => false,
        Audit::All => true,
        Audit::Matches => {
            report.decision.is_some()
                || report.budget_exceeded
                || report.body_fault.is_some()
                || report.matches.iter().any(|found| found.audited)
        }
    }
}

/// The event as a line; with fewer rules where it would be too long. `None` only when memory is short.
fn line(log: &AuditLog, audited: &Audited<'_>, key: &RandomState) -> Option<Vec<u8>> {
    let mut matched_max = usize::from(log.matched_max);
    loop {
        let mut bytes = Vec::with_capacity(2048);
        serde_json::to_writer(&mut bytes, &event::event(log, audited, matched_max, key)).ok()?;
        bytes.push(b'\n');
        if bytes.len() <= EVENT_BYTES_MAX || matched_max == 0 {
            return Some(bytes);
        }
        matched_max /= 2;
    }
}
