//! What each command does.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use weir_proxy::{ProxyOptions, StartError, check_files, read_document, run_proxy};
use weir_schema::config::{ConfigError, Document, check, diff};

/// The input is not valid.
pub(crate) const INVALID: u8 = 1;
/// Wrong usage.
pub(crate) const USAGE: u8 = 2;
/// The system refused.
pub(crate) const SYSTEM: u8 = 3;

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

pub(crate) fn read(path: &Path, as_json: bool) -> Result<Document, ExitCode> {
    read_document(path).map_err(|error| fail(SYSTEM, &format!("{}: {error}", path.display()), as_json))
}

pub(crate) fn report(name: &str, errors: &[ConfigError], as_json: bool) -> ExitCode {
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

pub(crate) fn serve(options: ProxyOptions, as_json: bool) -> ExitCode {
    take_small_pages();
    let name = options
        .document
        .as_ref()
        .map_or_else(|_| String::new(), |document| document.name.clone());
    match run_proxy(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cannot_start(&name, error, as_json),
    }
}

/// A huge page counts whole when a part of it is used. With them a process with the CRS takes 23 MiB more, and requests cost the
/// same (`bench/record/2026-11-25-waf-reload.md`). A system that does not know the question runs on with what it has.
fn take_small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

fn cannot_start(name: &str, error: StartError, as_json: bool) -> ExitCode {
    match error {
        StartError::Config(errors) => report(name, &errors, as_json),
        StartError::Compile(errors) => fail_with(INVALID, &errors, as_json),
        StartError::System(error) => fail(SYSTEM, &error, as_json),
    }
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
