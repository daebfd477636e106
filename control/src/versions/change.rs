//! What is asked of versions, and what they answer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weir_schema::push::{Head, ObjectHash, Signed};

use super::Content;
use crate::store::{StoreError, Write};

/// Most paths that a change touches: a whole configuration of 100,000 tenants.
pub(super) const PATHS_MAX: usize = 110_000;

/// Who asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Id of a token, or `system`.
    pub name: String,
    /// Address, or empty for control itself.
    pub from: String,
}

impl Actor {
    /// Control itself.
    #[must_use]
    pub fn system() -> Self {
        Self {
            name: "system".to_owned(),
            from: String::new(),
        }
    }
}

/// What is to be changed.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The revision that the change was made for: another one now refuses it.
    pub if_revision: Option<u64>,
    /// Paths and their new objects. `edge`, `edge/<region>` and `tenants/<id>` are JSON; `files/...` is anything.
    pub put: Vec<(String, Vec<u8>)>,
    /// Paths that go.
    pub remove: Vec<String>,
    /// Why, for people.
    pub note: String,
    /// Does not wait for the full bake of its first stage.
    pub emergency: bool,
    /// What is written in the same commit: records and events that belong to the change.
    pub also: Vec<Write>,
}

/// What a change does, or would do.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    /// The new revision; of a dry run the one that it would get.
    pub revision: u64,
    /// Its content.
    pub index: ObjectHash,
    /// Paths that differ from the version before; at most 100 of them.
    pub changed: Vec<String>,
    /// How many paths differ.
    pub changed_count: usize,
    /// What differs, as proxies see it.
    pub diff: Value,
    /// What works but may not mean what an operator thinks.
    pub warnings: Vec<String>,
    /// Tenants that are set aside, with reasons.
    pub quarantined: Value,
    /// Trying it took so long, milliseconds.
    pub compile_ms: u64,
}

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Somebody else changed it meanwhile.
    #[error("the configuration is at revision {found} by now: look at it and try again")]
    Conflict {
        /// The revision now.
        found: u64,
    },
    /// A proxy would refuse it.
    #[error("{} errors; nothing was published", .0.len())]
    Invalid(Vec<Value>),
    /// There is no such version.
    #[error("there is no revision {0}")]
    NoVersion(u64),
    /// Nothing would change.
    #[error("nothing differs from revision {0}")]
    Same(u64),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too much at once.
    #[error("a change touches at most {PATHS_MAX} paths")]
    TooLarge,
}

pub(super) fn invalid(path: &str, message: impl ToString) -> Refused {
    Refused::Invalid(vec![json!({"path": path, "message": message.to_string()})])
}

/// What is known of a version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VersionRecord {
    /// As proxies get it.
    pub signed: Signed,
    /// Revision and content.
    #[serde(flatten)]
    pub head: Head,
    /// The revision that it was made from.
    pub parent: u64,
    /// When, Unix time in milliseconds.
    pub created_ms: u64,
    /// Who made it.
    pub actor: String,
    /// Why.
    pub note: String,
    /// Whether it was an emergency.
    pub emergency: bool,
    /// Whether only tenants differ from its parent.
    pub tenants_only: bool,
    /// The revision whose content it has again.
    pub rollback_to: Option<u64>,
    /// Paths that differ from its parent; at most 100.
    pub changed: Vec<String>,
    /// How many.
    pub changed_count: usize,
}

/// A version that may be sent.
#[derive(Clone, Debug)]
pub struct Published {
    /// What is kept of it.
    pub record: VersionRecord,
    /// Its content.
    pub content: Arc<Content>,
}

impl Published {
    /// Revision and index.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.record.head
    }
}

/// What trying a version says.
#[derive(Clone, Debug)]
pub struct Tried {
    /// What works but may not mean what an operator thinks.
    pub warnings: Vec<String>,
    /// Tenants that would be set aside.
    pub quarantined: Value,
    /// What differs.
    pub diff: Value,
    /// It took so long, milliseconds.
    pub compile_ms: u64,
}

/// Tries versions with the code that serves them.
pub trait Compiler: Send {
    /// Tries what an index lists.
    ///
    /// # Errors
    /// All reasons why a proxy would refuse it: objects with `message`.
    fn check(
        &mut self,
        index: &ObjectHash,
        object: &dyn Fn(&ObjectHash) -> Option<Vec<u8>>,
    ) -> Result<Tried, Vec<Value>>;
}
