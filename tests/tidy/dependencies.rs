//! What comes into the build obeys deny.toml.

use std::process::Command;

use crate::root;

/// Licences, sources and banned crates need no network once `cargo fetch` has run; advisories would.
#[test]
fn dependencies_obey_deny_toml() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let installed = Command::new(&cargo).args(["deny", "--version"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "cargo-deny is missing: .ci/setup installs it"
        );
        eprintln!("not checked: cargo-deny is not installed (.ci/setup installs it)");
        return;
    }
    let checked = Command::new(&cargo)
        .args([
            "deny",
            "--offline",
            "--locked",
            "check",
            "licenses",
            "bans",
            "sources",
        ])
        .current_dir(root())
        .output()
        .expect("run cargo deny");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}
