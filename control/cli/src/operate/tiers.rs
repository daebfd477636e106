//! `weir tiers`: what groups of tenants have, and what it costs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::ask::{Ask, Match, encode, flag, query};
use super::list::{PAGE, json_document, list, said};
use super::table::{Column, plain, text};
use super::tenants::read;
use super::{Control, Ended};

const TIERS: &[Column] = &[
    Column::new("ID", |tier| text(&tier["id"])),
    Column::new("TITLE", |tier| text(&tier["terms"]["title"])),
    Column::new("MONTH", |tier| {
        tier["terms"]["month_nanos"]
            .as_u64()
            .map_or_else(String::new, |nanos| {
                format!("{}.{:02}", nanos / 1_000_000_000, nanos / 10_000_000 % 100)
            })
    }),
    Column::new("AVAILABILITY", |tier| percent(&tier["terms"]["availability_ppm"])),
    Column::new("LATENCY", |tier| {
        tier["terms"]["latency_ms"]
            .as_u64()
            .map_or_else(String::new, |ms| {
                format!("{} in {ms} ms", percent(&tier["terms"]["latency_ppm"]))
            })
    }),
    Column::new("REQUESTS/S", |tier| {
        text(&tier["defaults"]["limits"]["tenant"]["requests"])
    }),
];

fn percent(ppm: &Value) -> String {
    ppm.as_u64().map_or_else(String::new, |ppm| {
        format!("{}.{:04} %", ppm / 10_000, ppm % 10_000)
    })
}

/// What groups of tenants have, and what it costs.
#[derive(Args)]
pub(crate) struct Tiers {
    #[command(subcommand)]
    what: Which,
    #[command(flatten)]
    control: Control,
}

#[derive(Subcommand)]
enum Which {
    /// List them.
    List,
    /// Show one.
    Get {
        /// Its id.
        id: String,
    },
    /// Make or change one; its tenants have it with the next version.
    Put {
        /// Its id.
        id: String,
        /// JSON with `terms` and `defaults`, as `get` shows them.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Say whether it could be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Make Starter, Professional and Enterprise, those that are missing.
    Standard {
        /// Show what would be made, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Runs it.
pub(crate) fn run(tiers: &Tiers, as_json: bool) -> Ended {
    let client = tiers.control.client()?;
    let path = |id: &str| format!("/v1/tiers/{}", encode(id, false));
    let dry = |dry_run| query(&[("dry_run", flag(dry_run))]);
    match &tiers.what {
        Which::List => list(&client, &format!("/v1/tiers?limit={PAGE}"), TIERS, as_json),
        Which::Get { id } => Ok(json_document(&client.get(&path(id))?.body, as_json)),
        Which::Put { id, file, dry_run } => {
            let mut body = read(file)?;
            if let Some(members) = body.as_object_mut() {
                // As `get` shows it; the path says it already.
                members.remove("id");
            }
            let target = format!("{}{}", path(id), dry(*dry_run));
            let tier = client
                .ask(&Ask::json(Method::PUT, target, &body).matching(Match::Any))?
                .body;
            let would = if *dry_run { "would be" } else { "is" };
            Ok(said(
                &format!("tier {} {would} written", plain(id)),
                &tier,
                as_json,
            ))
        }
        Which::Standard { dry_run } => {
            let ask = Ask {
                method: Method::POST,
                path: format!("/v1/tiers/standard{}", dry(*dry_run)),
                ..Ask::default()
            };
            let made = client.ask(&ask)?.body;
            let names: Vec<String> = made["items"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|tier| plain(&text(&tier["id"])))
                .collect();
            let sentence = match (names.is_empty(), dry_run) {
                (true, _) => "all three are there".to_owned(),
                (false, true) => format!("would be made: {}", names.join(", ")),
                (false, false) => format!("made: {}", names.join(", ")),
            };
            Ok(said(&sentence, &made, as_json))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::table::Table;
    use super::*;

    #[test]
    fn a_tier_shows_its_terms_and_its_rate() {
        let tiers = [
            json!({"id": "starter", "terms": {"title": "Starter", "month_nanos": 29_500_000_000_u64,
                "availability_ppm": 999_500, "latency_ppm": 990_000, "latency_ms": 1000},
                "defaults": {"limits": {"tenant": {"requests": 100}}}}),
            json!({"id": "bare", "terms": null, "defaults": {}}),
        ];
        let table = Table::new(TIERS).part(&tiers);
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| {
                line.split("  ")
                    .filter(|cell| !cell.is_empty())
                    .map(str::trim)
                    .collect()
            })
            .collect();
        assert_eq!(
            rows[1],
            [
                "starter",
                "Starter",
                "29.50",
                "99.9500 %",
                "99.0000 % in 1000 ms",
                "100"
            ]
        );
        assert_eq!(rows[2], ["bare", "-", "-", "-", "-", "-"]);
    }
}
