//! Which crate may know which: the table of the design.

use std::process::Command;

use serde_json::Value;

use crate::{assert_none, root};

/// Crates of ours that a crate may depend on; bench and tests may depend on anything.
const ARROWS: &[(&str, &[&str])] = &[
    ("weir-rules", &[]),
    ("weir-geoip", &[]),
    ("weir-schema", &[]),
    ("weir-h1", &[]),
    ("weir-decide", &["weir-schema", "weir-rules", "weir-geoip"]),
    (
        "weir-proxy",
        &[
            "weir-h1",
            "weir-decide",
            "weir-schema",
            "weir-rules",
            "weir-geoip",
        ],
    ),
    ("weir-plan", &["weir-schema"]),
    (
        "weir-control",
        &["weir-plan", "weir-schema", "weir-rules", "weir-geoip"],
    ),
    (
        "weir",
        &[
            "weir-proxy",
            "weir-control",
            "weir-plan",
            "weir-rules",
            "weir-geoip",
            "weir-schema",
        ],
    ),
];

/// Crates that may depend on anything.
const FREE: &[&str] = &["weir-bench", "weir-tests"];

/// Packages of the workspace as cargo describes them.
fn metadata_packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps"])
        .current_dir(root())
        .output()
        .expect("run cargo metadata");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON of cargo metadata");
    metadata["packages"]
        .as_array()
        .cloned()
        .expect("a list of packages")
}

/// Their names, and the names of their dependencies (not those of their tests).
fn packages() -> Vec<(String, Vec<String>)> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let packages = metadata_packages();
    let names = packages.iter().map(|package| {
        let dependencies = package["dependencies"].as_array().cloned().unwrap_or_default();
        let kept = dependencies
            .iter()
            .filter(|dependency| dependency["kind"] != "dev");
        (
            text(package, "name"),
            kept.map(|dependency| text(dependency, "name")).collect(),
        )
    });
    names.collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let mut findings = Vec::new();
    for (package, dependencies) in packages() {
        if FREE.contains(&package.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package) else {
            findings.push(format!("{package} is not in the table of the design"));
            continue;
        };
        let ours = dependencies
            .iter()
            .filter(|name| *name == "weir" || name.starts_with("weir-"));
        let wrong = ours.filter(|name| !allowed.contains(&name.as_str()));
        findings.extend(wrong.map(|name| format!("{package} -> {name}")));
    }
    assert_none("arrows that the design does not have", &findings);
}

#[test]
fn only_the_proxy_names_pingora() {
    let mut findings = Vec::new();
    for (package, dependencies) in packages() {
        if package == "weir-proxy" || FREE.contains(&package.as_str()) {
            continue;
        }
        let wrong = dependencies.iter().filter(|name| name.starts_with("pingora"));
        findings.extend(wrong.map(|name| format!("{package} -> {name}")));
    }
    assert_none("only weir-proxy depends on Pingora", &findings);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let mut findings = Vec::new();
    for package in metadata_packages() {
        let path = package["manifest_path"].as_str().expect("a path");
        let text = std::fs::read_to_string(path).expect("a manifest");
        if !text.contains("[lints]\nworkspace = true") {
            findings.push(path.to_owned());
        }
    }
    assert_none("manifests without `[lints] workspace = true`", &findings);
}
