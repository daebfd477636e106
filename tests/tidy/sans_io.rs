//! The pure crates stay pure: no clocks, sockets, files, threads or randomness; time and random numbers are arguments.

use crate::{assert_none, files_below, root, shown};

/// Source folders of the pure crates.
const PURE: &[&str] = &["proxy/decide/src", "proxy/h1/src"];

/// What they may not name.
const BANNED: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "File::open",
    "thread::spawn",
    "thread::sleep",
    "tokio::",
    "rand::",
    "getrandom",
    "thread_rng",
    "std::process",
    "std::env",
];

#[test]
fn pure_crates_name_no_clock_socket_file_or_rng() {
    let mut findings = Vec::new();
    for folder in PURE {
        for path in files_below(&root().join(folder)) {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            // Tests come last in a file and may measure and spawn.
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            for (number, line) in code
                .lines()
                .enumerate()
                .filter(|(_, line)| !line.trim_start().starts_with("//"))
            {
                let banned = BANNED.iter().filter(|word| line.contains(**word));
                findings.extend(banned.map(|word| format!("{}:{}: {word}", shown(&path), number + 1)));
            }
        }
    }
    assert_none("IO in a crate without IO", &findings);
}
