//! Versions: what was published, what differs, and the way back.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::answer::Answer;
use super::call::Call;
use super::config;
use super::id::check_note;
use super::page::{limit, page};
use super::problem::Problem;
use crate::versions::{Published, VersionRecord};

/// A published configuration.
#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    revision: u64,
    /// Name of its content: the same index is the same content.
    index: String,
    /// The revision that it was made from.
    parent: u64,
    /// Unix time in milliseconds.
    created_ms: u64,
    /// Who made it.
    actor: String,
    /// Why.
    note: String,
    emergency: bool,
    /// The revision whose content it has again.
    rollback_to: Option<u64>,
    /// Paths that differ from its parent; at most 100.
    changed: Vec<String>,
    /// How many.
    changed_count: u64,
}

/// A way back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    /// Why, for people.
    #[serde(default)]
    #[schema(max_length = 1000)]
    note: String,
    /// Does not wait for the full bake of its first stage.
    #[serde(default)]
    emergency: bool,
}

/// A path that differs.
#[derive(Serialize, ToSchema)]
pub(super) struct PathChange {
    path: String,
    /// Hash of its object in the other version; none when it was not there.
    before: Option<String>,
    /// Hash of its object in this version; none when it is not there.
    after: Option<String>,
}

fn shown(record: VersionRecord) -> Version {
    Version {
        revision: record.head.revision,
        index: record.head.index.to_string(),
        parent: record.parent,
        created_ms: record.created_ms,
        actor: record.actor,
        note: record.note,
        emergency: record.emergency,
        rollback_to: record.rollback_to,
        changed: record.changed,
        changed_count: record.changed_count as u64,
    }
}

/// `GET /v1/versions`
pub(super) async fn list(call: Call) -> Result<Answer, Problem> {
    let records = call
        .parts()
        .versions
        .history(call.query.integer("after"), limit(&call) + 1)?;
    let versions = records.into_iter().map(shown).collect();
    page(&call, versions, |version: &Version| version.revision.to_string())
}

fn found(call: &Call, revision: u64) -> Result<Published, Problem> {
    let version = call.parts().versions.version(revision)?;
    version.ok_or_else(|| Problem::not_found("revision", &revision.to_string()))
}

/// `GET /v1/versions/{revision}`
pub(super) async fn get(call: Call) -> Result<Answer, Problem> {
    let revision = call.number("revision")?;
    let record = call.parts().versions.record(revision)?;
    let record = record.ok_or_else(|| Problem::not_found("revision", &revision.to_string()))?;
    Answer::ok(&shown(record))
}

/// `GET /v1/versions/{revision}/diff`
pub(super) async fn diff(call: Call) -> Result<Answer, Problem> {
    let version = found(&call, call.number("revision")?)?;
    let against = call.query.integer("against").unwrap_or(version.record.parent);
    let before = if against == 0 {
        None
    } else {
        Some(found(&call, against)?)
    };
    let after = call.query.text("after").unwrap_or_default();
    let old = before.as_ref().map(|before| &before.content.listing);
    let new = &version.content.listing;
    let mut paths: Vec<&str> = match old {
        Some(old) => old.changes(new).map(|(path, _)| path).collect(),
        None => new.iter().map(|(path, _)| path.as_str()).collect(),
    };
    paths.retain(|path| *path > after);
    paths.sort_unstable();
    paths.truncate(limit(&call) + 1);
    let hash = |listing: &weir_schema::push::Listing, path: &str| {
        listing.get(path).map(|entry| entry.hash.to_string())
    };
    let changes = paths.into_iter().map(|path| PathChange {
        path: path.to_owned(),
        before: old.and_then(|old| hash(old, path)),
        after: hash(new, path),
    });
    page(&call, changes.collect(), |change| change.path.clone())
}

/// `POST /v1/versions/{revision}/rollback`
pub(super) async fn rollback(mut call: Call) -> Result<Answer, Problem> {
    let to = call.number("revision")?;
    let asked: Rollback = call.json()?;
    check_note(&asked.note)?;
    found(&call, to)?;
    let newest = call
        .parts()
        .versions
        .newest()
        .map_or(0, |newest| newest.head().revision);
    // The listing is changed as a whole, so the tag is that of the newest revision.
    if let Some(revision) = config::revision(&call)?.filter(|revision| *revision != newest) {
        let detail = format!(
            "the configuration is at revision {newest} by now, not at {revision}: look at it and try again"
        );
        return Err(Problem::new(super::problem::Code::PreconditionFailed, detail));
    }
    let versions = std::sync::Arc::clone(&call.parts().versions);
    let applied = versions
        .rollback(
            to,
            &asked.note,
            asked.emergency,
            &call.actor,
            call.dry_run,
            call.now_ms,
        )
        .await?;
    call.keep(config::answer(&applied)?).await
}

/// `GET /v1/openapi.json`
pub(super) async fn openapi(_call: Call) -> Result<Answer, Problem> {
    Answer::ok(&json!(super::document()))
}
