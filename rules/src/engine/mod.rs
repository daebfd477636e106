//! One request through the rules.

mod active;
mod effects;
mod evaluate;
mod items;
mod persist;
mod request;
mod store;
mod time;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::bits::Bits;
use crate::bodies;
use crate::collections::Collections;
use crate::compile::{Audit, EngineMode, PROGRAMS, Program, RuleSet, Target, XmlArgs};
use crate::variables::{PERSISTENT, Var};
use items::Item;
use store::{Id, Store};

pub(crate) use items::{selects, stored};

/// A header: name as sent, value without surrounding white space.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// Whether verdicts are acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A matching deny rule refuses the request.
    #[default]
    Enforce,
    /// Matches are recorded; the answer is always [`Verdict::Continue`].
    DetectOnly,
}

/// What the caller decides about one transaction.
#[derive(Debug, Clone)]
pub struct Options {
    /// Enforce or detect.
    pub mode: Mode,
    /// Becomes `UNIQUE_ID`; must differ between requests.
    pub unique_id: u128,
    /// Becomes `TIME_EPOCH`, in milliseconds since 1970.
    pub now_unix_ms: u64,
    /// Bytes that operators and transformations may look at. When it is used up, no further rule runs, the report says
    /// so, and in `Enforce` mode the request is refused with 503 (rule 0): an unjudged request is not let through.
    pub budget: u64,
    /// Reads the same clock as `now_unix_ms`; with it `DURATION` has what has passed since, without it 0.
    pub clock_unix_ms: Option<fn() -> u64>,
    /// Evaluate every rule on every value, without any optimisation: slow, obvious, and what the optimised evaluation is
    /// tested against.
    pub plain: bool,
    /// Reads a clock in nanoseconds; with it the report says what each rule that was looked at took.
    pub rule_clock: Option<fn() -> u64>,
    /// What rules remember between requests; without it they remember until the transaction ends.
    pub collections: Option<Arc<Collections>>,
    /// Ids of rules that do not run, in any program of the set; those that the set does not have are ignored.
    pub rules_off: Option<Arc<[u64]>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            unique_id: 0,
            now_unix_ms: 0,
            clock_unix_ms: None,
            budget: 256 << 20,
            plain: false,
            rule_clock: None,
            collections: None,
            rules_off: None,
        }
    }
}

/// The two ends of the client's connection.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// The client, after trusted forwarding headers were applied.
    pub client: IpAddr,
    /// Its port.
    pub client_port: u16,
    /// Our address.
    pub server: IpAddr,
    /// Our port.
    pub server_port: u16,
}

impl Connection {
    /// Both ends on this machine.
    pub const LOOPBACK: Self = Self::without_socket(IpAddr::V4(Ipv4Addr::LOCALHOST));

    /// For requests that no socket carried: from files, benchmarks and tests. To port 80 of this machine.
    #[must_use]
    pub const fn without_socket(client: IpAddr) -> Self {
        Self {
            client,
            client_port: 40_000,
            server: IpAddr::V4(Ipv4Addr::LOCALHOST),
            server_port: 80,
        }
    }
}

/// The request line.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// As sent.
    pub method: &'a [u8],
    /// As sent.
    pub target: &'a [u8],
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub protocol: &'a [u8],
}

/// What the rules say after a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// Answer with this status.
    Deny {
        /// HTTP status.
        status: u16,
        /// The rule that refused; 0 for an exceeded budget.
        rule: u64,
        /// 1 to 5.
        phase: u8,
    },
}

/// A rule that matched and wants to be logged.
#[derive(Debug, Clone)]
pub struct RuleMatch {
    /// The rule's id.
    pub id: u64,
    /// `msg`, expanded.
    pub message: String,
    /// `logdata`, expanded.
    pub data: String,
    /// 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// The rule's tags.
    pub tags: Arc<[String]>,
    /// 1 to 5.
    pub phase: u8,
    /// The variable that matched last, as `ARGS:name`.
    pub variable: String,
    /// Its value after the transformations, at most 256 bytes.
    pub value: String,
    /// The transformations of the rule that matched last.
    pub transformations: Vec<&'static str>,
    /// The rule's file.
    pub file: Arc<PathBuf>,
    /// The rule's line.
    pub line: u32,
    /// Other values that this match is about: the further ones of the rule, and the request's own value where the one that
    /// matched last was made by the rules (a capture, a TX variable). At most [`HITS_MAX`] of one transaction.
    pub others: Vec<Hit>,
    /// Values of this match that are not kept.
    pub others_dropped: u32,
    /// Whether it belongs in logs and counters (`nolog` was not said).
    pub logged: bool,
    /// Whether it belongs in an audit event (`noauditlog` was not said).
    pub audited: bool,
}

/// Most [`Hit`]s that one transaction keeps.
pub const HITS_MAX: usize = 256;

/// A value on which a rule matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its name, as `ARGS:name`.
    pub variable: String,
    /// The value after the transformations, at most 256 bytes.
    pub value: String,
}

/// What the rules decided about a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// False when the verdict was recorded only: the request would have been refused in `Enforce` mode.
    pub enforced: bool,
    /// The first rule that refused; 0 for an exceeded budget.
    pub rule: u64,
    /// 1 to 5.
    pub phase: u8,
}

/// What is left of a transaction.
#[derive(Debug, Clone)]
pub struct Report {
    /// Every logged match, in order.
    pub matches: Vec<RuleMatch>,
    /// The larger of `TX.blocking_inbound_anomaly_score` and `TX.inbound_anomaly_score`.
    pub score: u32,
    /// The same of the outbound scores; 0 when nothing matched.
    pub outbound_score: u32,
    /// The refusal, if there was one or would have been one.
    pub decision: Option<Decision>,
    /// Why the body could not be read by its type, if it could not.
    pub body_fault: Option<String>,
    /// Bytes that operators and transformations looked at.
    pub work_bytes: u64,
    /// Which audit event the transaction leaves.
    pub audit: Audit,
    /// Whether the work budget ended the inspection.
    pub budget_exceeded: bool,
    /// With `Options::rule_clock`: each rule that was looked at, and nanoseconds.
    pub rule_ns: Vec<(u64, u64)>,
}

impl Report {
    /// Whether there is anything to tell: a match, a refusal, a fault, or an event that was asked for.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        !self.matches.is_empty()
            || self.decision.is_some()
            || self.budget_exceeded
            || self.body_fault.is_some()
            || self.audit == Audit::All
    }
}

/// The set, and the program of it whose rules are running.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    set: &'a RuleSet,
    program: &'a Program,
    which: usize,
}

/// Lists and texts whose room is used again and again, also by the next transactions.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// What the last matching link found.
    hits: Vec<Item>,
    new_hits: Vec<Item>,
    items: Vec<Item>,
    ids: Vec<Id>,
    triggers: Vec<u64>,
    /// Steps to look at, and operators that may match.
    active: Bits,
    found: Bits,
    /// A name, a value and an argument while they are expanded.
    name: Vec<u8>,
    text: Vec<u8>,
    argument: Vec<u8>,
}

impl Buffers {
    /// Most elements of a list, or bytes of a text, that are kept room for.
    const KEPT_MAX: usize = 4096;

    /// Empties what the next transaction would take for its own, and gives back the room that few need.
    fn tidy(&mut self) {
        self.hits.clear();
        for list in [&mut self.hits, &mut self.new_hits, &mut self.items] {
            if list.capacity() > Self::KEPT_MAX {
                *list = Vec::new();
            }
        }
        for text in [&mut self.name, &mut self.text, &mut self.argument] {
            if text.capacity() > Self::KEPT_MAX {
                *text = Vec::new();
            }
        }
        if self.ids.capacity() > Self::KEPT_MAX {
            (self.ids, self.triggers) = Default::default();
        }
    }
}

/// One request and its response on their way through the rules.
pub struct Transaction {
    pub(crate) rules: Arc<RuleSet>,
    store: Box<Store>,
    connection: Connection,
    unique_id: u128,
    now_unix_ms: u64,
    clock_unix_ms: Option<fn() -> u64>,
    plain: bool,
    rule_clock: Option<fn() -> u64>,
    rule_ns: Vec<(u64, u64)>,
    collections: Option<Arc<Collections>>,
    /// The keys of the records that were opened.
    opened: [Option<Arc<[u8]>>; PERSISTENT.len()],
    /// The value that matched last.
    matched: Option<Item>,
    /// What the head of the running chain matched last.
    head_matched: Option<Item>,
    buffers: Buffers,
    /// The stored variables that have a value, as bits, when the running phase began.
    present: u64,
    pub(crate) mode: EngineMode,
    pub(crate) matches: Vec<RuleMatch>,
    pub(crate) exceeded: bool,
    pub(crate) audit: Audit,
    pub(crate) decision: Option<Decision>,
    budget: u64,
    /// Hits kept in the matches' `others`.
    others: usize,
    /// Rules that `ctl` or the caller has switched off, and targets of rules.
    removed: [Bits; PROGRAMS],
    excluded: Vec<([Bits; PROGRAMS], Arc<Target>)>,
    pub(crate) processor: Option<String>,
    xml_args: XmlArgs,
    /// The rule that is running, by its place in its program.
    running: usize,
    /// The smallest severity of a rule that matched; 255 when there was none.
    highest_severity: u8,
    /// `FULL_REQUEST` with the body, where a rule wants it.
    full_request: Option<Id>,
    /// The body while it is read.
    reading: Option<bodies::Reader>,
    /// The body is longer than what is judged of it.
    body_cut: bool,
    pub(crate) force_body: bool,
    /// Whether bodies are read, from the settings or by `ctl`.
    body_access: bool,
    response_access: bool,
    pub(crate) content_type: Vec<u8>,
    pub(crate) response_inspected: bool,
    /// The verdict once a rule gave one; later phases but the last are skipped.
    pub(crate) ended: Option<Verdict>,
    /// `allow` without a scope, or with `request` and its last phase.
    pub(crate) allowed_until: usize,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction")
            .field("matches", &self.matches)
            .finish_non_exhaustive()
    }
}

impl Transaction {
    /// What matched so far.
    #[must_use]
    pub fn matches(&self) -> &[RuleMatch] {
        &self.matches
    }

    /// Whether the response body is worth giving to [`Self::response_body`].
    #[must_use]
    pub fn wants_response_body(&self) -> bool {
        self.response_inspected && self.mode != EngineMode::Off && self.rules.has_phase(3)
    }

    /// Why the body could not be read by its type, if it could not.
    #[must_use]
    pub fn body_fault(&self) -> Option<String> {
        self.store
            .scalar(Var::ReqbodyErrorMsg)
            .map(|id| String::from_utf8_lossy(self.store.get(id)).into_owned())
    }

    /// Runs phase 5 and reports.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.run(4);
        let score = self.score("blocking_inbound_anomaly_score", "inbound_anomaly_score");
        let outbound_score = if self.matches.is_empty() {
            0
        } else {
            self.score("blocking_outbound_anomaly_score", "outbound_anomaly_score")
        };
        Report {
            matches: std::mem::take(&mut self.matches),
            score,
            outbound_score,
            decision: self.decision,
            body_fault: self.body_fault(),
            work_bytes: self.budget.saturating_sub(self.store.budget),
            audit: self.audit,
            budget_exceeded: self.exceeded,
            rule_ns: std::mem::take(&mut self.rule_ns),
        }
    }

    /// The larger of two TX variables.
    fn score(&self, one: &str, other: &str) -> u32 {
        let number = |name: &str| self.store.tx_number(&self.rules, name.as_bytes());
        u32::try_from(number(one).max(number(other)).max(0)).unwrap_or(u32::MAX)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.buffers.tidy();
        self.store.buffers = std::mem::take(&mut self.buffers);
        std::mem::take(&mut self.store).give_back();
    }
}
