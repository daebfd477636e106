//! `weir versions`, `weir diff` and `weir rollback`.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::apply::{Changing, Done};
use super::ask::{Ask, Match, flag, query};
use super::converge::Waiting;
use super::difference::{remarks, shown};
use super::list::{Listing, PAGE, json_document, list, pages};
use super::table::{Column, text, time};
use super::{Control, Ended};
use crate::commands::{complain, print};

const VERSIONS: &[Column] = &[
    Column::new("REVISION", |version| text(&version["revision"])),
    Column::new("CREATED", |version| time(&version["created_ms"])),
    Column::new("ACTOR", |version| text(&version["actor"])),
    Column::new("CHANGED", |version| text(&version["changed_count"])),
    Column::new("KIND", |version| {
        let back = version["rollback_to"]
            .as_u64()
            .map(|to| format!("rollback to {to}"));
        let emergency = (version["emergency"] == true).then(|| "emergency".to_owned());
        let kinds: Vec<String> = back.into_iter().chain(emergency).collect();
        kinds.join(", ")
    }),
    Column::new("NOTE", |version| text(&version["note"])),
];

const CHANGES: &[Column] = &[
    Column::new("CHANGE", |change| {
        let sign = match (&change["before"], &change["after"]) {
            (Value::Null, _) => "+",
            (_, Value::Null) => "-",
            _ => "~",
        };
        sign.to_owned()
    }),
    Column::new("PATH", |change| text(&change["path"])),
    Column::new("BEFORE", |change| hash(&change["before"])),
    Column::new("AFTER", |change| hash(&change["after"])),
];

fn hash(value: &Value) -> String {
    text(value).chars().take(12).collect()
}

/// What was published.
#[derive(Args)]
pub(crate) struct Versions {
    #[command(subcommand)]
    what: Which,
    #[command(flatten)]
    control: Control,
}

#[derive(Subcommand)]
enum Which {
    /// List them, newest first.
    List,
    /// Show one.
    Get {
        /// Its revision.
        revision: u64,
    },
}

/// Runs `weir versions`.
pub(crate) fn versions(versions: &Versions, as_json: bool) -> Ended {
    let client = versions.control.client()?;
    match versions.what {
        Which::List => list(&client, &format!("/v1/versions?limit={PAGE}"), VERSIONS, as_json),
        Which::Get { revision } => {
            let version = client.get(&format!("/v1/versions/{revision}"))?.body;
            Ok(json_document(&version, as_json))
        }
    }
}

/// Show the paths in which a revision differs from another one.
#[derive(Args)]
pub(crate) struct Diff {
    /// The revision before; 0 is none.
    before: u64,
    /// The revision after.
    after: u64,
    #[command(flatten)]
    control: Control,
}

/// Runs `weir diff`.
pub(crate) fn diff(diff: &Diff, as_json: bool) -> Ended {
    let client = diff.control.client()?;
    let (before, after) = (diff.before, diff.after);
    let path = format!("/v1/versions/{after}/diff?against={before}&limit={PAGE}");
    let mut listing = Listing::new(CHANGES, as_json);
    pages(&client, &path, |changes, _| listing.part(&changes).map(|()| true))?;
    listing.end()
}

/// Publish the content of an older revision again, as a new one. It goes through the stages like any other; to what was served
/// before a rollout that is under way, it goes everywhere at once.
///
/// Exit codes: as `weir apply`.
#[derive(Args)]
pub(crate) struct Rollback {
    /// The revision whose content is to be served again.
    revision: u64,
    #[command(flatten)]
    changing: Changing,
    /// Say what it would do, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    control: Control,
}

/// Runs `weir rollback`.
pub(crate) fn rollback(rollback: &Rollback, as_json: bool) -> Ended {
    let client = rollback.control.client()?;
    let changing = &rollback.changing;
    let path = format!(
        "/v1/versions/{}/rollback{}",
        rollback.revision,
        query(&[("dry_run", flag(rollback.dry_run))])
    );
    let body = json!({"note": changing.note.clone().unwrap_or_default(), "emergency": changing.emergency});
    let state = changing.if_revision.map_or(Match::Any, Match::Tag);
    let answer = client
        .ask(&Ask::json(Method::POST, path, &body).matching(state))?
        .body;
    if !rollback.dry_run {
        let done = Done {
            answer,
            ..Done::default()
        };
        return done.end(&client, &rollback.waiting, as_json);
    }
    if as_json {
        return Ok(print(&answer.to_string()));
    }
    remarks(&answer).iter().for_each(|remark| complain(remark));
    Ok(print(&format!(
        "{}\n{} paths would differ; it would be revision {}",
        shown(&answer["diff"]).trim_end(),
        answer["changed_count"],
        answer["revision"]
    )))
}
