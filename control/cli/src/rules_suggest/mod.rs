//! `weir rules suggest`: exclusions proposed from audit events, as lines, as a diff or as keys of the document. A proposal takes one field away from one
//! rule, never a rule as a whole, and says what it rests on; what is not proposed says why.

mod diff;
mod document;
mod evidence;
mod judge;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::commands::{INVALID, SYSTEM, USAGE, complain, fail, print};
use evidence::{Evidence, Pair, Seen};
use judge::{Thresholds, doubts};

/// Pairs that are not proposed and are listed with their reasons in the text.
const DOUBTED_MAX: usize = 50;
/// Longest text from an event that is printed.
const SHOWN_CHARS_MAX: usize = 100;

/// Audit events, and what they must show.
#[derive(clap::Args)]
pub(crate) struct Suggest {
    /// Audit logs, one event per line; without any, or for `-`, standard input. Best of detect mode.
    events: Vec<PathBuf>,
    /// Only events of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// The tenant's rule file: print a diff that adds the proposals to it. A file that does not exist is made by it.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// What proposals are written as.
    #[arg(long, value_enum, default_value_t = Format::Seclang)]
    format: Format,
    /// Events to read.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    events_max: usize,
    #[command(flatten)]
    thresholds: Thresholds,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What proposals are written as.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines of a rule file.
    Seclang,
    /// Keys of the document: `waf.exclusions` of each tenant.
    Document,
}

/// What was found.
struct Suggestions {
    proposed: Vec<(Pair, Seen)>,
    doubted: Vec<(Pair, Seen, Vec<String>)>,
    /// Events that would have been refused, and those of them without a match when all proposals hold.
    refused: u64,
    cleared: u64,
}

/// Reads and prints. The exit code is 0 also when nothing is proposed.
pub(crate) fn run(args: &Suggest, as_json: bool) -> ExitCode {
    let as_json = as_json || args.json;
    if args.format == Format::Document && args.against.is_some() {
        let message =
            "--against is a rule file and goes with --format seclang; the document's keys are added by hand";
        return fail(USAGE, message, as_json);
    }
    let evidence = match read(args) {
        Ok(evidence) => evidence,
        Err(error) => return fail(SYSTEM, &error, as_json),
    };
    if evidence.events() == 0 && evidence.strange > 0 {
        let message = "these are no audit events: give the file that `observability.audit_log` names";
        return fail(INVALID, message, as_json);
    }
    let against = match &args.against {
        None => None,
        Some(path) => match existing(path) {
            Ok(text) => Some((path.as_path(), text)),
            Err(error) => return fail(SYSTEM, &format!("{}: {error}", path.display()), as_json),
        },
    };
    if against.is_some() && evidence.tenants().len() > 1 {
        let message = "the events are of several tenants: say with --tenant whose file --against is";
        return fail(USAGE, message, as_json);
    }
    if evidence.strange > 0 {
        complain(&format!("weir: {} lines are no audit events", evidence.strange));
    }
    let mut found = suggestions(&evidence, &args.thresholds);
    let mut already = 0;
    if let Some((_, text)) = &against {
        let known: HashSet<&str> = text.lines().map(str::trim).collect();
        let before = found.proposed.len();
        found
            .proposed
            .retain(|(pair, _)| !known.contains(directive(pair).as_str()));
        already = before - found.proposed.len();
    }
    let diff = against.as_ref().map(|(path, text)| {
        let added = lines(&found.proposed);
        diff::insertion(&path.display().to_string(), text, usize::MAX, &added)
    });
    if as_json {
        return print(&as_value(&evidence, &found, diff.as_deref(), already).to_string());
    }
    let lines = match args.format {
        Format::Seclang => lines(&found.proposed),
        Format::Document => document::lines(&found.proposed),
    };
    let proposals = diff.unwrap_or_else(|| lines.join("\n"));
    print(&as_text(&evidence, &found, &proposals, already))
}

fn read(args: &Suggest) -> Result<Evidence, String> {
    let mut evidence = Evidence::default();
    let stdin = [PathBuf::from("-")];
    let paths = if args.events.is_empty() {
        &stdin[..]
    } else {
        &args.events[..]
    };
    let tenant = args.tenant.as_deref();
    for path in paths {
        let read = if path.as_os_str() == "-" {
            evidence.read(io::stdin().lock(), tenant, args.events_max)
        } else {
            File::open(path).and_then(|file| evidence.read(BufReader::new(file), tenant, args.events_max))
        };
        read.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(evidence)
}

/// The text of a file; of one that is not there, none.
fn existing(path: &Path) -> io::Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

fn suggestions(evidence: &Evidence, thresholds: &Thresholds) -> Suggestions {
    let attackers = evidence.attackers(thresholds.classes_min());
    let (mut proposed, mut doubted) = (Vec::new(), Vec::new());
    for (pair, seen) in evidence.sum(&attackers) {
        let doubts = doubts(&pair, &seen, thresholds);
        if doubts.is_empty() {
            proposed.push((pair, seen));
        } else {
            doubted.push((pair, seen, doubts));
        }
    }
    doubted.sort_by_key(|(_, seen, _)| std::cmp::Reverse(seen.hits));
    let excluded: HashSet<&Pair> = proposed.iter().map(|(pair, _)| pair).collect();
    let (refused, cleared) = evidence.cleared(&excluded);
    Suggestions {
        proposed,
        doubted,
        refused,
        cleared,
    }
}

fn directive(pair: &Pair) -> String {
    format!("SecRuleUpdateTargetById {} \"!{}\"", pair.rule, pair.target)
}

/// A text from an event as a comment may show it: in one line.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(SHOWN_CHARS_MAX).map(plain).collect()
}

/// What a proposal would have done.
fn effect(seen: &Seen) -> String {
    let paths: Vec<String> = seen.paths.iter().take(3).map(|path| shown(path)).collect();
    let more = if seen.paths.len() > 3 { ", ..." } else { "" };
    let attackers = match seen.of_attackers {
        0 => String::new(),
        count => format!("; and {count} requests of clients that try attacks"),
    };
    format!(
        "would have excluded {} hits of {} requests by {} clients, {} of them would have been blocked; on {}{more}{attackers}",
        seen.hits,
        seen.requests,
        seen.clients.len(),
        seen.would_block,
        paths.join(", ")
    )
}

/// The lines of a rule file, with a comment for each field.
fn lines(proposed: &[(Pair, Seen)]) -> Vec<String> {
    let mut by_field: BTreeMap<(&str, &str), Vec<&(Pair, Seen)>> = BTreeMap::new();
    for one in proposed {
        let field = (one.0.tenant.as_str(), one.0.target.as_str());
        by_field.entry(field).or_default().push(one);
    }
    let mut lines = Vec::new();
    for ((tenant, target), rules) in by_field {
        lines.push(format!(
            "# {}: {}, from audit events",
            shown(tenant),
            shown(target)
        ));
        for (pair, seen) in rules {
            lines.push(format!("#   {}: {}", pair.rule, shown(&seen.msg)));
            lines.push(format!("#   {}", effect(seen)));
            lines.push(directive(pair));
        }
    }
    lines
}

fn as_text(evidence: &Evidence, found: &Suggestions, proposals: &str, already: usize) -> String {
    let mut text = format!(
        "# {} events, {} proposals; with all of them {} of {} requests that would have been blocked have no match left\n",
        evidence.events(),
        found.proposed.len(),
        found.cleared,
        found.refused
    );
    if already > 0 {
        text.push_str(&format!("# {already} proposals are in the file already\n"));
    }
    if evidence.left_out > 0 {
        text.push_str(&format!(
            "# {} events are left out: of other tenants, or above --events-max\n",
            evidence.left_out
        ));
    }
    for (pair, seen, doubts) in found.doubted.iter().take(DOUBTED_MAX) {
        text.push_str(&format!(
            "# not proposed: {} on {} of {} ({} hits): {}\n",
            pair.rule,
            shown(&pair.target),
            shown(&pair.tenant),
            seen.hits,
            shown_all(doubts)
        ));
    }
    let more = found.doubted.len().saturating_sub(DOUBTED_MAX);
    if more > 0 {
        text.push_str(&format!("# not proposed: {more} more, see --output json\n"));
    }
    text.push_str(proposals);
    text
}

fn shown_all(doubts: &[String]) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    doubts.join("; ").chars().map(plain).collect()
}

fn as_value(evidence: &Evidence, found: &Suggestions, diff: Option<&str>, already: usize) -> Value {
    let one = |pair: &Pair, seen: &Seen| {
        json!({
            "tenant": pair.tenant, "rule": pair.rule, "target": pair.target, "msg": seen.msg,
            "hits": seen.hits, "requests": seen.requests, "clients": seen.clients.len(),
            "would_have_been_blocked": seen.would_block, "paths": seen.paths,
            "requests_of_attackers": seen.of_attackers, "requests_of_several_classes": seen.mixed,
        })
    };
    let with = |mut value: Value, key: &str, added: Value| {
        if let Some(members) = value.as_object_mut() {
            members.insert(key.to_owned(), added);
        }
        value
    };
    let proposed = found
        .proposed
        .iter()
        .map(|(pair, seen)| with(one(pair, seen), "directive", directive(pair).into()));
    let doubted = found
        .doubted
        .iter()
        .map(|(pair, seen, doubts)| with(one(pair, seen), "reasons", json!(doubts)));
    json!({
        "events": evidence.events(),
        "lines_not_understood": evidence.strange,
        "events_left_out": evidence.left_out,
        "would_have_been_blocked": found.refused,
        "without_a_match_then": found.cleared,
        "in_the_file_already": already,
        "proposed": proposed.collect::<Vec<_>>(),
        "document": document::exclusions(&found.proposed),
        "not_proposed": doubted.collect::<Vec<_>>(),
        "diff": diff,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
