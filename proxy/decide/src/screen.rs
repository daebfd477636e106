//! One request before the tenant's rules, from its head to its response.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;
use weir_rules::{Connection, Mode, Options, Report, RequestLine, RuleSet, Transaction, Verdict};
use weir_schema::codes::RefusalCode;
use weir_schema::config::checked::{BodyOverLimit, WafMode};
use weir_schema::telemetry::record::Protocol;

use crate::Field;
use crate::content_coding::{Bounds, ContentCoding, Undecodable};
use crate::pipeline::{Moment, Stop};
use crate::policy::TenantPolicy;
use crate::refuse::Refusal;
use crate::view::{ConnectionView, RequestView};

/// What judges one request: the tenant's rules as they are switched now.
#[derive(Clone, Debug)]
pub(crate) struct Judges<'a> {
    /// The tenant's rules.
    pub(crate) rules: &'a Arc<RuleSet>,
    /// What a verdict does; not [`WafMode::Off`].
    pub(crate) mode: WafMode,
    /// Rules that a switch has taken out.
    pub(crate) rules_off: Option<Arc<[u64]>>,
}

/// The rules' view of one request. It is kept apart from the stages, so that its last phase runs and its report is made
/// however the request ends.
#[derive(Debug, Default)]
pub struct Screening {
    transaction: Option<Box<Transaction>>,
    rules: Option<Arc<RuleSet>>,
    refuse_unreadable: bool,
    coding: ContentCoding,
    body_bytes_max: u64,
    refuse_over: bool,
    /// The tenant's document says `block`, and a switch that nothing is refused.
    lowered: bool,
}

impl Screening {
    /// Whether rules look at this request.
    pub fn is_on(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether a switch has taken the power to refuse.
    pub fn is_lowered(&self) -> bool {
        self.lowered
    }

    /// Whether rules want to see the head of the response.
    pub fn wants_response(&self) -> bool {
        self.is_on() && self.rules.as_ref().is_some_and(|rules| rules.inspects_response())
    }

    /// Whether rules want to see the body of the response, whose head they have seen.
    pub fn wants_response_body(&self) -> bool {
        self.transaction
            .as_ref()
            .is_some_and(|transaction| transaction.wants_response_body())
    }

    pub(crate) fn head(
        &mut self,
        judges: &Judges<'_>,
        policy: &TenantPolicy,
        client: IpAddr,
        connection: &ConnectionView<'_>,
        request: &RequestView<'_>,
        moment: &Moment,
    ) -> Result<(), Stop> {
        let ends = Connection {
            client,
            client_port: connection.peer.port(),
            server: connection.local.ip(),
            server_port: connection.local.port(),
        };
        let options = Options {
            mode: match judges.mode {
                WafMode::Block => Mode::Enforce,
                WafMode::Detect | WafMode::Off => Mode::DetectOnly,
            },
            unique_id: moment.request_id,
            now_unix_ms: moment.unix_ms,
            clock_unix_ms: Some(moment.clock_unix_ms),
            collections: Some(Arc::clone(&policy.collections)),
            rules_off: judges.rules_off.clone(),
            ..Options::default()
        };
        let mut transaction = Box::new(Transaction::new(Arc::clone(judges.rules), &options, &ends));
        let verdict = judge_head(&mut transaction, request);
        self.transaction = Some(transaction);
        self.rules = Some(Arc::clone(judges.rules));
        self.coding = coding_of(request);
        self.refuse_unreadable = options.mode == Mode::Enforce && policy.tenant.waf.refuse_unreadable;
        self.body_bytes_max = policy.tenant.waf.body_bytes_max;
        self.lowered = policy.tenant.waf.mode == WafMode::Block && judges.mode != WafMode::Block;
        // A switch that says only to detect says it of this too.
        self.refuse_over = !self.lowered && policy.tenant.waf.body_over_limit == BodyOverLimit::Refuse;
        refuse(&verdict, RefusalCode::WafBlocked)
    }

    /// Notes that the body of the response is longer than what of it is judged; to be said before it is judged.
    pub fn response_body_is_cut(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.response_body_is_cut();
        }
    }

    /// Reads a part of the body while the rest is on its way; of a compressed one nothing can be read yet.
    pub(crate) fn body_chunk(&mut self, chunk: &[u8]) {
        if let Some(transaction) = self
            .transaction
            .as_mut()
            .filter(|_| self.coding == ContentCoding::Identity)
        {
            transaction.request_body_chunk(chunk);
        }
    }

    /// `whole` says whether the body ends here, or more of it follows that nobody judges.
    pub(crate) fn body(&mut self, body: &[u8], whole: bool) -> Result<(), Stop> {
        let Some(transaction) = &mut self.transaction else {
            return Ok(());
        };
        let bounds = Bounds {
            bytes_max: self.body_bytes_max,
            refuse_over: self.refuse_over && whole,
            whole,
        };
        let decoded = match self.coding.decode(body, &bounds) {
            Ok(decoded) => decoded,
            Err(Undecodable::TooLarge) => return Err(Refusal::boxed(RefusalCode::BodyTooLarge)),
            Err(Undecodable::Broken) => {
                transaction.request_body_is_unreadable("the content coding is not known or broken");
                Cow::Borrowed(body)
            }
        };
        if !whole {
            transaction.request_body_is_cut();
        }
        refuse(&transaction.request_body_end(&decoded), RefusalCode::WafBlocked)?;
        // What no parser could read, no rule has seen: an attack may hide in it.
        if self.refuse_unreadable && whole && transaction.body_fault().is_some() {
            return Err(Refusal::boxed(RefusalCode::WafUnreadable));
        }
        Ok(())
    }

    pub(crate) fn response_head(&mut self, status: u16, fields: &[Field<'_>]) -> Result<(), Stop> {
        let Some(transaction) = &mut self.transaction else {
            return Ok(());
        };
        let verdict = transaction.response_headers(status, b"HTTP/1.1", fields);
        refuse(&verdict, RefusalCode::WafResponseBlocked)
    }

    pub(crate) fn response_body(&mut self, body: &[u8]) -> Result<(), Stop> {
        let Some(transaction) = &mut self.transaction else {
            return Ok(());
        };
        refuse(&transaction.response_body(body), RefusalCode::WafResponseBlocked)
    }

    /// Runs the last phase; `None` when no rule looked at the request.
    pub fn finish(self) -> Option<Report> {
        self.transaction.map(|transaction| transaction.finish())
    }
}

fn coding_of(request: &RequestView<'_>) -> ContentCoding {
    let fields = request.fields.iter();
    let named = fields.filter(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"));
    ContentCoding::of(named.map(|(_, value)| *value))
}

fn judge_head(transaction: &mut Transaction, request: &RequestView<'_>) -> Verdict {
    let line = RequestLine {
        method: request.method,
        target: request.target,
        protocol: match request.protocol {
            Protocol::Http10 => b"HTTP/1.0",
            Protocol::Http11 => b"HTTP/1.1",
            Protocol::Http2 => b"HTTP/2.0",
        },
    };
    let has_host = || request.field(b"host").is_some();
    if request.protocol != Protocol::Http2 || request.host.is_empty() || has_host() {
        return transaction.request_headers(&line, request.fields);
    }
    // HTTP/2 carries the host beside the fields; rules look for it among them.
    let mut with_host: SmallVec<[_; 24]> = SmallVec::from_slice(request.fields);
    with_host.push((&b"host"[..], request.host));
    transaction.request_headers(&line, &with_host)
}

fn refuse(verdict: &Verdict, code: RefusalCode) -> Result<(), Stop> {
    match verdict {
        Verdict::Continue => Ok(()),
        Verdict::Deny { .. } => Err(Refusal::boxed(code)),
    }
}
