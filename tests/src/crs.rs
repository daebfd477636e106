//! Where the OWASP CRS lies that tests run against. It is no part of the project.
//!
//! The tests of weir-rules, which cannot depend on this crate, include this file.

use std::path::{Path, PathBuf};

/// The CRS checkout that `WEIR_CRS` names, or `../shared/crs` beside the project, if it has the folder `part`. Where it has not,
/// says on standard output that something was skipped.
///
/// # Panics
/// In CI without it: nothing is skipped there.
#[allow(clippy::print_stdout, reason = "a skipped fact says so")]
#[allow(unreachable_pub, reason = "it is reachable in one of the crates that have it")]
pub fn checkout(part: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/crs");
    let crs = std::env::var_os("WEIR_CRS").map_or_else(beside, PathBuf::from);
    if let Some(crs) = crs.canonicalize().ok().filter(|crs| crs.join(part).is_dir()) {
        return Some(crs);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no CRS with {part} at {}",
        crs.display()
    );
    println!("skipped: no CRS with {part} at {}", crs.display());
    None
}
