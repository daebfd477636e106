//! Proposals as keys of the document: `waf.exclusions` of each tenant.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::evidence::{Pair, Seen};
use super::{effect, shown};

/// Targets of one exclusion that the document takes.
const TARGETS_MAX: usize = 100;
/// Longest note that the document takes; three bytes of UTF-8 may be one character of it.
const NOTE_CHARS_MAX: usize = 1024;

/// The proposals of one rule of one tenant.
type OfRule<'a> = Vec<&'a (Pair, Seen)>;

/// By tenant and rule. A rule whose id the document cannot write is under `None` of its tenant.
fn by_tenant(proposed: &[(Pair, Seen)]) -> BTreeMap<&str, BTreeMap<Option<u32>, OfRule<'_>>> {
    let mut tenants: BTreeMap<&str, BTreeMap<Option<u32>, OfRule<'_>>> = BTreeMap::new();
    for one in proposed {
        let rules = tenants.entry(one.0.tenant.as_str()).or_default();
        rules.entry(u32::try_from(one.0.rule).ok()).or_default().push(one);
    }
    tenants
}

fn exclusion(id: u32, part: &[&(Pair, Seen)]) -> Value {
    let targets: Vec<&str> = part.iter().map(|(pair, _)| pair.target.as_str()).collect();
    let notes: Vec<String> = part
        .iter()
        .map(|(pair, seen)| {
            let (hits, requests, clients) = (seen.hits, seen.requests, seen.clients.len());
            let target = shown(&pair.target);
            format!("{target}: {hits} hits of {requests} requests by {clients} clients")
        })
        .collect();
    let note = format!("from audit events: {}", notes.join("; "));
    let note: String = note.chars().take(NOTE_CHARS_MAX).collect();
    json!({"id": id, "targets": targets, "note": note})
}

/// Each tenant with its exclusions.
pub(super) fn exclusions(proposed: &[(Pair, Seen)]) -> Vec<Value> {
    let tenants = by_tenant(proposed).into_iter();
    tenants
        .map(|(tenant, rules)| {
            let rules = rules.iter().filter_map(|(id, found)| Some(((*id)?, found)));
            let all = rules.flat_map(|(id, found)| {
                let parts = found.chunks(TARGETS_MAX);
                parts.map(move |part| exclusion(id, part))
            });
            json!({"tenant": tenant, "exclusions": all.collect::<Vec<_>>()})
        })
        .collect()
}

/// A part of a document, in YAML, with a comment for each field. Items are written as JSON, which is YAML too.
pub(super) fn lines(proposed: &[(Pair, Seen)]) -> Vec<String> {
    if proposed.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        "# Add to each tenant's waf.exclusions. A tenant's list replaces its tier's; it is about the rules of its rule_set."
            .to_owned(),
        "tenants:".to_owned(),
    ];
    for (tenant, rules) in by_tenant(proposed) {
        lines.push(format!("  - id: {}", json!(tenant)));
        lines.push("    waf:".to_owned());
        lines.push("      exclusions:".to_owned());
        for (id, found) in rules {
            for (pair, seen) in &found {
                lines.push(format!(
                    "        # {} on {}: {}",
                    pair.rule,
                    shown(&pair.target),
                    shown(&seen.msg)
                ));
                lines.push(format!("        #   {}", effect(seen)));
            }
            let Some(id) = id else {
                lines.push("        #   no id of the document; use --format seclang".to_owned());
                continue;
            };
            let parts = found.chunks(TARGETS_MAX).map(|part| exclusion(id, part));
            lines.extend(parts.map(|one| format!("        - {one}")));
        }
    }
    lines
}
