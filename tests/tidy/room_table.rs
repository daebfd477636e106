//! The README's table of rooms leads to places that exist.

use crate::{assert_none, root};

/// Paths in the second column of the table whose heading is "I want to": every word with a slash.
fn rooms(readme: &str) -> Vec<String> {
    let rows = readme
        .lines()
        .skip_while(|line| !line.contains("I want to"))
        .take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(2).map(str::to_owned));
    let words = cells.flat_map(|cell| {
        let words = cell
            .split_whitespace()
            .map(|word| word.trim_matches(['`', ',', ';', '.']).to_owned());
        words.collect::<Vec<_>>()
    });
    words
        .filter(|word| word.contains('/') && !word.contains(['<', '*']))
        .collect()
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expanded(path: &str) -> Vec<String> {
    let parts = path
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match parts {
        None => vec![path.to_owned()],
        Some((before, (middle, after))) => middle
            .split(',')
            .map(|part| format!("{before}{part}{after}"))
            .collect(),
    }
}

#[test]
fn every_room_of_the_readme_exists() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README.md at the top");
    let rooms = rooms(&readme);
    assert!(
        !rooms.is_empty(),
        "README.md has no table of rooms that starts with `| I want to |`"
    );
    let paths = rooms.iter().flat_map(|room| expanded(room));
    let missing = paths.filter(|path| !root().join(path.split(':').next().unwrap_or(path)).exists());
    assert_none(
        "rooms of the README that do not exist",
        &missing.collect::<Vec<_>>(),
    );
}

#[test]
fn braces_expand() {
    assert_eq!(expanded("a/{b,c}.rs"), ["a/b.rs", "a/c.rs"]);
    assert_eq!(
        rooms("| I want to | open |\n|---|---|\n| x | `a/b.rs`, c/d.rs, e.rs beside it |\n"),
        ["a/b.rs", "c/d.rs"]
    );
}
