//! Runs suites of the `go-ftw` format in process: a request goes from bytes through a lenient reader to the rules,
//! an origin answers, the rules see the answer, and the log of rule ids is compared. The OWASP CRS tests itself so.

mod front;
mod origin;
mod suite;
mod wire;
mod yaml;

pub use origin::Response;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{
    Connection, Diagnostic, Files, Mode, Options, RequestLine, RuleSet, Source, Transaction, Verdict,
};
use suite::{Expected, Stage, Test};

/// What became of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every stage was as expected.
    Passed,
    /// What was not, in one sentence.
    Failed(String),
    /// Why it was not run.
    Skipped(String),
}

/// One test and its outcome.
#[derive(Debug, Clone)]
pub struct Tested {
    /// Rule and number, like `920100-4`.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Ids of the rules that matched, over all stages.
    pub ids: Vec<u64>,
}

/// One request of a suite as a client sends it, and what the rules say about it in process.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The test's name and the number of the stage, like `920100-4/1`.
    pub name: String,
    /// What goes over the connection.
    pub request: Vec<u8>,
    /// Ids of the rules that match, in order.
    pub ids: Vec<u64>,
    /// Why a strict server answers 400 before any rule runs.
    pub refused: Option<&'static str>,
}

/// How the suite of the CRS wants its rules set up (tests/regression/README.md there), and the response types that
/// its tests answer with.
const SETUP: &str = "SecRuleEngine DetectionOnly\n\
    SecRequestBodyAccess On\nSecResponseBodyAccess On\n\
    SecResponseBodyMimeType text/plain text/html text/xml application/json\n\
    SecAction \"id:900005,phase:1,nolog,pass,ctl:ruleEngine=DetectionOnly,ctl:ruleRemoveById=910000,\
    setvar:tx.blocking_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
    setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,\
    setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535\"\n";

/// The sources of a CRS checkout in its order: the setup example, `extra` rules, the rules. With `for_tests` the
/// settings of its test suite come before `extra`.
///
/// # Errors
/// Those of reading the setup file.
pub fn crs_sources(crs: &Path, extra: &str, for_tests: bool) -> std::io::Result<Vec<Source>> {
    let setup = [crs.join("crs-setup.conf"), crs.join("crs-setup.conf.example")];
    let setup = setup.iter().find(|p| p.is_file()).unwrap_or(&setup[1]).clone();
    let text = std::fs::read_to_string(&setup)?;
    let tests = if for_tests { SETUP } else { "" };
    let part = |name: &str, text: String| Source {
        path: crs.join(name),
        text,
    };
    Ok(vec![
        Source { path: setup, text },
        part("extra.conf", format!("{tests}{extra}")),
        part("all.conf", "Include rules/*.conf\n".to_owned()),
    ])
}

/// Compiles a CRS checkout as its tests want it.
///
/// # Errors
/// What is wrong with the rules, or an error of reading as a diagnostic's text.
pub fn compile_crs(crs: &Path, files: &dyn Files) -> Result<Arc<RuleSet>, Vec<String>> {
    let sources = crs_sources(crs, "", true).map_err(|e| vec![format!("{}: {e}", crs.display())])?;
    let texts = |found: Vec<Diagnostic>| found.iter().map(ToString::to_string).collect();
    crate::compile(&sources, files).map(|c| c.rules).map_err(texts)
}

/// The test files below a folder, sorted.
///
/// # Errors
/// Those of listing.
pub fn suite_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Runs the tests of one file's text. `plain` evaluates without any optimisation.
///
/// # Errors
/// What in the file is not understood.
pub fn run_file(text: &str, rules: &Arc<RuleSet>, plain: bool) -> Result<Vec<Tested>, String> {
    let tests = suite::read(text)?;
    Ok(tests.iter().map(|test| run(test, rules, plain)).collect())
}

/// The requests of one file's text, to send them through something else and to compare what it sees.
///
/// # Errors
/// What in the file is not understood.
pub fn exchanges(text: &str, rules: &Arc<RuleSet>) -> Result<Vec<Exchange>, String> {
    let tests = suite::read(text)?;
    let of_test = |test: Test| {
        let name = test.name;
        test.stages.into_iter().enumerate().map(move |(number, stage)| {
            let seen = observe(&stage, rules, false);
            Exchange {
                name: format!("{name}/{}", number + 1),
                request: wire::write(&stage.input),
                ids: seen.ids,
                refused: seen.refused,
            }
        })
    };
    Ok(tests.into_iter().flat_map(of_test).collect())
}

/// What the suites' test server answers: an empty 200, or at `POST /reflect` what the JSON in the body asks for.
#[must_use]
pub fn answer(method: &[u8], target: &[u8], body: &[u8]) -> Response {
    let request = wire::Request {
        method: method.to_vec(),
        target: target.to_vec(),
        body: body.to_vec(),
        ..wire::Request::default()
    };
    origin::answer(&request)
}

fn run(test: &Test, rules: &Arc<RuleSet>, plain: bool) -> Tested {
    let mut ids = Vec::new();
    let mut outcome = Outcome::Passed;
    if test.stages.is_empty() {
        outcome = Outcome::Skipped("it has no stage".to_owned());
    }
    for (number, stage) in test.stages.iter().enumerate() {
        let seen = observe(stage, rules, plain);
        ids.extend(&seen.ids);
        if let Err(reason) = judge(&stage.expected, &seen) {
            outcome = Outcome::Failed(format!("stage {}: {reason}", number + 1));
            break;
        }
    }
    Tested {
        name: test.name.clone(),
        outcome,
        ids,
    }
}

/// What happened to one request.
struct Seen {
    ids: Vec<u64>,
    log: String,
    status: u16,
    refused: Option<&'static str>,
}

fn observe(stage: &Stage, rules: &Arc<RuleSet>, plain: bool) -> Seen {
    let request = wire::read(&wire::write(&stage.input));
    let options = Options {
        mode: Mode::DetectOnly,
        unique_id: 1,
        plain,
        ..Options::default()
    };
    let mut transaction = Transaction::new(Arc::clone(rules), &options, &Connection::LOOPBACK);
    let line = RequestLine {
        method: &request.method,
        target: &request.target,
        protocol: &request.protocol,
    };
    let mut verdict = transaction.request_headers(&line, &borrowed(&request.fields));
    if verdict == Verdict::Continue {
        verdict = transaction.request_body(&request.body);
    }
    let mut status = 403;
    if verdict == Verdict::Continue {
        let response = origin::answer(&request);
        status = response.status;
        verdict = transaction.response_headers(response.status, b"HTTP/1.1", &borrowed(&response.fields));
        if verdict == Verdict::Continue && transaction.wants_response_body() {
            verdict = transaction.response_body(&response.body);
        }
    }
    if let Verdict::Deny { status: denied, .. } = verdict {
        status = denied;
    }
    let refused = front::refuses(&request);
    if refused.is_some() {
        status = 400;
    }
    let fault = transaction.body_fault();
    let report = transaction.finish();
    let mut log: String = report
        .matches
        .iter()
        .filter(|m| m.logged)
        .map(|m| {
            format!(
                "[id \"{}\"] [msg \"{}\"] [data \"{}\"]\n",
                m.id, m.message, m.data
            )
        })
        .collect();
    if let Some(fault) = fault {
        log.push_str(&format!("Multipart parsing error: {fault}\n"));
    }
    Seen {
        ids: report.matches.iter().filter(|m| m.logged).map(|m| m.id).collect(),
        log,
        status,
        refused,
    }
}

fn borrowed(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect()
}

fn judge(expected: &Expected, seen: &Seen) -> Result<(), String> {
    if expected.error == Some(true) && (seen.refused.is_some() || expected_ids_hold(expected, seen)) {
        return Ok(());
    }
    if expected.status == Some(400) && seen.refused.is_some() && expected.ids.is_empty() {
        // The server answered: no rule has seen the request.
        return Ok(());
    }
    if let Some(status) = expected.status.filter(|s| *s != seen.status) {
        // A test that wants 200 for what a strict parser refuses is about the rules alone.
        if !(status == 200 && seen.refused.is_some()) {
            return Err(format!(
                "status {} instead of {status}; ids {:?}",
                seen.status, seen.ids
            ));
        }
    }
    if let Some(id) = expected.ids.iter().find(|id| !seen.ids.contains(id)) {
        return Err(format!("rule {id} did not match; ids {:?}", seen.ids));
    }
    if let Some(id) = expected.no_ids.iter().find(|id| seen.ids.contains(id)) {
        return Err(format!("rule {id} matched"));
    }
    let found = |pattern: &str| {
        crate::operators::regex(pattern, &crate::Patterns::default()).map(|r| r.is_match(seen.log.as_bytes()))
    };
    if let Some(pattern) = &expected.log_matches
        && !found(pattern)?
    {
        return Err(format!("the log does not match /{pattern}/: {}", seen.log));
    }
    if let Some(pattern) = &expected.log_does_not_match
        && found(pattern)?
    {
        return Err(format!("the log matches /{pattern}/"));
    }
    Ok(())
}

fn expected_ids_hold(expected: &Expected, seen: &Seen) -> bool {
    !expected.ids.is_empty() && expected.ids.iter().all(|id| seen.ids.contains(id))
}
