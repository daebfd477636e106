//! The public validator as a process; `.ci/setup` installs it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What of the specification holds here, by the validator's names: the rules of other offers do not apply.
const OFFER: &str = "ACCOUNT_NAMING_SUPPORTED,PUBLIC_PRICE_LIST_SUPPORTED,UNIT_PRICING_SUPPORTED,\
                     USAGE_MEASUREMENT_SUPPORTED,REGION_SUPPORTED,TAGGING_SUPPORTED";
const TIME_MAX: Duration = Duration::from_secs(120);

/// What the validator said.
pub(crate) struct Report {
    pub(crate) passed: usize,
    pub(crate) skipped: usize,
    pub(crate) failed: Vec<String>,
}

impl Report {
    /// The names of the rules that failed.
    pub(crate) fn rules_failed(&self) -> Vec<&str> {
        let names = self
            .failed
            .iter()
            .filter_map(|line| line.strip_prefix("- ")?.split(':').next());
        names.collect()
    }
}

fn folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache"),
        PathBuf::from,
    );
    cache.join("weir/focus-validator-2.2.1")
}

/// Validates a data set against FOCUS 1.2. `None`, and a word about it, without the validator, which has 600 MB: it is installed
/// for CI, where its absence is a failure.
#[allow(clippy::print_stdout, reason = "a skipped fact says so")]
pub(crate) fn run(csv: &str) -> Option<Report> {
    let folder = folder();
    if !folder.join("installed").is_file() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the FOCUS validator is not in {}: CI=true .ci/setup installs it",
            folder.display()
        );
        println!(
            "skipped: no FOCUS validator in {} (CI=true .ci/setup installs it)",
            folder.display()
        );
        return None;
    }
    let scratch = tempfile::tempdir().expect("a folder");
    let data = scratch.path().join("export.csv");
    std::fs::write(&data, csv).expect("write the export");
    let output = std::fs::File::create(scratch.path().join("report")).expect("a file");
    let mut child = Command::new(folder.join("bin/focus-validator"))
        .args([
            "--validate-version",
            "1.2",
            "--block-download",
            "--applicability-criteria",
            OFFER,
        ])
        .arg("--data-file")
        .arg(&data)
        // It opens its list of currencies by a path relative to where packages are.
        .current_dir(folder.join("packages"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a file"))
        .stderr(output)
        .spawn()
        .expect("start the validator");
    let start = Instant::now();
    while child.try_wait().expect("wait for the validator").is_none() {
        if start.elapsed() > TIME_MAX {
            child.kill().expect("kill the validator");
            child.wait().expect("reap the validator");
            panic!("the validator took more than {TIME_MAX:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(report(
        &std::fs::read_to_string(scratch.path().join("report")).expect("read the report"),
    ))
}

/// Reads `Total: 578 | Pass: 189 | Fail: 0 | Skipped: 349` and the failures below, `- RULE: ...`.
fn report(text: &str) -> Report {
    let count = |name: &str| {
        let line = text.lines().find(|line| line.starts_with("Total: "))?;
        let part = line.split(" | ").find_map(|part| part.strip_prefix(name))?;
        part.trim().parse().ok()
    };
    let (Some(passed), Some(failures), Some(skipped)) = (count("Pass:"), count("Fail:"), count("Skipped:"))
    else {
        panic!("the validator did not come to an end:\n{text}");
    };
    let lines = text
        .lines()
        .filter(|line| line.starts_with("- ") && line.contains(": violations="));
    let failed: Vec<String> = lines.map(str::to_owned).collect();
    assert_eq!(
        failed.len(),
        failures,
        "failures that were not understood:\n{text}"
    );
    Report {
        passed,
        skipped,
        failed,
    }
}
