//! A change of many paths at once: one version, all of it or nothing.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Answer;
use super::call::Call;
use super::config::{apply, for_path, revision};
use super::id::check_note;
use super::problem::{Code, Problem};
use crate::versions::Change;

/// What is to be changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigChange {
    /// Documents by path: `edge`, `edge/<region>`, `tenants/<id>`.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, Object>)]
    put: BTreeMap<String, Value>,
    /// Files by path, `files/...`, in base64 (RFC 4648 section 4).
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Paths that go.
    #[serde(default)]
    remove: Vec<String>,
    /// Why, for people.
    #[serde(default)]
    #[schema(max_length = 1000)]
    note: String,
    /// Does not wait for the full bake of its first stage.
    #[serde(default)]
    emergency: bool,
}

fn at(list: &str, path: &str) -> String {
    format!("/{list}/{}", path.replace('~', "~0").replace('/', "~1"))
}

/// `POST /v1/config/changes`
pub(super) async fn create(call: Call) -> Result<Answer, Problem> {
    let asked: ConfigChange = call.json()?;
    check_note(&asked.note)?;
    for path in asked.put.keys().chain(asked.files.keys()).chain(&asked.remove) {
        for_path(&call, path)?;
    }
    let mut put = Vec::with_capacity(asked.put.len() + asked.files.len());
    for (path, document) in asked.put {
        if path.starts_with("files/") {
            return Err(Problem::at(
                Code::Invalid,
                at("put", &path),
                "files go into `files`, in base64",
            ));
        }
        put.push((path, document.to_string().into_bytes()));
    }
    for (path, text) in asked.files {
        if !path.starts_with("files/") {
            return Err(Problem::at(
                Code::Invalid,
                at("files", &path),
                "paths of files begin with `files/`",
            ));
        }
        let bytes = BASE64
            .decode(&text)
            .map_err(|error| Problem::at(Code::Invalid, at("files", &path), error.to_string()))?;
        put.push((path, bytes));
    }
    let change = Change {
        if_revision: revision(&call)?,
        put,
        remove: asked.remove,
        note: asked.note,
        emergency: asked.emergency,
        also: Vec::new(),
    };
    apply(call, change).await
}
