//! `weir rules bench`: what requests cost, in CPU microseconds of the whole transaction and of each phase, and which
//! rules cost most.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_rules::{Connection, Disk, Mode, Options, Report, RequestLine, RuleSet, Transaction, compile};

use crate::commands::{INVALID, SYSTEM, complain, print};
use crate::rules_requests::{Request, read};

/// Phases that are timed apart: set-up, 1 to 5.
const PARTS: [&str; 6] = ["setup", "phase1", "phase2", "phase3", "phase4", "phase5"];
/// Rules that are shown.
const COSTLY_SHOWN: usize = 10;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Bench {
    /// Folder of the CRS; without it the shipped baseline is measured.
    #[arg(long, value_name = "DIR")]
    crs: Option<PathBuf>,
    /// Requests: a JSON list (name, method, uri, headers as pairs, body), one JSON object per line, or a HAR file.
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,
    /// Paranoia level of the CRS.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    paranoia: u8,
    /// Times each request is judged; the fastest counts.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    repeat: u32,
    /// Evaluate without any optimisation.
    #[arg(long)]
    plain: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) fn run(args: &Bench, json: bool) -> ExitCode {
    let requests = match read(&args.requests) {
        Ok(requests) => requests,
        Err(error) => {
            complain(&format!("weir: {error}"));
            return ExitCode::from(SYSTEM);
        }
    };
    let start = cpu_ns();
    let rules = match rules(args) {
        Ok(rules) => rules,
        Err(errors) => {
            errors.iter().for_each(|e| complain(e));
            return ExitCode::from(INVALID);
        }
    };
    let compile_ms = (cpu_ns() - start) as f64 / 1e6;
    let measured: Vec<Value> = requests
        .iter()
        .map(|request| measure(args, &rules, request))
        .collect();
    if json || args.json {
        return print(
            &json!({"paranoia": args.paranoia, "rules": rules.len(), "compile_ms": compile_ms,
                "requests": measured})
            .to_string(),
        );
    }
    let mut text = format!(
        "{} rules, paranoia {}, compiled in {compile_ms:.0} ms; CPU us, fastest of {}\n",
        rules.len(),
        args.paranoia,
        args.repeat
    );
    for one in &measured {
        let field = |key: &str| one.get(key).cloned().unwrap_or_default();
        let total = field("us").as_f64().unwrap_or(0.0);
        text.push_str(&format!(
            "{:16} {total:8.1}",
            field("name").as_str().unwrap_or_default()
        ));
        for part in PARTS {
            let us = field("parts").get(part).and_then(Value::as_f64).unwrap_or(0.0);
            text.push_str(&format!("  {part} {us:.1}"));
        }
        text.push_str(&format!(
            "\n    matched {}\n    costly  {}\n",
            field("ids"),
            field("costly")
        ));
    }
    print(&text)
}

fn rules(args: &Bench) -> Result<Arc<RuleSet>, Vec<String>> {
    let sources = match &args.crs {
        Some(crs) => {
            let level = args.paranoia;
            let extra = format!(
                "SecAction \"id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level}\"\n"
            );
            weir_rules::ftw::crs_sources(crs, &extra, false)
                .map_err(|e| vec![format!("weir: {}: {e}", crs.display())])?
        }
        None => weir_rules::baseline(),
    };
    match compile(&sources, &Disk) {
        Ok(compiled) => Ok(compiled.rules),
        Err(found) => Err(found.iter().map(ToString::to_string).collect()),
    }
}

fn measure(args: &Bench, rules: &Arc<RuleSet>, request: &Request) -> Value {
    let fields = request.fields();
    let mut best = [u64::MAX; PARTS.len()];
    let mut total = u64::MAX;
    let mut ids: Vec<u64> = Vec::new();
    for _ in 0..args.repeat.max(1) {
        total = total.min(judge(args, rules, request, &fields, Clocks::Total).0.iter().sum());
        let (times, report) = judge(args, rules, request, &fields, Clocks::Parts);
        best.iter_mut()
            .zip(times)
            .for_each(|(best, time)| *best = (*best).min(time));
        ids = report.matches.iter().map(|m| m.id).collect();
    }
    let mut by_rule: HashMap<u64, u64> = HashMap::new();
    let rounds = (args.repeat / 10).clamp(1, 200);
    for _ in 0..rounds {
        for (rule, ns) in judge(args, rules, request, &fields, Clocks::Rules).1.rule_ns {
            *by_rule.entry(rule).or_default() += ns;
        }
    }
    let mut costly: Vec<(u64, u64)> = by_rule.into_iter().collect();
    costly.sort_by_key(|(rule, ns)| (std::cmp::Reverse(*ns), *rule));
    let us = |ns: u64| ns as f64 / 1000.0;
    let parts: serde_json::Map<String, Value> = PARTS
        .iter()
        .zip(best)
        .map(|(part, ns)| ((*part).to_owned(), json!(us(ns))))
        .collect();
    let costly: Vec<Value> = costly
        .iter()
        .take(COSTLY_SHOWN)
        .map(|(rule, ns)| json!({"id": rule, "us": us(ns / u64::from(rounds))}))
        .collect();
    json!({"name": request.name, "us": us(total), "parts": parts, "ids": ids, "costly": costly})
}

/// What is timed. A reading of the CPU clock costs about half a microsecond (2026-11-25), so the whole is timed without those
/// in between.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clocks {
    /// The whole transaction, as its first part.
    Total,
    /// Each part.
    Parts,
    /// Each part and each rule.
    Rules,
}

/// One transaction; the times of its parts in nanoseconds.
fn judge(
    args: &Bench,
    rules: &Arc<RuleSet>,
    request: &Request,
    fields: &[(&[u8], &[u8])],
    clocks: Clocks,
) -> ([u64; PARTS.len()], Report) {
    let connection = Connection::without_socket(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
    let options = Options {
        mode: Mode::DetectOnly,
        plain: args.plain,
        rule_clock: (clocks == Clocks::Rules).then_some(cpu_ns as fn() -> u64),
        ..Options::default()
    };
    let line = RequestLine {
        method: request.method.as_bytes(),
        target: request.uri.as_bytes(),
        protocol: b"HTTP/1.1",
    };
    let between = || {
        if clocks == Clocks::Total {
            None
        } else {
            Some(cpu_ns())
        }
    };
    let start = cpu_ns();
    let mut transaction = Transaction::new(Arc::clone(rules), &options, &connection);
    let set_up = between();
    transaction.request_headers(&line, fields);
    let headers = between();
    transaction.request_body(request.body.as_bytes());
    let body = between();
    transaction.response_headers(
        200,
        b"HTTP/1.1",
        &[(b"Content-Type", b"text/html"), (b"Content-Length", b"0")],
    );
    let response = between();
    if transaction.wants_response_body() {
        transaction.response_body(b"");
    }
    let response_body = between();
    let report = transaction.finish();
    let end = cpu_ns();
    let mut times = [0; PARTS.len()];
    let stamps = [set_up, headers, body, response, response_body]
        .into_iter()
        .flatten();
    let stamps: Vec<u64> = std::iter::once(start).chain(stamps).chain([end]).collect();
    for (time, pair) in times.iter_mut().zip(stamps.windows(2)) {
        if let [from, to] = pair {
            *time = to - from;
        }
    }
    (times, report)
}

/// CPU time of this thread, in nanoseconds.
pub(crate) fn cpu_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
