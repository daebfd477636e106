//! The audit event: what rules found in one request, one JSON object per line. The names here are the log's format;
//! `weir rules suggest` reads what the proxy writes.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What rules found in one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent<'a> {
    /// When the request began: RFC 3339, UTC, milliseconds.
    pub time: Cow<'a, str>,
    /// As in the access log and in `x-request-id`.
    pub request_id: Cow<'a, str>,
    /// Generation of the configuration.
    pub generation: u64,
    /// Listener.
    pub listener: Cow<'a, str>,
    /// Tenant.
    pub tenant: Cow<'a, str>,
    /// Route; absent for a request that was refused before it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Cow<'a, str>>,
    /// Client address after trusted hops.
    pub client: IpAddr,
    /// ISO country, `XX` unknown.
    pub country: Cow<'a, str>,
    /// Autonomous system number, 0 unknown.
    pub asn: u32,
    /// Protocol towards the client.
    pub protocol: Cow<'a, str>,
    /// Method as sent.
    pub method: Cow<'a, str>,
    /// Host as sent.
    pub host: Cow<'a, str>,
    /// Path as sent.
    pub path: Cow<'a, str>,
    /// Query as sent, without what looks secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Cow<'a, str>>,
    /// Status sent; 0 when the client left before one.
    pub status: u16,
    /// The mode that counted: the tenant's, or a kill switch's.
    pub mode: AuditMode,
    /// What kill switches changed for this request; absent when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switched: Option<AuditSwitched>,
    /// What came of the matches.
    pub verdict: AuditVerdict,
    /// The rule that refused or would have; 0 for a used-up work budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<u64>,
    /// Its phase, 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_in_phase: Option<u8>,
    /// Anomaly score of the request, 0 where the set has none.
    pub inbound_score: u32,
    /// Anomaly score of the response, 0 where the set has none.
    pub outbound_score: u32,
    /// Rule set of the tenant.
    pub rule_set: Cow<'a, str>,
    /// Of the texts of its rules, 16 hexadecimal digits.
    pub rule_set_digest: Cow<'a, str>,
    /// Rules that matched, in order.
    pub matched: Vec<AuditMatch<'a>>,
    /// Rules that matched and are left out.
    pub matched_dropped: u32,
    /// Whether the work budget ended the inspection.
    pub budget_exceeded: bool,
    /// Why the body could not be read by its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_fault: Option<Cow<'a, str>>,
    /// Bytes read from the client, head and body.
    pub bytes_in: u64,
    /// Bytes that operators and transformations looked at.
    pub work_bytes: u64,
    /// Time in the rule engine, microseconds.
    pub waf_us: u64,
    /// This event stands for so many of its kind; 1 for refusals.
    pub sample: u32,
}

/// What kill switches changed for a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditSwitched {
    /// The tenant's document says another mode.
    pub mode: bool,
    /// Rules that did not run, at most 32.
    pub rules_off: Vec<u64>,
    /// Further ones that are left out.
    pub rules_off_dropped: u32,
}

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditMatch<'a> {
    /// The rule.
    pub id: u64,
    /// 1 to 5.
    pub phase: u8,
    /// Its file.
    pub file: Cow<'a, str>,
    /// Its line there.
    pub line: u32,
    /// Its message.
    pub msg: Cow<'a, str>,
    /// `emergency` to `debug`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Cow<'a, str>>,
    /// Its tags, at most 16.
    pub tags: Vec<Cow<'a, str>>,
    /// From a tag `paranoia-level/N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paranoia_level: Option<u8>,
    /// Values on which it matched; none for a rule that looks at none.
    pub targets: Vec<AuditTarget<'a>>,
    /// Further ones that are left out.
    pub targets_dropped: u32,
    /// `logdata`, without what looks secret.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub logdata: Cow<'a, str>,
}

/// A value on which a rule matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTarget<'a> {
    /// As `ARGS:name`.
    pub name: Cow<'a, str>,
    /// An excerpt after the rule's transformations, or a hash; absent where values are omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Cow<'a, str>>,
}

/// A tenant's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditMode {
    /// Verdicts are acted on.
    Block,
    /// Verdicts are recorded.
    Detect,
}

/// What came of the matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditVerdict {
    /// The request, or its response, was refused.
    Blocked,
    /// No rule wanted to refuse.
    Passed,
    /// It would have been refused in `block` mode.
    WouldBlock,
}

impl AuditVerdict {
    /// Label and log value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Passed => "passed",
            Self::WouldBlock => "would_block",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_documentation_is_an_event() {
        let text = include_str!("../../../../docs/waf.md");
        let line = text
            .lines()
            .skip_while(|line| *line != "## The audit log")
            .skip_while(|line| !line.starts_with("    {"));
        let example: String = line.take_while(|line| line.starts_with("    ")).collect();
        let event: AuditEvent<'_> = serde_json::from_str(&example).unwrap();
        let written: serde_json::Value = serde_json::to_value(&event).unwrap();
        let read: serde_json::Value = serde_json::from_str(&example).unwrap();
        assert_eq!(written, read, "the example has a name that no event has");
    }
}
