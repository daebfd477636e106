//! Checks of the repository itself: what the design says about folders, arrows and files, as tests.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod arrows;
mod dependencies;
mod files;
mod layout;
mod room_table;
mod sans_io;

use std::path::{Path, PathBuf};

/// The workspace folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the workspace")
        .to_path_buf()
}

/// Folders that hold no source of the project.
const SKIPPED: &[&str] = &["target", ".git", ".work", "node_modules"];

/// All files below `folder`, build products left out.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let entry = entry.expect("a folder entry");
            let kind = entry.file_type().expect("a file type");
            let name = entry.file_name();
            if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// All Rust files of the project.
fn rust_files() -> Vec<PathBuf> {
    let files = files_below(&root());
    files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// A path as seen from the workspace.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Fails with one line per finding.
fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
