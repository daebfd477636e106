//! The configuration, path by path: `edge`, `edge/<region>`, `tenants/<id>` and `files/...`. Its tag is its revision: one
//! change, one version.

use http::header;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answer::Answer;
use super::call::Call;
use super::id::NOTE_CHARS_MAX;
use super::page::{limit, page};
use super::problem::{Code, Problem};
use super::route::{Param, ParamKind};
use crate::store::IfMatch;
use crate::versions::{Applied, Change, Refused};

pub(super) const NOTE: Param = Param {
    name: "note",
    kind: ParamKind::Text(NOTE_CHARS_MAX),
    about: "Why, for people.",
};
pub(super) const EMERGENCY: Param = Param {
    name: "emergency",
    kind: ParamKind::Flag,
    about: "Do not wait for the full bake of the first stage.",
};

/// A path of the configuration.
#[derive(Serialize, ToSchema)]
pub(super) struct ConfigEntry {
    path: String,
    /// SHA-256 of its object, 64 hexadecimal digits.
    hash: String,
    /// Size of its object.
    bytes: u64,
    /// The newest revision.
    revision: u64,
    /// The document; of files nothing is given out, because keys are among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    document: Option<Value>,
}

/// What a change did, or would do, for the OpenAPI document: what [`Applied`] is as JSON.
#[derive(ToSchema)]
#[schema(as = Applied)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct AppliedDocument {
    /// The new revision; of a dry run the one that it would get.
    revision: u64,
    /// Its content.
    index: String,
    /// Paths that differ from the version before; at most 100 of them.
    changed: Vec<String>,
    /// How many paths differ.
    changed_count: u64,
    /// What differs, as proxies see it.
    #[schema(value_type = Value)]
    diff: Value,
    /// What works but may not mean what an operator thinks.
    warnings: Vec<String>,
    /// Tenants that are set aside, with reasons.
    #[schema(value_type = Value)]
    quarantined: Value,
    /// Trying it took so long, milliseconds.
    compile_ms: u64,
}

/// Refuses who may not touch a path of the configuration.
pub(super) fn for_path(call: &Call, path: &str) -> Result<(), Problem> {
    match path.split_once('/') {
        Some(("tenants", tenant)) => call.for_tenant(tenant),
        Some(("edge", region)) => call.for_region(region),
        _ => call.for_everything(),
    }
}

/// `GET /v1/config`
pub(super) async fn list(call: Call) -> Result<Answer, Problem> {
    let newest = call.parts().versions.newest();
    let after = call.query.text("after").unwrap_or_default();
    let prefix = call.query.text("prefix").unwrap_or_default();
    let revision = newest.as_ref().map_or(0, |newest| newest.head().revision);
    let listing = newest.as_ref().map(|newest| &newest.content.listing);
    let entries = listing.into_iter().flat_map(|listing| listing.iter());
    let seen = entries.filter(|(path, _)| {
        path.as_str() > after && path.starts_with(prefix) && for_path(&call, path).is_ok()
    });
    let mut entries: Vec<ConfigEntry> = seen
        .map(|(path, entry)| ConfigEntry {
            path: path.clone(),
            hash: entry.hash.to_string(),
            bytes: entry.bytes,
            revision,
            document: None,
        })
        .collect();
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    entries.truncate(limit(&call) + 1);
    Ok(page(&call, entries, |entry| entry.path.clone())?.with_etag(revision))
}

/// `GET /v1/config/{path}`
pub(super) async fn get(call: Call) -> Result<Answer, Problem> {
    let path = call.param("path");
    let newest = call.parts().versions.newest();
    let found = newest
        .as_ref()
        .and_then(|newest| Some((newest.head().revision, *newest.content.listing.get(path)?)));
    let (revision, entry) = found.ok_or_else(|| Problem::not_found("path", path))?;
    let document = if path.starts_with("files/") {
        None
    } else {
        let bytes = call
            .parts()
            .versions
            .objects()
            .get(&entry.hash)?
            .unwrap_or_default();
        let document = serde_json::from_slice(&bytes);
        Some(document.map_err(|error| Problem::new(Code::ServerFault, format!("{path}: {error}")))?)
    };
    let (hash, bytes) = (entry.hash.to_string(), entry.bytes);
    let entry = ConfigEntry {
        path: path.to_owned(),
        hash,
        bytes,
        revision,
        document,
    };
    Ok(Answer::ok(&entry)?.with_etag(revision))
}

/// `PUT /v1/config/{path}`
pub(super) async fn put(call: Call) -> Result<Answer, Problem> {
    let path = call.param("path").to_owned();
    let given = call
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !path.starts_with("files/") {
        if !given.starts_with("application/json") {
            return Err(Problem::new(
                Code::UnsupportedMediaType,
                "documents are sent as Content-Type: application/json",
            ));
        }
        // Only to say where it is wrong.
        let _: Value = call.json()?;
    }
    let change = Change {
        put: vec![(path, call.body.to_vec())],
        ..wanted(&call)?
    };
    apply(call, change).await
}

/// `DELETE /v1/config/{path}`
pub(super) async fn delete(call: Call) -> Result<Answer, Problem> {
    let path = call.param("path").to_owned();
    let newest = call.parts().versions.newest();
    if newest.is_none_or(|newest| newest.content.listing.get(&path).is_none()) {
        return Err(Problem::not_found("path", &path));
    }
    let change = Change {
        remove: vec![path],
        ..wanted(&call)?
    };
    apply(call, change).await
}

/// What the query and `If-Match` say of a change.
fn wanted(call: &Call) -> Result<Change, Problem> {
    Ok(Change {
        if_revision: revision(call)?,
        note: call.query.text("note").unwrap_or_default().to_owned(),
        emergency: call.query.flag("emergency"),
        ..Change::default()
    })
}

/// The revision that a change was made for. Only the first version needs none.
pub(super) fn revision(call: &Call) -> Result<Option<u64>, Problem> {
    match call.if_match()? {
        Some(IfMatch::Etag(revision)) => Ok(Some(revision)),
        Some(_) => Ok(None),
        None if call.parts().versions.newest().is_none() => Ok(Some(0)),
        None => call.required_match().map(|_| None),
    }
}

/// Makes a change. One that changes nothing is no fault.
pub(super) async fn apply(mut call: Call, change: Change) -> Result<Answer, Problem> {
    let versions = std::sync::Arc::clone(&call.parts().versions);
    let applied = versions
        .apply(change, &call.actor, call.dry_run, call.now_ms)
        .await;
    let answer = match applied {
        Ok(applied) => answer(&applied)?,
        Err(Refused::Same(revision)) => {
            let index = versions.newest().map(|newest| newest.head().index);
            let same = json!({"revision": revision, "index": index, "changed": [], "changed_count": 0, "diff": null,
                "warnings": [], "quarantined": [], "compile_ms": 0});
            Answer::ok(&same)?.with_etag(revision)
        }
        Err(refused) => return Err(refused.into()),
    };
    call.keep(answer).await
}

/// What was applied.
pub(super) fn answer(applied: &Applied) -> Result<Answer, Problem> {
    Ok(Answer::ok(applied)?.with_etag(applied.revision))
}
