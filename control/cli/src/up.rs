//! `weir up`: control and a proxy as two processes, on safe built-in defaults.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use weir_control::auth::BOOTSTRAP_FILE;
use weir_schema::config::{Document, check};

use crate::commands::{SYSTEM, USAGE, complain, fail, print, report};
use crate::demo;
use crate::supervise::{Ended, Kept, Program};

/// The proxy's name, and its region.
const NODE: &str = "local";
/// Lines of control that wait to be read.
const LINES: usize = 64;

#[derive(Args)]
pub(crate) struct Up {
    /// Upstream to protect, like http://127.0.0.1:3000; without it a built-in demo origin answers.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Address of the proxy's admin endpoint.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: String,
    /// Folder in which control and proxy keep what must survive a restart; without it a temporary one, removed at the end.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Address of control's admin API.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9902")]
    api: String,
    /// MMDB file with countries; adds geo headers and `--deny-country`.
    #[arg(long, value_name = "FILE")]
    geo: Option<PathBuf>,
    /// Countries to refuse (ISO 3166 codes).
    #[arg(long, value_name = "CODE", value_delimiter = ',', requires = "geo")]
    deny_country: Vec<String>,
    /// Peers (CIDR) whose X-Forwarded-For counts.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    trust: Vec<String>,
    /// Requests per second of one client address.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rate: u32,
    /// What the rules do: off, detect or block.
    #[arg(long, value_name = "MODE", default_value = "block")]
    waf: String,
}

/// Runs it.
pub(crate) fn run(up: &Up, as_json: bool) -> ExitCode {
    let upstream = match &up.upstream {
        Some(url) => match endpoint(url) {
            Some(endpoint) => endpoint,
            None => {
                let message =
                    format!("--upstream {url}: give http://HOST:PORT, for example http://127.0.0.1:3000");
                return fail(USAGE, &message, as_json);
            }
        },
        None => match demo::start() {
            Ok(address) => address.to_string(),
            Err(error) => {
                return fail(SYSTEM, &format!("the demo origin cannot start: {error}"), as_json);
            }
        },
    };
    let document = document(up, &upstream);
    // Said now, in the words of the arguments' document, and not by a child.
    if let Err(errors) = check(&document) {
        return report(&document.name, &errors, as_json);
    }
    if !as_json {
        print(&greeting(up, &upstream));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(SYSTEM, &error.to_string(), as_json),
    };
    match runtime.block_on(supervise(up, &document, as_json)) {
        Ok(code) => code,
        Err(reason) => fail(SYSTEM, &reason, as_json),
    }
}

fn document(up: &Up, upstream: &str) -> Document {
    let here = std::env::current_dir().unwrap_or_default();
    let mut config = json!({
        "version": 1,
        "regions": [{"id": NODE}],
        "node": {"region": NODE},
        "admin": {"address": up.admin},
        "listeners": [{"id": "web", "address": up.listen}],
        "trust": {"proxies": up.trust},
        "pools": [{"id": "upstream", "endpoints": [upstream]}],
        "tenants": [{
            "id": "default",
            "hosts": ["*"],
            "limits": {"address": {"requests": up.rate}},
            "geo": {"countries_deny": up.deny_country},
            "waf": {"mode": up.waf},
            "routes": [{"id": "all", "path_prefix": "/", "pool": "upstream", "upgrade": true}],
        }],
    });
    if let Some(path) = &up.geo {
        config["geo"] = json!({"country_database": here.join(path)});
    }
    Document {
        name: "weir up".to_owned(),
        base: here,
        text: config.to_string(),
    }
}

fn greeting(up: &Up, upstream: &str) -> String {
    let origin = if up.upstream.is_some() {
        "your upstream"
    } else {
        "a built-in demo origin"
    };
    format!(
        "weir in front of {origin} ({upstream}): WAF {}, {} requests/s per address, geo {}\n\
         try   curl http://{}/\n\
         \x20     curl 'http://{}/?id=1%27%20OR%20%271%27=%271'      # an SQL injection: 403\n\
         \x20     curl http://{}/metrics                            # what it cost\n\
         stop  Ctrl-C drains\nlistening:",
        up.waf,
        up.rate,
        if up.geo.is_some() {
            "on"
        } else {
            "off (give --geo FILE)"
        },
        up.listen,
        up.listen,
        up.admin,
    )
}

/// A folder for the data; a temporary one goes with the value.
struct DataDir {
    path: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl DataDir {
    fn open(given: Option<&Path>) -> Result<Self, String> {
        match given {
            Some(path) => {
                std::fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
                let path = std::path::absolute(path).map_err(|error| error.to_string())?;
                Ok(Self {
                    path,
                    _temporary: None,
                })
            }
            None => {
                let temporary = tempfile::TempDir::with_prefix("weir-").map_err(|error| error.to_string())?;
                Ok(Self {
                    path: temporary.path().to_owned(),
                    _temporary: Some(temporary),
                })
            }
        }
    }
}

/// Signals that end everything.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

fn arguments(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

async fn supervise(up: &Up, document: &Document, as_json: bool) -> Result<ExitCode, String> {
    let mut signals = Signals::new().map_err(|error| error.to_string())?;
    let data = DataDir::open(up.data_dir.as_deref())?;
    let file = data.path.join("up.json");
    std::fs::write(&file, &document.text).map_err(|error| format!("{}: {error}", file.display()))?;
    let (control_dir, state_dir) = (data.path.join("control"), data.path.join("proxy"));
    // The port is the kernel's at first, and kept when control is started again.
    let push = free_port().map_err(|error| error.to_string())?;
    let api = if up.api.ends_with(":0") {
        free_port().map_err(|error| error.to_string())?
    } else {
        up.api.clone()
    };
    let mut control = arguments(&[
        "control",
        "--push",
        &push,
        "--api",
        &api,
        "--local-proxy",
        &format!("{NODE}={NODE}"),
    ]);
    control.extend([OsString::from("--data-dir"), control_dir.clone().into()]);
    control.extend([OsString::from("--config"), file.into()]);
    let program = Program {
        name: "control",
        arguments: control,
        heard: true,
    };
    let (sender, mut lines) = mpsc::channel(LINES);
    let mut control = Kept::start(program, sender.clone())?;
    let mut started = false;
    let told = |line: &str| {
        if as_json {
            print(line);
        }
    };
    while !started {
        tokio::select! {
            line = lines.recv() => {
                let line = line.unwrap_or_default();
                started = is_ready(&line);
                refused(&line);
                told(&line);
            }
            ended = control.ended(|_| {}) => return Ok(code_of(&ended)),
            () = signals.come() => {
                control.end(std::future::pending()).await;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    control.was_ready = true;
    if !as_json {
        let token = control_dir.join(BOOTSTRAP_FILE);
        print(&format!(
            "  {:<12} http://{}/ (dashboard; its token is in {})",
            "control",
            api,
            token.display()
        ));
    }
    let begun = |kept: &Kept| {
        told(&json!({"event": "started", "process": kept.name(), "pid": kept.pid()}).to_string())
    };
    begun(&control);
    let mut proxy = arguments(&[
        "proxy",
        "--control",
        &format!("https://{push}"),
        "--admin",
        &up.admin,
    ]);
    proxy.extend([OsString::from("--state-dir"), state_dir.into()]);
    proxy.extend([
        OsString::from("--join-file"),
        control_dir.join("join").join(NODE).into(),
    ]);
    if !as_json {
        proxy.push(OsString::from("--human"));
    }
    let program = Program {
        name: "proxy",
        arguments: proxy,
        heard: false,
    };
    let mut proxy = Kept::start(program, sender)?;
    begun(&proxy);
    let tell = |message: &str| {
        if as_json {
            print(&json!({"event": "restarted", "reason": message}).to_string());
        } else {
            complain(&format!("weir: {message}"));
        }
    };
    let code = loop {
        tokio::select! {
            ended = proxy.ended(tell) => break code_of(&ended),
            ended = control.ended(tell) => {
                // Nobody but a person ends it with 0.
                complain("weir: control ended; the proxy is drained");
                break code_of(&ended);
            }
            line = lines.recv() => {
                let line = line.unwrap_or_default();
                refused(&line);
                told(&line);
            }
            () = signals.come() => break ExitCode::SUCCESS,
        }
    };
    proxy.end(signals.come()).await;
    control.end(signals.come()).await;
    Ok(code)
}

fn code_of(ended: &Ended) -> ExitCode {
    match ended {
        Ended::Done => ExitCode::SUCCESS,
        Ended::Failed(code) => ExitCode::from(*code),
    }
}

fn is_ready(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|event| event["event"] == "ready")
}

/// Tells what control refused.
fn refused(line: &str) {
    let event: Value = serde_json::from_str(line).unwrap_or_default();
    if event["event"] == "publish_refused" {
        for error in event["errors"].as_array().into_iter().flatten() {
            complain(&format!("weir: {}", error.as_str().unwrap_or_default()));
        }
    }
}

fn free_port() -> std::io::Result<String> {
    let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(socket.local_addr()?.to_string())
}

/// `host:port` of an `http://` URL without a path.
fn endpoint(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://")?.trim_end_matches('/');
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    if rest.is_empty() || host.is_empty() || rest.contains(['/', '?', '#', '@']) {
        return None;
    }
    let has_port = rest
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(if has_port {
        rest.to_owned()
    } else {
        format!("{rest}:80")
    })
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn an_upstream_is_a_host_with_a_port() {
        assert_eq!(
            endpoint("http://127.0.0.1:3000/").as_deref(),
            Some("127.0.0.1:3000")
        );
        assert_eq!(
            endpoint("http://app.internal").as_deref(),
            Some("app.internal:80")
        );
        assert_eq!(endpoint("https://app.internal"), None);
        assert_eq!(endpoint("http://app/path"), None);
    }
}
