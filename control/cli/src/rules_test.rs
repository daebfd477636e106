//! `weir rules test`: a suite of the go-ftw format against a CRS checkout, in process.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use weir_rules::Disk;
use weir_rules::ftw::{Outcome, Tested, compile_crs, run_file, suite_files};

use crate::commands::{INVALID, SYSTEM, complain, print};

/// What to run on what.
#[derive(clap::Args)]
pub(crate) struct Test {
    /// Folder with the suite's YAML files.
    #[arg(long, value_name = "DIR")]
    ftw: PathBuf,
    /// Folder of the CRS: `crs-setup.conf.example` and `rules/`.
    #[arg(long, value_name = "DIR")]
    crs: PathBuf,
    /// Evaluate without any optimisation.
    #[arg(long)]
    plain: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the suite. The exit code is 1 when a test fails.
pub(crate) fn run(args: &Test, json: bool) -> ExitCode {
    let rules = match compile_crs(&args.crs, &Disk) {
        Ok(rules) => rules,
        Err(errors) => {
            errors.iter().for_each(|e| complain(e));
            return ExitCode::from(INVALID);
        }
    };
    let files = match suite_files(&args.ftw) {
        Ok(files) => files,
        Err(error) => {
            complain(&format!("weir: {}: {error}", args.ftw.display()));
            return ExitCode::from(SYSTEM);
        }
    };
    let mut tests = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).map_err(|e| e.to_string());
        match text.and_then(|text| run_file(&text, &rules, args.plain)) {
            Ok(tested) => tests.extend(tested),
            Err(error) => {
                complain(&format!("weir: {}: {error}", path.display()));
                return ExitCode::from(INVALID);
            }
        }
    }
    report(&tests, json || args.json)
}

fn report(tests: &[Tested], json: bool) -> ExitCode {
    let reasons = |pick: fn(&Outcome) -> Option<&str>| -> Vec<(&str, &str)> {
        tests
            .iter()
            .filter_map(|t| pick(&t.outcome).map(|reason| (t.name.as_str(), reason)))
            .collect()
    };
    let failed = reasons(|o| match o {
        Outcome::Failed(reason) => Some(reason),
        _ => None,
    });
    let skipped = reasons(|o| match o {
        Outcome::Skipped(reason) => Some(reason),
        _ => None,
    });
    let passed = tests.len() - failed.len() - skipped.len();
    let printed = if json {
        let list = |all: &[(&str, &str)]| -> Vec<_> {
            all.iter()
                .map(|(id, reason)| json!({"id": id, "reason": reason}))
                .collect()
        };
        let report = json!({"passed": passed, "failed": list(&failed), "skipped": list(&skipped)});
        print(&report.to_string())
    } else {
        let mut text = String::new();
        for (id, reason) in &failed {
            text.push_str(&format!("failed  {id}: {reason}\n"));
        }
        for (id, reason) in &skipped {
            text.push_str(&format!("skipped {id}: {reason}\n"));
        }
        let (failed, skipped) = (failed.len(), skipped.len());
        print(&format!(
            "{text}{passed} passed, {failed} failed, {skipped} skipped"
        ))
    };
    if failed.is_empty() {
        printed
    } else {
        ExitCode::from(INVALID)
    }
}
