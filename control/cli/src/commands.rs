//! What each command does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use weir_proxy::{ProxyOptions, StartError, check_files, read_document, run_proxy};
use weir_schema::config::{ConfigError, Document, check, diff};

use crate::{Proxy, Up, demo, running};

/// The input is not valid.
pub(crate) const INVALID: u8 = 1;
/// Wrong usage.
pub(crate) const USAGE: u8 = 2;
/// The system refused.
pub(crate) const SYSTEM: u8 = 3;
/// Longest wait for an upgrade: longer than the proxy gives its successor.
const UPGRADE_MAX: Duration = Duration::from_secs(75);

/// Prints a text.
pub(crate) fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(SYSTEM),
    }
}

/// Says what is wrong to whoever started the command.
pub(crate) fn complain(text: &str) {
    // Nobody may be reading; the exit code says it too.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Tells why nothing was done, and gives the exit code.
pub(crate) fn fail(code: u8, message: &str, as_json: bool) -> ExitCode {
    fail_with(code, &[message.to_owned()], as_json)
}

fn fail_with(code: u8, messages: &[String], as_json: bool) -> ExitCode {
    if as_json {
        let errors: Vec<Value> = messages
            .iter()
            .map(|message| json!({"message": message}))
            .collect();
        print(&json!({"errors": errors}).to_string());
    } else {
        for message in messages {
            complain(&format!("weir: {message}"));
        }
    }
    ExitCode::from(code)
}

fn read(path: &Path, as_json: bool) -> Result<Document, ExitCode> {
    read_document(path).map_err(|error| fail(SYSTEM, &format!("{}: {error}", path.display()), as_json))
}

fn report(name: &str, errors: &[ConfigError], as_json: bool) -> ExitCode {
    if as_json {
        print(&json!({"valid": false, "errors": errors}).to_string());
    } else {
        for error in errors {
            complain(&error.display(name));
        }
        complain(&format!("weir: {} error(s) in {name}", errors.len()));
    }
    ExitCode::from(INVALID)
}

fn run(options: ProxyOptions, as_json: bool) -> ExitCode {
    let name = options
        .document
        .as_ref()
        .map_or_else(|_| String::new(), |document| document.name.clone());
    match run_proxy(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cannot_start(&name, error, as_json),
    }
}

fn cannot_start(name: &str, error: StartError, as_json: bool) -> ExitCode {
    match error {
        StartError::Config(errors) => report(name, &errors, as_json),
        StartError::Compile(errors) => fail_with(INVALID, &errors, as_json),
        StartError::System(error) => fail(SYSTEM, &error, as_json),
    }
}

/// `weir proxy`
pub(crate) fn proxy(proxy: &Proxy, as_json: bool) -> ExitCode {
    if proxy.upgrade {
        return upgrade(proxy, as_json);
    }
    let Some(file) = &proxy.config else {
        return ExitCode::from(USAGE);
    };
    let options = ProxyOptions {
        document: read_document(file).map_err(|error| format!("{}: {error}", file.display())),
        file: Some(file.clone()),
        state_dir: proxy.state_dir.clone(),
        frames: proxy.frames.clone(),
        human: false,
    };
    run(options, as_json)
}

/// `weir proxy --upgrade`
fn upgrade(proxy: &Proxy, as_json: bool) -> ExitCode {
    let address = match (proxy.admin, &proxy.config) {
        (Some(address), _) => address,
        (None, Some(file)) => match read(file, as_json).map(|document| (check(&document), document.name)) {
            Ok((Ok(config), _)) => config.admin.address,
            Ok((Err(errors), name)) => return report(&name, &errors, as_json),
            Err(code) => return code,
        },
        (None, None) => return ExitCode::from(USAGE),
    };
    if address.port() == 0 {
        let message = "the kernel chose the port of the admin endpoint: give it with --admin";
        return fail(USAGE, message, as_json);
    }
    let (status, answer) = match running::post(address, "/upgrade", "", UPGRADE_MAX) {
        Ok(answered) => answered,
        Err(reason) => return fail(SYSTEM, &reason, as_json),
    };
    let code = if status == 200 { 0 } else { INVALID };
    if as_json {
        print(&answer.to_string());
    } else if status == 200 {
        print(&format!("handed over to process {}", answer["pid"]));
    } else {
        let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
        for error in errors {
            complain(error["message"].as_str().unwrap_or_default());
        }
        complain("weir: not upgraded; the old process serves on");
    }
    ExitCode::from(code)
}

/// `weir config check`
pub(crate) fn config_check(file: &Path, files: bool, as_json: bool) -> ExitCode {
    let document = match read(file, as_json) {
        Ok(document) => document,
        Err(code) => return code,
    };
    let checked = if files {
        check_files(&document)
    } else {
        check(&document)
            .map(|config| (config, Vec::new()))
            .map_err(StartError::Config)
    };
    let (config, warnings) = match checked {
        Ok(config) => config,
        Err(StartError::Compile(errors)) if as_json => {
            let errors: Vec<Value> = errors.iter().map(|error| json!({"message": error})).collect();
            print(&json!({"valid": false, "errors": errors}).to_string());
            return ExitCode::from(INVALID);
        }
        Err(error) => return cannot_start(&document.name, error, as_json),
    };
    if as_json {
        return print(
            &json!({"valid": true, "digest": config.digest, "tenants": config.tenants.len(),
                "pools": config.pools.len(), "quarantined": config.quarantined, "warnings": warnings})
            .to_string(),
        );
    }
    for warning in &warnings {
        complain(warning);
    }
    for aside in &config.quarantined {
        let id = aside.id.as_ref().map_or("without an id", |id| id.as_str());
        for reason in &aside.reasons {
            complain(&format!("set aside: tenant {id}: {reason}"));
        }
    }
    print(&format!(
        "{}: valid, {} tenants, {} pools, digest {}",
        document.name,
        config.tenants.len(),
        config.pools.len(),
        config.digest
    ))
}

/// `weir config diff`
pub(crate) fn config_diff(old: &Path, new: &Path, as_json: bool) -> ExitCode {
    let mut configs = Vec::new();
    for path in [old, new] {
        let document = match read(path, as_json) {
            Ok(document) => document,
            Err(code) => return code,
        };
        match check(&document) {
            Ok(config) => configs.push(config),
            Err(errors) => return report(&document.name, &errors, as_json),
        }
    }
    let [old, new] = configs.as_slice() else {
        return ExitCode::from(SYSTEM);
    };
    let difference = diff(old, new);
    if as_json {
        print(&json!(difference).to_string())
    } else {
        print(&difference.to_string())
    }
}

/// `weir rules check`
pub(crate) fn rules_check(files: &[PathBuf], as_json: bool) -> ExitCode {
    let mut sources = Vec::new();
    let all = files.iter().flat_map(|path| {
        let inside = weir_rules::Files::glob(&weir_rules::Disk, &path.join("*.conf"));
        inside
            .ok()
            .filter(|_| path.is_dir())
            .unwrap_or_else(|| vec![path.clone()])
    });
    for path in all.collect::<Vec<PathBuf>>() {
        let path = &path;
        match std::fs::read_to_string(path) {
            Ok(text) => sources.push(weir_rules::Source {
                path: path.clone(),
                text,
            }),
            Err(error) => return fail(SYSTEM, &format!("{}: {error}", path.display()), as_json),
        }
    }
    if files.is_empty() {
        sources = weir_rules::baseline();
    }
    let (found, rules) = match weir_rules::compile(&sources, &weir_rules::Disk) {
        Ok(compiled) => (compiled.warnings, Some(compiled.rules.len())),
        Err(errors) => (errors, None),
    };
    let code = if rules.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INVALID)
    };
    if as_json {
        let found: Vec<Value> = found
            .iter()
            .map(|found| {
                json!({"path": found.path.display().to_string(), "line": found.line, "column": found.column,
                    "code": found.code, "message": found.message, "hint": found.hint})
            })
            .collect();
        print(&json!({"valid": rules.is_some(), "rules": rules, "diagnostics": found}).to_string());
        return code;
    }
    for diagnostic in &found {
        complain(&diagnostic.to_string());
    }
    if let Some(rules) = rules {
        print(&format!("valid, {rules} rules"));
    }
    code
}

/// `weir up`
pub(crate) fn up(up: &Up, as_json: bool) -> ExitCode {
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
    let here = std::env::current_dir().unwrap_or_default();
    let mut config = json!({
        "version": 1,
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
    let document = Document {
        name: "weir up".to_owned(),
        base: here,
        text: config.to_string(),
    };
    if !as_json {
        let origin = if up.upstream.is_some() {
            "your upstream"
        } else {
            "a built-in demo origin"
        };
        print(&format!(
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
        ));
    }
    let options = ProxyOptions {
        document: Ok(document),
        file: None,
        state_dir: None,
        frames: None,
        human: !as_json,
    };
    run(options, as_json)
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
