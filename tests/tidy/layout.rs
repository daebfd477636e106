//! What may stand at the top.

use crate::{assert_none, root};

const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bench",
    "clippy.toml",
    "control",
    "deny.toml",
    "deploy",
    "docs",
    "geoip",
    "proxy",
    "rules",
    "rustfmt.toml",
    "target",
    "tests",
];

#[test]
fn the_top_level_has_only_the_rooms_of_the_design() {
    let entries = std::fs::read_dir(root()).expect("the workspace");
    let names = entries.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let findings: Vec<String> = names
        .filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()))
        .collect();
    assert_none("top-level entries that the design does not have", &findings);
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    let empty = ["utils", "util", "common", "helpers", "helper", "misc", "manager"];
    let files = crate::rust_files().into_iter().filter(|path| {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let folder = path
            .parent()
            .and_then(|f| f.file_name())
            .and_then(|f| f.to_str())
            .unwrap_or_default();
        empty.contains(&stem) || empty.contains(&folder)
    });
    assert_none(
        "modules named for nothing",
        &files.map(|path| crate::shown(&path)).collect::<Vec<_>>(),
    );
}
