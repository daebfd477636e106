//! `weir explain`: what a running proxy would decide about a request, and why.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::commands::{INVALID, SYSTEM, USAGE, fail, print};
use crate::running;

/// How long the proxy may take: rules over a large body.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(crate) struct Explain {
    /// URL of the request; https:// counts as an encrypted connection to that host.
    url: String,
    /// Method; POST when there is a body.
    #[arg(short = 'X', long, value_name = "METHOD")]
    request: Option<String>,
    /// A header, as often as needed.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body.
    #[arg(short = 'd', long, value_name = "TEXT", allow_hyphen_values = true)]
    data: Option<String>,
    /// Address of the connection's other end.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    peer: IpAddr,
    /// Admin endpoint of the proxy.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
}

/// Asks and prints. Exit code 0 whatever the decision; it is in the output.
pub(crate) fn explain(explain: &Explain, as_json: bool) -> ExitCode {
    let mut headers = Vec::new();
    for header in &explain.headers {
        let Some((name, value)) = header.split_once(':') else {
            return fail(USAGE, &format!("-H {header:?}: give NAME: VALUE"), as_json);
        };
        headers.push((name.trim(), value.trim()));
    }
    let is_form = explain.data.is_some()
        && !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if is_form {
        headers.push(("content-type", "application/x-www-form-urlencoded"));
    }
    let default = if explain.data.is_some() { "POST" } else { "GET" };
    let question = json!({
        "method": explain.request.as_deref().unwrap_or(default),
        "url": explain.url,
        "headers": headers,
        "peer": explain.peer,
        "body": explain.data.as_deref().unwrap_or_default(),
    });
    match running::post(explain.admin, "/explain", &question.to_string(), PATIENCE) {
        Ok((200, answer)) if as_json => print(&answer.to_string()),
        Ok((200, answer)) => print(&told(&answer)),
        Ok((_, answer)) => {
            let message = answer["errors"][0]["message"].as_str().unwrap_or_default();
            fail(INVALID, message, as_json)
        }
        Err(error) => {
            let message = format!("{error}; is a proxy running with its admin endpoint there?");
            fail(SYSTEM, &message, as_json)
        }
    }
}

/// The answer for a person.
fn told(answer: &Value) -> String {
    let mut lines = Vec::new();
    for stage in answer["stages"].as_array().into_iter().flatten() {
        let mut found = stage.clone();
        if let Some(members) = found.as_object_mut() {
            members.remove("stage");
        }
        lines.push(format!(
            "{:<9}{found}",
            stage["stage"].as_str().unwrap_or_default()
        ));
    }
    for rule in answer["rules"].as_array().into_iter().flatten() {
        lines.push(format!(
            "rule     {} phase {}: {} ({} = {:?}) {}:{}",
            rule["id"],
            rule["phase"],
            rule["message"].as_str().unwrap_or_default(),
            rule["variable"].as_str().unwrap_or_default(),
            rule["value"].as_str().unwrap_or_default(),
            rule["file"].as_str().unwrap_or_default(),
            rule["line"],
        ));
    }
    let verdict = &answer["verdict"];
    if verdict["decision"] == "forward" {
        lines.push(format!("forward  {}", answer["upstream"]));
    } else {
        lines.push(format!(
            "refuse   {} {}: {}",
            verdict["status"],
            verdict["code"].as_str().unwrap_or_default(),
            verdict["title"].as_str().unwrap_or_default(),
        ));
    }
    lines.join("\n")
}
