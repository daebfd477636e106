//! One event, made from a request's record and the rules' report.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use weir_decide::switch::Switched;
use weir_rules::{Report, RuleMatch};
use weir_schema::config::checked::{AuditLog, AuditValues, WafMode};
use weir_schema::telemetry::audit::{
    AuditEvent, AuditMatch, AuditMode, AuditSwitched, AuditTarget, AuditVerdict,
};

use super::{Audited, redact, verdict};
use crate::clock;
use crate::telemetry::access_log::text;

/// Bytes of texts in an event. A target is read up to `TARGET_BYTES_MAX` before anything is replaced in it.
const METHOD_BYTES_MAX: usize = 32;
const HOST_BYTES_MAX: usize = 255;
const TARGET_BYTES_MAX: usize = 8192;
const TEXT_BYTES_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 256;
const LOGDATA_BYTES_MAX: usize = 512;
const TAG_BYTES_MAX: usize = 64;
/// Tags of one rule.
const TAGS_MAX: usize = 16;
/// Rules that a switch has taken out.
const RULES_OFF_MAX: usize = 32;
/// Names of SecLang's severities, 0 to 7.
const SEVERITIES: [&str; 8] = [
    "emergency",
    "alert",
    "critical",
    "error",
    "warning",
    "notice",
    "info",
    "debug",
];

/// The event of a request with at most `matched_max` rules.
pub(super) fn event<'a>(
    log: &'a AuditLog,
    audited: &Audited<'a>,
    matched_max: usize,
    key: &RandomState,
) -> AuditEvent<'a> {
    let Audited {
        record,
        report,
        tenant,
        switched,
    } = *audited;
    let verdict = verdict(report);
    let (path, query) = target(log, record.target);
    let began_ms = clock::unix_ms().saturating_sub(u64::from(record.timings.total_us / 1000));
    let all = || report.matches.iter().filter(|found| found.audited);
    let matched: Vec<_> = all()
        .take(matched_max)
        .map(|found| one(log, found, key))
        .collect();
    let dropped = all().count() - matched.len();
    let digest = tenant.rules.as_ref().map_or(0, |rules| rules.digest());
    AuditEvent {
        time: clock::rfc3339(began_ms).into(),
        request_id: record.request_id.into(),
        generation: record.generation,
        listener: record.listener.as_str().into(),
        tenant: tenant.tenant.id.as_str().into(),
        route: record.route.map(|id| id.as_str().into()),
        client: record.client,
        country: String::from_utf8_lossy(&record.country).into_owned().into(),
        asn: record.asn,
        protocol: record.protocol.as_str().into(),
        method: text(record.method, METHOD_BYTES_MAX),
        host: text(record.host, HOST_BYTES_MAX),
        path,
        query,
        status: record.status,
        mode: match switched.map_or(tenant.tenant.waf.mode, |(mode, _)| *mode) {
            WafMode::Block => AuditMode::Block,
            WafMode::Detect | WafMode::Off => AuditMode::Detect,
        },
        switched: switched.map(|(mode, switched)| changed(*mode != tenant.tenant.waf.mode, switched)),
        verdict,
        blocked_by: report.decision.map(|decision| decision.rule),
        blocked_in_phase: report.decision.map(|decision| decision.phase),
        inbound_score: report.score,
        outbound_score: report.outbound_score,
        rule_set: tenant.tenant.waf.rule_set.as_str().into(),
        rule_set_digest: format!("{digest:016x}").into(),
        matched,
        matched_dropped: u32::try_from(dropped).unwrap_or(u32::MAX),
        budget_exceeded: report.budget_exceeded,
        body_fault: fault(log, report),
        bytes_in: record.bytes_in,
        work_bytes: report.work_bytes,
        waf_us: record.waf_ns / 1000,
        sample: match verdict {
            AuditVerdict::Blocked => 1,
            AuditVerdict::Passed | AuditVerdict::WouldBlock => log.sample.get(),
        },
    }
}

/// What switches changed.
fn changed(mode: bool, switched: &Switched) -> AuditSwitched {
    let off = switched.rules_off.as_deref().unwrap_or_default();
    let rules_off: Vec<u64> = off.iter().copied().take(RULES_OFF_MAX).collect();
    AuditSwitched {
        mode,
        rules_off_dropped: u32::try_from(off.len() - rules_off.len()).unwrap_or(u32::MAX),
        rules_off,
    }
}

fn fault<'a>(log: &AuditLog, report: &'a Report) -> Option<Cow<'a, str>> {
    let fault = report.body_fault.as_deref()?;
    Some(redact::cut(redact::clean(log, fault), NAME_BYTES_MAX))
}

/// Path and query of a target.
fn target<'a>(log: &AuditLog, target: &'a [u8]) -> (Cow<'a, str>, Option<Cow<'a, str>>) {
    let target = target.get(..TARGET_BYTES_MAX).unwrap_or(target);
    let at = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at(at);
    let query = query.get(1..).map(|query| {
        let values = log.values == AuditValues::Excerpt;
        let query = redact::query(log, &String::from_utf8_lossy(query), values);
        redact::cut(query.into(), TEXT_BYTES_MAX)
    });
    (text(path, TEXT_BYTES_MAX), query)
}

fn one<'a>(log: &'a AuditLog, found: &'a RuleMatch, key: &RandomState) -> AuditMatch<'a> {
    let named = || {
        let last = (found.variable.as_str(), found.value.as_str());
        let others = found.others.iter();
        let others = others.map(|hit| (hit.variable.as_str(), hit.value.as_str()));
        std::iter::once(last)
            .chain(others)
            .filter(|(name, _)| !name.is_empty())
    };
    // What rules made of a secret value is secret too, and so is a text about it.
    let secret = named().any(|(name, _)| redact::is_secret(log, name));
    let targets = named()
        .map(|(name, value)| AuditTarget {
            name: redact::cut(name.into(), NAME_BYTES_MAX),
            value: shown(log, name, value, secret, key),
        })
        .collect();
    let said = |said: &'a str, max: usize| redact::cut(redact::clean(log, said), max);
    let logdata = match log.values {
        AuditValues::Excerpt if !secret => said(&found.data, LOGDATA_BYTES_MAX),
        _ => Cow::Borrowed(""),
    };
    let tags = found.tags.iter().take(TAGS_MAX);
    let level = found
        .tags
        .iter()
        .find_map(|tag| tag.strip_prefix("paranoia-level/"));
    AuditMatch {
        id: found.id,
        phase: found.phase,
        file: found.file.to_string_lossy(),
        line: found.line,
        msg: said(&found.message, NAME_BYTES_MAX),
        severity: found
            .severity
            .and_then(|severity| SEVERITIES.get(usize::from(severity)))
            .map(|name| Cow::Borrowed(*name)),
        tags: tags
            .map(|tag| redact::cut(tag.as_str().into(), TAG_BYTES_MAX))
            .collect(),
        paranoia_level: level.and_then(|level| level.parse().ok()),
        targets,
        targets_dropped: found.others_dropped,
        logdata,
    }
}

/// A value as the log wants it.
fn shown<'a>(
    log: &AuditLog,
    name: &str,
    value: &'a str,
    secret: bool,
    key: &RandomState,
) -> Option<Cow<'a, str>> {
    match log.values {
        AuditValues::Omit => None,
        AuditValues::Hash => Some(format!("hash:{:016x}", key.hash_one(value)).into()),
        AuditValues::Excerpt => {
            let made = secret && (name.starts_with("TX:") || name.starts_with("MATCHED_VAR"));
            let shown = if made {
                redact::REDACTED.into()
            } else {
                redact::value(log, name, value)
            };
            Some(redact::cut(shown, usize::from(log.value_bytes_max)))
        }
    }
}
