//! `weir rollouts`: versions on their way through the regions.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::ask::{Ask, Client, Match, flag, query};
use super::converge::{find, trip};
use super::list::{PAGE, json_document, list, said};
use super::table::{Column, Table, plain, text, time};
use super::trouble::Trouble;
use super::{Control, Ended};
use crate::commands::print;

/// Bytes of a policy's file.
const POLICY_BYTES_MAX: u64 = 1 << 20;

const ROLLOUTS: &[Column] = &[
    Column::new("REVISION", |rollout| text(&rollout["revision"])),
    Column::new("BASE", |rollout| text(&rollout["base"])),
    Column::new("STATE", |rollout| text(&rollout["state"])),
    Column::new("STAGES", |rollout| {
        let stages = rollout["stages"].as_array().into_iter().flatten();
        stages.map(text).collect::<Vec<_>>().join(" | ")
    }),
    Column::new("DETAIL", detail),
];

const REGIONS: &[Column] = &[
    Column::new("REGION", |region| text(&region["region"])),
    Column::new("CONNECTED", |region| text(&region["connected"])),
    Column::new("SERVING", |region| text(&region["serving"])),
    Column::new("REFUSED", |region| text(&region["refused"])),
    Column::new("REQUESTS", |region| text(&region["after"]["requests"])),
    Column::new("ERRORS", |region| text(&region["after"]["errors"])),
    Column::new("BLOCKED", |region| text(&region["after"]["blocked"])),
];

fn detail(rollout: &Value) -> String {
    let detail = match rollout["state"].as_str() {
        Some("running") => format!(
            "stage {} since {}",
            rollout["stage"].as_u64().unwrap_or(0) + 1,
            time(&rollout["since_ms"])
        ),
        Some("halted") => format!("at stage {}", rollout["stage"].as_u64().unwrap_or(0) + 1),
        Some("rolled_back") => trip(&rollout["reason"]),
        Some("superseded") => format!("by revision {}", text(&rollout["by"])),
        _ => String::new(),
    };
    if rollout["emergency"] == true {
        return format!("{detail} emergency").trim_start().to_owned();
    }
    detail
}

/// Versions on their way through the regions.
#[derive(Args)]
pub(crate) struct Rollouts {
    #[command(subcommand)]
    what: Which,
    #[command(flatten)]
    control: Control,
}

#[derive(Subcommand)]
enum Which {
    /// List them, newest first.
    List,
    /// Show one; the newest, with what is seen in its regions, if none is named.
    Get {
        /// Its revision.
        revision: Option<u64>,
    },
    /// Stop the one that is under way; regions stay where they are.
    Halt {
        /// Say what it would do, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// How the next versions are rolled out.
    #[command(subcommand)]
    Policy(Policy),
}

#[derive(Subcommand)]
enum Policy {
    /// Show it.
    Get,
    /// Change it.
    Set {
        /// The policy as JSON, as `get` shows it; what it does not name is as it is without a policy.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Only check it.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Runs it.
pub(crate) fn run(rollouts: &Rollouts, as_json: bool) -> Ended {
    let client = rollouts.control.client()?;
    match &rollouts.what {
        Which::List => list(&client, &format!("/v1/rollouts?limit={PAGE}"), ROLLOUTS, as_json),
        Which::Get { revision: None } => current(&client, as_json),
        Which::Get {
            revision: Some(revision),
        } => {
            let found = find(&client, *revision)?.ok_or_else(|| {
                Trouble::Invalid(vec![format!("there is no rollout of revision {revision}")])
            })?;
            Ok(json_document(&found, as_json))
        }
        Which::Halt { dry_run } => {
            let path = format!("/v1/rollouts/halt{}", query(&[("dry_run", flag(*dry_run))]));
            let ask = Ask {
                method: Method::POST,
                path,
                ..Ask::default()
            };
            let halted = client.ask(&ask)?.body;
            let would = if *dry_run { "would be" } else { "is" };
            let sentence = format!("the rollout of revision {} {would} halted", halted["revision"]);
            Ok(said(&sentence, &halted, as_json))
        }
        Which::Policy(Policy::Get) => {
            let policy = client.get("/v1/rollout-policy")?.body;
            Ok(json_document(&policy, as_json))
        }
        Which::Policy(Policy::Set { file, dry_run }) => set(&client, file, *dry_run, as_json),
    }
}

fn current(client: &Client, as_json: bool) -> Ended {
    let current = client.get("/v1/rollouts/current")?.body;
    if as_json {
        return Ok(print(&current.to_string()));
    }
    let rollout = Table::new(ROLLOUTS).part(std::slice::from_ref(&current["rollout"]));
    let regions = current["regions"].as_object().into_iter().flatten();
    let regions: Vec<Value> = regions
        .map(|(id, seen)| {
            let mut region = seen.clone();
            region["region"] = json!(plain(id));
            region
        })
        .collect();
    Ok(print(&format!(
        "{rollout}\n{}",
        Table::new(REGIONS).part(&regions)
    )))
}

fn set(client: &Client, file: &std::path::Path, dry_run: bool, as_json: bool) -> Ended {
    let shown = file.display();
    let text = super::secret::read(file, POLICY_BYTES_MAX)
        .map_err(|error| Trouble::System(format!("{shown}: {error}")))?;
    let policy: Value =
        serde_json::from_str(&text).map_err(|error| Trouble::Invalid(vec![format!("{shown}: {error}")]))?;
    let known = client.get("/v1/rollout-policy")?.etag;
    let path = format!("/v1/rollout-policy{}", query(&[("dry_run", flag(dry_run))]));
    let ask = Ask::json(Method::PUT, path, &policy).matching(known.map_or(Match::Any, Match::Tag));
    let policy = client.ask(&ask)?.body;
    let sentence = if dry_run {
        "the policy is valid"
    } else {
        "the policy is for all versions from now on"
    };
    Ok(said(sentence, &policy, as_json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_says_where_it_is() {
        let rollout = json!({"revision": 7, "base": 6, "state": "superseded", "by": 8, "stages": [["ap"], ["eu", "us"]],
            "emergency": true});
        assert_eq!(
            Table::new(ROLLOUTS).part(&[rollout]),
            "REVISION  BASE  STATE       STAGES      DETAIL\n7         6     superseded  ap | eu,us  by revision 8 emergency\n"
        );
    }
}
