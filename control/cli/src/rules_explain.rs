//! `weir rules explain`: which rules match a request, on what, after which transformations, and the verdict.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use weir_rules::{Connection, Disk, Options, RequestLine, Source, Transaction, Verdict, compile};

use crate::commands::{INVALID, SYSTEM, complain, print};

/// A request, and the rules to judge it with.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// Path and query, as in the request line.
    #[arg(default_value = "/")]
    target: String,
    /// Method; POST when there is data.
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,
    /// Header, `Name: value`; may be given several times.
    #[arg(short = 'H', long, value_name = "HEADER")]
    header: Vec<String>,
    /// Body.
    #[arg(short = 'd', long, value_name = "DATA")]
    data: Option<String>,
    /// File with a whole HTTP/1.1 request, in place of the flags above.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "header", "data"])]
    request: Option<PathBuf>,
    /// Rule files, in order; without them and `--crs` the shipped baseline.
    #[arg(long, value_name = "FILE", conflicts_with = "crs")]
    rules: Vec<PathBuf>,
    /// Folder of the CRS.
    #[arg(long, value_name = "DIR")]
    crs: Option<PathBuf>,
    /// Paranoia level of the CRS.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    paranoia: u8,
    /// Address of the client.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    client: IpAddr,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

struct Request {
    method: String,
    target: String,
    protocol: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Judges the request and prints what happened. The exit code is 0 whatever the verdict.
pub(crate) fn run(args: &Explain, json: bool) -> ExitCode {
    let loaded = request(args).and_then(|request| Ok((request, sources(args)?)));
    let (request, sources) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(&format!("weir: {error}"));
            return ExitCode::from(SYSTEM);
        }
    };
    let rules = match compile(&sources, &Disk) {
        Ok(compiled) => compiled.rules,
        Err(found) => {
            found.iter().for_each(|d| complain(&d.to_string()));
            return ExitCode::from(INVALID);
        }
    };
    let connection = Connection::without_socket(args.client);
    let mut transaction = Transaction::new(rules, &Options::default(), &connection);
    let line = RequestLine {
        method: request.method.as_bytes(),
        target: request.target.as_bytes(),
        protocol: request.protocol.as_bytes(),
    };
    let fields: Vec<(&[u8], &[u8])> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let mut verdict = transaction.request_headers(&line, &fields);
    if verdict == Verdict::Continue {
        verdict = transaction.request_body(&request.body);
    }
    let fault = transaction.body_fault();
    let report = transaction.finish();
    let matches: Vec<_> = report
        .matches
        .iter()
        .map(|m| {
            json!({"id": m.id, "phase": m.phase, "message": m.message, "data": m.data, "severity": m.severity,
                "variable": m.variable, "value": m.value, "transformations": m.transformations, "tags": *m.tags,
                "file": m.file.display().to_string(), "line": m.line})
        })
        .collect();
    let said = match &verdict {
        Verdict::Continue => "let through".to_owned(),
        Verdict::Deny { status, rule, phase } => {
            format!("refused with {status} by rule {rule} in phase {phase}")
        }
    };
    if json || args.json {
        return print(
            &json!({"verdict": said, "refused": verdict != Verdict::Continue, "score": report.score,
                "budget_exceeded": report.budget_exceeded, "body_fault": fault, "matches": matches})
            .to_string(),
        );
    }
    let mut text = String::new();
    for m in &report.matches {
        let steps = if m.transformations.is_empty() {
            "as it is".to_owned()
        } else {
            format!("after {}", m.transformations.join(", "))
        };
        text.push_str(&format!(
            "rule {} (phase {}, {}:{}) {}\n    {} {steps}: {}\n",
            m.id,
            m.phase,
            m.file.display(),
            m.line,
            m.message,
            m.variable,
            printable(&m.value)
        ));
    }
    if let Some(fault) = fault {
        text.push_str(&format!("the body cannot be read: {fault}\n"));
    }
    print(&format!("{text}score {}\n{said}", report.score))
}

/// The text with control characters escaped.
fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

fn sources(args: &Explain) -> Result<Vec<Source>, String> {
    if let Some(crs) = &args.crs {
        let level = args.paranoia;
        let extra =
            format!("SecAction \"id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level={level}\"\n");
        return weir_rules::ftw::crs_sources(crs, &extra, false)
            .map_err(|e| format!("{}: {e}", crs.display()));
    }
    if args.rules.is_empty() {
        return Ok(weir_rules::baseline());
    }
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Source {
            path: path.clone(),
            text,
        })
    };
    args.rules.iter().map(read).collect()
}

fn request(args: &Explain) -> Result<Request, String> {
    let mut request = match &args.request {
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
            whole(&bytes).ok_or_else(|| format!("{}: this is no HTTP/1.1 request", path.display()))?
        }
        None => {
            let headers = args.header.iter().map(|line| header(line));
            let headers: Option<Vec<_>> = headers.collect();
            let default = if args.data.is_some() { "POST" } else { "GET" };
            Request {
                method: args.method.clone().unwrap_or_else(|| default.to_owned()),
                target: args.target.clone(),
                protocol: "HTTP/1.1".to_owned(),
                headers: headers.ok_or("a header is written as `Name: value`")?,
                body: args.data.clone().unwrap_or_default().into_bytes(),
            }
        }
    };
    let has =
        |headers: &[(String, String)], name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut defaults = vec![
        ("Host", "localhost"),
        ("User-Agent", "weir-explain"),
        ("Accept", "*/*"),
    ];
    if !request.body.is_empty() {
        defaults.push(("Content-Type", "application/x-www-form-urlencoded"));
    }
    // What any client sends; a request that is given whole is judged as it is.
    for (name, value) in defaults.into_iter().filter(|_| args.request.is_none()) {
        if !has(&request.headers, name) {
            request.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    if !request.body.is_empty() && !has(&request.headers, "Content-Length") {
        let length = request.body.len().to_string();
        request.headers.push(("Content-Length".to_owned(), length));
    }
    Ok(request)
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

/// Reads a request whose lines end with LF or CR LF.
fn whole(bytes: &[u8]) -> Option<Request> {
    let (at, size) = [b"\r\n\r\n".as_slice(), b"\n\n"]
        .iter()
        .filter_map(|end| Some((bytes.windows(end.len()).position(|w| w == *end)?, end.len())))
        .min()
        .unwrap_or((bytes.len(), 0));
    let head = String::from_utf8_lossy(bytes.get(..at)?).into_owned();
    let mut lines = head.lines();
    let mut parts = lines.next()?.splitn(3, ' ');
    Some(Request {
        method: parts.next()?.to_owned(),
        target: parts.next()?.to_owned(),
        protocol: parts.next()?.to_owned(),
        headers: lines.map(header).collect::<Option<Vec<_>>>()?,
        body: bytes.get(at + size..)?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn a_whole_request_is_read() {
        let request = whole(b"POST /a HTTP/1.1\r\nHost: x\r\nA: b:c\r\n\r\nbody\n\nmore").unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/a"));
        assert_eq!(request.headers[1], ("A".to_owned(), "b:c".to_owned()));
        assert_eq!(request.body, b"body\n\nmore");
        assert!(whole(b"nonsense").is_none());
    }
}
