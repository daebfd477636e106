//! Rules about single files.

use std::collections::HashSet;
use std::path::Path;

use weir_tests::sha256_hex;

use crate::{assert_none, files_below, root, rust_files, shown};

/// Lines at which a file stops.
const LINES_MAX: usize = 800;

#[test]
fn no_rust_file_is_longer_than_800_lines() {
    let mut findings = Vec::new();
    for path in rust_files() {
        let lines = std::fs::read_to_string(&path)
            .expect("a source file")
            .lines()
            .count();
        if lines > LINES_MAX {
            findings.push(format!("{}: {lines} lines", shown(&path)));
        }
    }
    assert_none("files over 800 lines", &findings);
}

#[test]
fn nothing_is_left_to_do_in_the_source() {
    // Put together here, so that this file does not find itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X:"],
        ["unimpl", "emented!"],
        ["to", "do!("],
    ]
    .map(|w| w.concat());
    let mut findings = Vec::new();
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                findings.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert_none("unfinished places", &findings);
}

#[test]
fn the_project_holds_no_file_of_the_core_rule_set() {
    let names = |name: &str| {
        (name.starts_with("REQUEST-9") || name.starts_with("RESPONSE-9") || name == "crs-setup.conf.example")
            && (name.ends_with(".conf") || name.ends_with(".example"))
    };
    let foreign = crs_hashes();
    let mut findings = Vec::new();
    for path in files_below(&root()) {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let bytes = std::fs::read(&path).expect("a file of the project");
        if names(name) || foreign.contains(&sha256_hex(&bytes)) {
            findings.push(shown(&path));
        }
    }
    assert_none("files of the OWASP Core Rule Set", &findings);
}

/// Hashes of a CRS checkout's files beside the project, when there is one; names are checked in any case.
fn crs_hashes() -> HashSet<String> {
    let folder = root().join("../shared/crs");
    if !folder.is_dir() {
        return HashSet::new();
    }
    let files = files_below(&folder).into_iter().filter(|path| {
        // Licences and other texts that any project may share are not rules.
        let extension = path
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default();
        matches!(extension, "conf" | "data" | "example" | "yaml" | "ra")
    });
    files
        .filter_map(|path| std::fs::read(path).ok())
        .filter(|b| b.len() > 64)
        .map(|b| sha256_hex(&b))
        .collect()
}

#[test]
fn every_test_file_is_part_of_its_binary() {
    let mut findings = Vec::new();
    for folder in ["tests/e2e", "tests/tidy"] {
        let main = std::fs::read_to_string(root().join(folder).join("main.rs")).expect("main.rs");
        for path in files_below(&root().join(folder)) {
            let stem = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            let listed = stem == "main" || main.lines().any(|line| line.trim() == format!("mod {stem};"));
            if path.parent() == Some(root().join(Path::new(folder)).as_path()) && !listed {
                findings.push(shown(&path));
            }
        }
    }
    assert_none("test files that no binary runs", &findings);
}
