//! `weir rules replay`: recorded requests against two rule sets: which verdicts and matches differ, and what both cost.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_rules::{Connection, Disk, Options, RequestLine, RuleSet, Source, Transaction, Verdict, compile};

use crate::commands::{INVALID, SYSTEM, complain, print};
use crate::rules_bench::cpu_ns;
use crate::rules_requests::{Request, read};

/// Two rule sets and the requests.
#[derive(clap::Args)]
pub(crate) struct Replay {
    /// The rules that run: files, or the folder of a CRS.
    #[arg(long, value_name = "PATH", required = true)]
    old: Vec<PathBuf>,
    /// The rules to come: files, or the folder of a CRS.
    #[arg(long, value_name = "PATH", required = true)]
    new: Vec<PathBuf>,
    /// Requests: a JSON list, one JSON object per line, or a HAR file.
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Replays and prints. The exit code is 1 when a verdict differs.
pub(crate) fn run(args: &Replay, json: bool) -> ExitCode {
    let loaded = rules(&args.old).and_then(|old| Ok((old, rules(&args.new)?)));
    let (old, new) = match loaded {
        Ok(sets) => sets,
        Err(errors) => {
            errors.iter().for_each(|e| complain(e));
            return ExitCode::from(INVALID);
        }
    };
    let requests = match read(&args.requests) {
        Ok(requests) => requests,
        Err(error) => {
            complain(&format!("weir: {error}"));
            return ExitCode::from(SYSTEM);
        }
    };
    let (mut cost_old, mut cost_new, mut verdicts) = (0, 0, 0);
    let mut different: Vec<Value> = Vec::new();
    for request in &requests {
        let (before, after) = (judge(&old, request), judge(&new, request));
        cost_old += before.ns;
        cost_new += after.ns;
        if before.verdict == after.verdict && before.ids == after.ids {
            continue;
        }
        verdicts += usize::from(before.verdict != after.verdict);
        let missing = |from: &[u64], of: &[u64]| -> Vec<u64> {
            from.iter().filter(|id| !of.contains(id)).copied().collect()
        };
        different.push(json!({"name": request.name, "uri": request.uri,
            "old": said(&before.verdict), "new": said(&after.verdict),
            "gained": missing(&after.ids, &before.ids), "lost": missing(&before.ids, &after.ids)}));
    }
    let us = |ns: u64| ns as f64 / 1000.0;
    let printed = if json || args.json {
        let report = json!({"requests": requests.len(), "verdicts_differ": verdicts, "different": different,
            "old_us": us(cost_old), "new_us": us(cost_new)});
        print(&report.to_string())
    } else {
        let mut text = String::new();
        for one in &different {
            let part = |key: &str| match one.get(key) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            text.push_str(&format!(
                "{} {}: {} -> {}, gained {}, lost {}\n",
                part("name"),
                part("uri"),
                part("old"),
                part("new"),
                part("gained"),
                part("lost")
            ));
        }
        print(&format!(
            "{text}{} requests, {verdicts} verdicts differ, {} with other matches; CPU {:.0} us -> {:.0} us",
            requests.len(),
            different.len() - verdicts,
            us(cost_old),
            us(cost_new)
        ))
    };
    if verdicts == 0 {
        printed
    } else {
        ExitCode::from(INVALID)
    }
}

fn rules(paths: &[PathBuf]) -> Result<Arc<RuleSet>, Vec<String>> {
    let failed = |path: &Path, error: std::io::Error| vec![format!("weir: {}: {error}", path.display())];
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            let all = weir_rules::ftw::crs_sources(path, "", false).map_err(|e| failed(path, e))?;
            sources.extend(all);
        } else {
            let text = std::fs::read_to_string(path).map_err(|e| failed(path, e))?;
            sources.push(Source {
                path: path.clone(),
                text,
            });
        }
    }
    match compile(&sources, &Disk) {
        Ok(compiled) => Ok(compiled.rules),
        Err(found) => Err(found.iter().map(ToString::to_string).collect()),
    }
}

struct Judged {
    verdict: Verdict,
    ids: Vec<u64>,
    ns: u64,
}

fn judge(rules: &Arc<RuleSet>, request: &Request) -> Judged {
    let start = cpu_ns();
    let mut transaction = Transaction::new(Arc::clone(rules), &Options::default(), &Connection::LOOPBACK);
    let line = RequestLine {
        method: request.method.as_bytes(),
        target: request.uri.as_bytes(),
        protocol: b"HTTP/1.1",
    };
    let mut verdict = transaction.request_headers(&line, &request.fields());
    if verdict == Verdict::Continue {
        verdict = transaction.request_body(request.body.as_bytes());
    }
    let report = transaction.finish();
    let ns = cpu_ns() - start;
    let ids = report.matches.iter().map(|m| m.id).collect();
    Judged { verdict, ids, ns }
}

fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Continue => "let through".to_owned(),
        Verdict::Deny { status, rule, .. } => format!("{status} by rule {rule}"),
    }
}
