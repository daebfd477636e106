//! `weir config list`, `get`, `put` and `delete`: what control serves, path by path.

use std::path::PathBuf;

use clap::Args;
use http::Method;

use super::apply::{Changing, Done};
use super::ask::{Ask, Client, Match, encode, flag, query};
use super::converge::Waiting;
use super::list::{PAGE, json_document, list};
use super::table::{Column, text};
use super::trouble::Trouble;
use super::{Control, Ended};
use crate::commands::print;

const PATHS: &[Column] = &[
    Column::new("PATH", |entry| text(&entry["path"])),
    Column::new("BYTES", |entry| text(&entry["bytes"])),
    Column::new("SHA-256", |entry| text(&entry["hash"])),
];

/// List the paths that control serves.
#[derive(Args)]
pub(crate) struct List {
    /// Only paths that begin so.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    #[command(flatten)]
    control: Control,
}

/// Show a path that control serves: its document, or of a file what is known of it.
#[derive(Args)]
pub(crate) struct Get {
    /// `edge`, `edge/<region>`, `tenants/<id>` or `files/...`.
    path: String,
    #[command(flatten)]
    control: Control,
}

/// Write one path: a document as JSON, a file as it is.
///
/// Exit codes: as `weir apply`.
#[derive(Args)]
pub(crate) struct Put {
    /// `edge`, `edge/<region>`, `tenants/<id>` or `files/...`.
    path: String,
    /// What to write.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    change: OnePath,
}

/// Remove one path.
///
/// Exit codes: as `weir apply`.
#[derive(Args)]
pub(crate) struct Delete {
    /// `edge/<region>`, `tenants/<id>` or `files/...`.
    path: String,
    #[command(flatten)]
    change: OnePath,
}

#[derive(Args)]
struct OnePath {
    #[command(flatten)]
    changing: Changing,
    /// Say whether it could be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    control: Control,
}

/// Runs `weir config list`.
pub(crate) fn run_list(wanted: &List, as_json: bool) -> Ended {
    let pairs = [
        ("limit", Some(PAGE.to_owned())),
        ("prefix", wanted.prefix.clone()),
    ];
    let path = format!("/v1/config{}", query(&pairs));
    list(&wanted.control.client()?, &path, PATHS, as_json)
}

/// Runs `weir config get`.
pub(crate) fn run_get(get: &Get, as_json: bool) -> Ended {
    let entry = get
        .control
        .client()?
        .get(&format!("/v1/config/{}", encode(&get.path, true)))?
        .body;
    let document = entry.get("document").filter(|_| !as_json);
    Ok(json_document(document.unwrap_or(&entry), as_json))
}

/// Runs `weir config put`.
pub(crate) fn run_put(put: &Put, as_json: bool) -> Ended {
    let bytes = std::fs::read(&put.file)
        .map_err(|error| Trouble::System(format!("{}: {error}", put.file.display())))?;
    let kind = if put.path.starts_with("files/") {
        "application/octet-stream"
    } else {
        "application/json"
    };
    let client = put.change.control.client()?;
    let ask = Ask::bytes(Method::PUT, put.change.target(&put.path), kind, bytes);
    put.change.make(&client, ask, as_json)
}

/// Runs `weir config delete`.
pub(crate) fn run_delete(delete: &Delete, as_json: bool) -> Ended {
    let client = delete.change.control.client()?;
    let ask = Ask {
        method: Method::DELETE,
        path: delete.change.target(&delete.path),
        ..Ask::default()
    };
    delete.change.make(&client, ask, as_json)
}

impl OnePath {
    fn target(&self, path: &str) -> String {
        let changing = &self.changing;
        let pairs = [
            ("note", changing.note.clone().filter(|note| !note.is_empty())),
            ("emergency", flag(changing.emergency)),
            ("dry_run", flag(self.dry_run)),
        ];
        format!("/v1/config/{}{}", encode(path, true), query(&pairs))
    }

    fn make(&self, client: &Client, ask: Ask, as_json: bool) -> Ended {
        let state = self.changing.if_revision.map_or(Match::Any, Match::Tag);
        let sent = usize::from(ask.body.is_some());
        let answer = client.ask(&ask.matching(state))?.body;
        if !self.dry_run {
            let done = Done {
                sent,
                answer,
                ..Done::default()
            };
            return done.end(client, &self.waiting, as_json);
        }
        if as_json {
            return Ok(print(&answer.to_string()));
        }
        Ok(print(&format!(
            "{}{} paths would differ",
            super::difference::shown(&answer["diff"]),
            answer["changed_count"]
        )))
    }
}
