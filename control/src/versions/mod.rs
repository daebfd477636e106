//! Versions: every change of the configuration is tried, signed, kept with its event, and only then published.

mod change;
mod content;
mod keys;
mod objects;
mod state;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use weir_schema::push::{Manifest, ObjectHash};

use change::{PATHS_MAX, invalid};

use crate::store::{Batch, IfMatch, Kind, NewEvent, Store, StoreError, Write};

pub use change::{Actor, Applied, Change, Compiler, Published, Refused, Tried, VersionRecord};
pub use content::{Content, Objects};
pub use keys::Keys;
pub use objects::ObjectCache;

/// Versions that are kept in memory, for proxies that serve them.
const RECENT: usize = 16;
/// Paths that a version's record names; of more it has the number.
const CHANGED_SHOWN: usize = 100;

/// The versions of a deployment.
pub struct Versions {
    store: Arc<dyn Store>,
    objects: Arc<ObjectCache>,
    compiler: Arc<std::sync::Mutex<Box<dyn Compiler>>>,
    deployment: String,
    /// One change at a time.
    keys: Mutex<Keys>,
    newest: watch::Sender<Option<Arc<Published>>>,
    recent: std::sync::Mutex<VecDeque<Arc<Published>>>,
}

/// What is published next.
struct Next {
    content: Content,
    objects: Objects,
    note: String,
    emergency: bool,
    rollback_to: Option<u64>,
    also: Vec<Write>,
}

impl Versions {
    /// The versions that a store has.
    ///
    /// # Errors
    /// When the store fails, or its newest version is not whole.
    pub async fn open(
        store: Arc<dyn Store>,
        compiler: Box<dyn Compiler>,
        now_ms: u64,
    ) -> Result<Self, StoreError> {
        let (deployment, keys) = state::open(&store, now_ms).await?;
        let objects = Arc::new(ObjectCache::new(Arc::clone(&store)));
        let newest = state::newest(&*store, &objects)?.map(Arc::new);
        let versions = Self {
            compiler: Arc::new(std::sync::Mutex::new(compiler)),
            newest: watch::channel(newest).0,
            recent: std::sync::Mutex::default(),
            keys: Mutex::new(keys),
            store,
            objects,
            deployment,
        };
        // So that the first change is compared and compiled beside what is served.
        if let Some(newest) = versions.newest() {
            let _known = versions.tried(newest.content.index, Objects::new()).await;
        }
        Ok(versions)
    }

    /// Which control's proxies versions are for.
    #[must_use]
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// Keys that proxies believe.
    pub async fn public_keys(&self) -> Vec<weir_schema::push::PublicKey> {
        self.keys.lock().await.public()
    }

    /// The newest version.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Published>> {
        self.newest.borrow().clone()
    }

    /// The newest version, as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.newest.subscribe()
    }

    /// Objects by hash.
    #[must_use]
    pub fn objects(&self) -> &Arc<ObjectCache> {
        &self.objects
    }

    /// A version of the last few, by its content.
    #[must_use]
    pub fn recent(&self, index: &ObjectHash) -> Option<Arc<Published>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent
            .iter()
            .find(|version| version.content.index == *index)
            .cloned()
    }

    /// What is kept of a version.
    ///
    /// # Errors
    /// When the store fails.
    pub fn record(&self, revision: u64) -> Result<Option<VersionRecord>, StoreError> {
        let record = self.store.get(Kind::Version, &state::id_of(revision))?;
        record.map(|record| record.json()).transpose()
    }

    /// A version.
    ///
    /// # Errors
    /// When the store fails.
    pub fn version(&self, revision: u64) -> Result<Option<Published>, StoreError> {
        if let Some(newest) = self.newest().filter(|newest| newest.head().revision == revision) {
            return Ok(Some((*newest).clone()));
        }
        let Some(record) = self.record(revision)? else {
            return Ok(None);
        };
        let content = state::content(&self.objects, &record.head.index)?;
        Ok(Some(Published {
            record,
            content: Arc::new(content),
        }))
    }

    /// Versions before `before` (all of them without it), newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub fn history(&self, before: Option<u64>, limit: usize) -> Result<Vec<VersionRecord>, StoreError> {
        let before = before.map(state::id_of);
        let records = self.store.list_back(Kind::Version, before.as_deref(), limit)?;
        records.iter().map(crate::store::Record::json).collect()
    }

    /// The bytes of a path in the newest version.
    ///
    /// # Errors
    /// When the store fails.
    pub fn entry(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let newest = self.newest();
        let entry = newest
            .as_ref()
            .and_then(|newest| newest.content.listing.get(path));
        match entry {
            Some(entry) => Ok(self.objects.get(&entry.hash)?.map(|bytes| bytes.to_vec())),
            None => Ok(None),
        }
    }

    /// Changes the configuration, or says what the change would do.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub async fn apply(
        &self,
        change: Change,
        actor: &Actor,
        dry_run: bool,
        now_ms: u64,
    ) -> Result<Applied, Refused> {
        if change.put.len() + change.remove.len() > PATHS_MAX {
            return Err(Refused::TooLarge);
        }
        let mut keys = self.keys.lock().await;
        let newest = self.newest();
        let revision = newest.as_ref().map_or(0, |newest| newest.head().revision);
        if change.if_revision.is_some_and(|expected| expected != revision) {
            return Err(Refused::Conflict { found: revision });
        }
        let mut put = Vec::with_capacity(change.put.len());
        for (path, bytes) in change.put {
            put.push((path.clone(), canonical(&path, bytes)?));
        }
        let empty;
        let base = match &newest {
            Some(newest) => &*newest.content,
            None => {
                empty = Content::new(weir_schema::push::Listing::default()).0;
                &empty
            }
        };
        let (content, objects) = base
            .change(put, &change.remove)
            .map_err(|error| Refused::Invalid(vec![json!({"message": error.to_string()})]))?;
        if newest
            .as_ref()
            .is_some_and(|newest| newest.content.index == content.index)
        {
            return Err(Refused::Same(revision));
        }
        let next = Next {
            content,
            objects,
            note: change.note,
            emergency: change.emergency,
            rollback_to: None,
            also: change.also,
        };
        self.publish(&mut keys, next, actor, dry_run, now_ms).await
    }

    /// Publishes the content of an older version again, as a new one.
    ///
    /// # Errors
    /// Why not.
    pub async fn rollback(
        &self,
        to: u64,
        note: &str,
        emergency: bool,
        actor: &Actor,
        dry_run: bool,
        now_ms: u64,
    ) -> Result<Applied, Refused> {
        let mut keys = self.keys.lock().await;
        let version = self.version(to)?.ok_or(Refused::NoVersion(to))?;
        if let Some(newest) = self
            .newest()
            .filter(|newest| newest.content.index == version.content.index)
        {
            return Err(Refused::Same(newest.head().revision));
        }
        let next = Next {
            content: (*version.content).clone(),
            objects: Objects::new(),
            note: note.to_owned(),
            emergency,
            rollback_to: Some(to),
            also: Vec::new(),
        };
        self.publish(&mut keys, next, actor, dry_run, now_ms).await
    }

    /// Begins to sign with a new key as well, and tells proxies to believe both; or, with `finish`, stops to use the older
    /// one. Publishes what is served under a new revision.
    ///
    /// # Errors
    /// Why not.
    pub async fn rotate_keys(&self, finish: bool, actor: &Actor, now_ms: u64) -> Result<Applied, Refused> {
        let mut keys = self.keys.lock().await;
        let newest = self.newest().ok_or(Refused::NoVersion(0))?;
        let before = keys.clone();
        let batch = if finish {
            keys.finish(now_ms)?
        } else {
            keys.begin(now_ms)?
        };
        // Signed by the old keys and the new ones: whoever believes one of them believes it.
        let signers = before.with(&keys);
        let next = Next {
            content: (*newest.content).clone(),
            objects: Objects::new(),
            note: if finish {
                "the older signing key is not used any more"
            } else {
                "a new signing key"
            }
            .to_owned(),
            emergency: false,
            rollback_to: None,
            also: Vec::new(),
        };
        let published = self.commit(&signers, &keys, next, actor, batch, now_ms).await;
        if published.is_err() {
            *keys = before;
        }
        let published = published?;
        Ok(Applied {
            revision: published.head().revision,
            index: published.head().index,
            changed: Vec::new(),
            changed_count: 0,
            diff: Value::Null,
            warnings: Vec::new(),
            quarantined: json!([]),
            compile_ms: 0,
        })
    }

    async fn tried(&self, index: ObjectHash, fresh: Objects) -> Result<(Tried, Objects), Refused> {
        let (compiler, objects) = (Arc::clone(&self.compiler), Arc::clone(&self.objects));
        let tried = tokio::task::spawn_blocking(move || {
            let object = |hash: &ObjectHash| {
                let own = fresh.get(hash).cloned();
                own.or_else(|| objects.get(hash).ok().flatten().map(|bytes| bytes.to_vec()))
            };
            let mut compiler = compiler.lock().unwrap_or_else(PoisonError::into_inner);
            compiler.check(&index, &object).map(|tried| (tried, fresh))
        });
        match tried.await {
            Ok(tried) => tried.map_err(Refused::Invalid),
            Err(_) => Err(invalid(
                "",
                "trying the version failed inside; it is not published",
            )),
        }
    }

    async fn publish(
        &self,
        keys: &mut Keys,
        mut next: Next,
        actor: &Actor,
        dry_run: bool,
        now_ms: u64,
    ) -> Result<Applied, Refused> {
        let index = next.content.index;
        let tried = self.tried(index, std::mem::take(&mut next.objects)).await;
        let (tried, objects) = match tried {
            Ok(tried) => tried,
            Err(refused) => {
                if !dry_run {
                    self.note_refusal(&refused, &next, actor, now_ms).await?;
                }
                return Err(refused);
            }
        };
        next.objects = objects;
        let changed = self.changed(&next.content);
        let mut applied = Applied {
            revision: self.newest().map_or(0, |newest| newest.head().revision) + 1,
            index,
            changed_count: changed.len(),
            changed: changed.into_iter().take(CHANGED_SHOWN).collect(),
            diff: tried.diff,
            warnings: tried.warnings,
            quarantined: tried.quarantined,
            compile_ms: tried.compile_ms,
        };
        if !dry_run {
            let keys = &*keys;
            let batch = Batch::at(now_ms);
            applied.revision = self
                .commit(keys, keys, next, actor, batch, now_ms)
                .await?
                .head()
                .revision;
        }
        Ok(applied)
    }

    fn changed(&self, content: &Content) -> Vec<String> {
        let newest = self.newest();
        let listing = newest.as_ref().map(|newest| &newest.content.listing);
        let mut changed: Vec<String> = match listing {
            Some(old) => old
                .changes(&content.listing)
                .map(|(path, _)| path.to_owned())
                .collect(),
            None => content.listing.iter().map(|(path, _)| path.clone()).collect(),
        };
        changed.sort_unstable();
        changed
    }

    async fn note_refusal(
        &self,
        refused: &Refused,
        next: &Next,
        actor: &Actor,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let reasons = match refused {
            Refused::Invalid(reasons) => reasons.iter().take(20).cloned().collect(),
            other => vec![json!({"message": other.to_string()})],
        };
        let event = NewEvent {
            actor: actor.name.clone(),
            action: "version.publish".to_owned(),
            subject: "version".to_owned(),
            from: actor.from.clone(),
            result: "invalid".to_owned(),
            detail: bounded(json!({"note": next.note, "index": next.content.index, "reasons": reasons})),
        };
        self.store.commit(Batch::at(now_ms).event(event)).await.map(drop)
    }

    async fn commit(
        &self,
        signers: &Keys,
        believed: &Keys,
        next: Next,
        actor: &Actor,
        mut batch: Batch,
        now_ms: u64,
    ) -> Result<Arc<Published>, StoreError> {
        let newest = self.newest();
        let parent = newest.as_ref().map_or(0, |newest| newest.head().revision);
        let changed = self.changed(&next.content);
        let manifest = Manifest {
            format: weir_schema::push::FORMAT,
            format_min: 1,
            deployment: self.deployment.clone(),
            revision: parent + 1,
            parent,
            created_ms: now_ms,
            index: next.content.index,
            objects: next.content.listing.len() as u64,
            keys: believed.public(),
        };
        let signed = manifest
            .sign(&signers.signing())
            .map_err(|error| StoreError::NotJson(error.to_string()))?;
        let record = VersionRecord {
            signed,
            head: manifest.head(),
            parent,
            created_ms: now_ms,
            actor: actor.name.clone(),
            note: next.note.clone(),
            emergency: next.emergency,
            tenants_only: !changed.is_empty() && changed.iter().all(|path| path.starts_with("tenants/")),
            rollback_to: next.rollback_to,
            changed_count: changed.len(),
            changed: changed.iter().take(CHANGED_SHOWN).cloned().collect(),
        };
        let sealed: std::collections::HashSet<ObjectHash> = next
            .content
            .listing
            .iter()
            .filter(|(path, _)| path.starts_with("files/"))
            .map(|(_, entry)| entry.hash)
            .collect();
        for (hash, bytes) in &next.objects {
            batch = batch.and(Write::PutObject {
                hash: *hash,
                bytes: bytes.clone(),
                sealed: sealed.contains(hash),
            });
        }
        let revision = manifest.revision;
        batch = batch.put(Kind::Version, &state::id_of(revision), &record, IfMatch::Absent)?;
        batch = batch.event(NewEvent {
            actor: actor.name.clone(),
            action: if next.rollback_to.is_some() { "version.rollback" } else { "version.publish" }.to_owned(),
            subject: format!("version/{revision}"),
            from: actor.from.clone(),
            result: "done".to_owned(),
            detail: bounded(json!({"note": next.note, "index": manifest.index, "changed": record.changed,
                "changed_count": record.changed_count, "emergency": next.emergency, "rollback_to": next.rollback_to})),
        });
        batch.writes.extend(next.also);
        self.store.commit(batch).await?;
        self.objects.remember(next.objects);
        let published = Arc::new(Published {
            record,
            content: Arc::new(next.content),
        });
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.len() >= RECENT {
                recent.pop_front();
            }
            recent.push_back(Arc::clone(&published));
        }
        self.newest.send_replace(Some(Arc::clone(&published)));
        Ok(published)
    }
}

/// A detail that is too long for an event loses its lists.
fn bounded(mut detail: Value) -> Value {
    let long = detail.to_string().len() > crate::store::DETAIL_BYTES_MAX;
    if let Some(detail) = detail.as_object_mut().filter(|_| long) {
        detail.retain(|_, value| !value.is_array());
    }
    detail
}

/// JSON in one form: equal documents are one object.
fn canonical(path: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Refused> {
    if path.starts_with("files/") {
        return Ok(bytes);
    }
    if path != "edge" && !path.starts_with("edge/") && !path.starts_with("tenants/") {
        return Err(invalid(
            path,
            "paths are `edge`, `edge/<region>`, `tenants/<id>` and `files/...`",
        ));
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| invalid(path, error))?;
    serde_json::to_vec(&value).map_err(|error| invalid(path, error))
}
