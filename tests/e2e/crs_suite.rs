//! The regression suite of the OWASP CRS through the real proxy: what it lets through to the rules gives the same ids as in process.

#![allow(clippy::print_stdout, reason = "says which requests did not reach the rules")]

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};
use weir_rules::Disk;
use weir_rules::ftw::{self, Exchange};
use weir_tests::config::Config;
use weir_tests::crs;
use weir_tests::h1::H1;
use weir_tests::origin::{Answer, Origin, Seen};
use weir_tests::wait::wait_for;
use weir_tests::weir::Weir;

/// Ids that a line of the access log holds at most.
const LOGGED_IDS_MAX: usize = 32;
/// Requests are sent one after the other: the line of one is among so many next ones.
const NEAR: usize = 4;

fn reflecting(seen: &Seen) -> Answer {
    let answer = ftw::answer(seen.method.as_bytes(), seen.target.as_bytes(), &seen.body);
    let mut bytes = format!("HTTP/1.1 {} Status\r\n", answer.status).into_bytes();
    for (name, value) in &answer.fields {
        bytes.extend_from_slice(&[name, b": ".as_slice(), value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    if seen.method != "HEAD" {
        bytes.extend_from_slice(&answer.body);
    }
    Answer::raw(bytes)
}

fn document(crs: &std::path::Path, origin: SocketAddr) -> Config {
    let crs = crs.display();
    let files = json!([
        format!("{crs}/crs-setup.conf.example"),
        "suite.conf",
        format!("{crs}/rules/*.conf")
    ]);
    Config::with_origin(origin)
        .set("/tenants/0/hosts", json!(["*"]))
        .set("/tenants/0/waf", json!({ "rule_set": "crs", "mode": "detect" }))
        .set("/rule_sets", json!([{ "id": "crs", "files": files }]))
        .set("/observability/access_log", json!({ "file": "access.log" }))
        // A body that is shorter than its length says is given up early.
        .set("/client/body_rate_grace_ms", 200)
        .set("/client/header_timeout_ms", 1000)
}

/// Sends the request on a connection of its own; gives the client's address and the status.
fn send(web: SocketAddr, request: &[u8]) -> (String, u16) {
    let socket = std::net::TcpStream::connect(web).expect("connect");
    let from = socket.local_addr().expect("an address").to_string();
    let mut client = H1::over(socket);
    let sent = client.send(request);
    let head_only = request.starts_with(b"HEAD ");
    let response = sent.ok().and_then(|()| client.any_response(head_only));
    (from, response.map_or(0, |response| response.status))
}

#[test]
fn the_suite_of_the_crs_gives_the_same_ids_through_the_proxy() {
    let Some(crs) = crs::checkout("tests/regression/tests") else {
        return;
    };
    let rules = ftw::compile_crs(&crs, &Disk).expect("the CRS compiles");
    let suite = ftw::crs_sources(&crs, "", true).expect("the CRS is there");
    let origin = Origin::answering(reflecting);
    let weir = Weir::start_with_files(
        &document(&crs, origin.address()),
        &[("suite.conf", &suite[1].text)],
    );
    let files = ftw::suite_files(&crs.join("tests/regression/tests")).expect("the suite");
    let exchanges: Vec<Exchange> = files
        .iter()
        .flat_map(|file| {
            ftw::exchanges(&std::fs::read_to_string(file).expect("a file"), &rules).expect("tests")
        })
        .collect();
    let web = weir.address("web");
    let answers: Vec<(String, u16)> = exchanges
        .iter()
        .map(|exchange| send(web, &exchange.request))
        .collect();
    assert_eq!(weir.client().get("/last-of-all").status, 200);
    let log = wait_for("the line of the last request", || {
        let text = std::fs::read_to_string(weir.folder().join("access.log")).ok()?;
        text.contains("/last-of-all").then_some(text)
    });
    let mut lines: VecDeque<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (mut same, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    for (exchange, (from, status)) in exchanges.iter().zip(&answers) {
        // What the parser refuses has no line; what follows a request on its connection has one more.
        let at = lines
            .iter()
            .take(NEAR)
            .position(|line| line["peer"] == json!(from));
        let line = at
            .and_then(|at| lines.drain(..=at).next_back())
            .unwrap_or_default();
        let ids: Vec<u64> = line["rules"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        if line["waf_ns"].as_u64().unwrap_or(0) == 0 && *status >= 400 {
            refused.push((exchange, *status));
        } else if ids == exchange.ids[..exchange.ids.len().min(LOGGED_IDS_MAX)] {
            same += 1;
        } else {
            wrong.push(format!(
                "{}: {status} {ids:?} instead of {:?}",
                exchange.name, exchange.ids
            ));
        }
    }
    for (exchange, status) in &refused {
        let request = exchange.request.escape_ascii();
        println!("{status} before the rules: {}: {request}", exchange.name);
    }
    println!("{same} the same, {} refused before the rules", refused.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let rash: Vec<_> = refused
        .iter()
        .filter(|(exchange, _)| !is_malformed(&exchange.request))
        .collect();
    assert!(rash.is_empty(), "refused though well-formed: {rash:?}");
    assert!(same > 4400, "only {same} requests reached the rules");
}

/// Whether a strict server must or may refuse the request: RFC 9112 sections 2.2, 3, 5 and 6.1, RFC 3986 section 3,
/// RFC 9110 sections 7.2 and 9.3.6.
fn is_malformed(request: &[u8]) -> bool {
    let end = request
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or(request.len());
    let head = String::from_utf8_lossy(&request[..end]);
    let mut lines = head.split("\r\n");
    let parts: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = parts[..] else {
        return true;
    };
    let names: Vec<(String, &str)> = lines
        .map(|line| {
            line.split_once(':')
                .map_or((String::new(), line), |(name, value)| {
                    (name.to_lowercase(), value)
                })
        })
        .collect();
    let count = |wanted: &str| names.iter().filter(|(name, _)| name == wanted).count();
    let token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    method == "CONNECT"
        || !token(method)
        || version != "HTTP/1.1"
        || target
            .bytes()
            .any(|b| !b.is_ascii_graphic() || b"<>\"#".contains(&b))
        || !(target.starts_with('/') || target.contains("://"))
        || names
            .iter()
            .any(|(name, value)| !token(name) || value.contains(['\0', '\r', '\n']))
        || count("host") != 1
        || names
            .iter()
            .any(|(name, value)| name == "host" && (value.trim().is_empty() || value.contains('%')))
        || (count("content-length") > 0 && count("transfer-encoding") > 0)
}
