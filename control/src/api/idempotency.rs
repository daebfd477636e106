//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a POST that is sent again with its key gets the answer of the
//! first and does nothing. Answers are kept for a day, encrypted, in the commit of the change itself.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_schema::push::ObjectHash;

use super::Api;
use super::answer::Document;
use super::problem::{Code, Problem};
use crate::store::{Batch, IfMatch, Kind, PRUNE_ROWS_MAX, Store, StoreError, Write};

/// How long an answer is kept.
const KEPT_MS: u64 = 24 * 60 * 60 * 1000;
/// Answers that are kept.
const KEPT_MAX: u64 = 100_000;
/// Bytes of a key.
pub(super) const KEY_BYTES_MAX: usize = 128;

/// An answer that is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    request: ObjectHash,
    status: u16,
    location: Option<String>,
    body: Value,
}

/// The keys that are known.
pub(super) struct Idempotency {
    kept: AtomicU64,
    running: Mutex<HashSet<String>>,
}

/// A key whose request is under way.
pub(super) struct Key {
    id: String,
    request: ObjectHash,
}

/// Until the request has its answer.
pub(super) struct Running {
    api: Arc<Api>,
    id: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.api.idempotency.running().remove(&self.id);
    }
}

/// What a key means for its request.
pub(super) enum Known {
    /// Go on; the answer is kept with the change.
    Fresh(Key, Running),
    /// This is its answer.
    Again(Document),
}

impl Idempotency {
    pub(super) fn new(store: &dyn Store) -> Result<Self, StoreError> {
        let kept = AtomicU64::new(store.count(Kind::Idempotency)?);
        Ok(Self {
            kept,
            running: Mutex::default(),
        })
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn one_more(&self) {
        self.kept.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) async fn prune(&self, store: &dyn Store, now_ms: u64) -> Result<(), StoreError> {
        let prune = Write::PruneRecords {
            kind: Kind::Idempotency,
            before_ms: now_ms.saturating_sub(KEPT_MS),
        };
        while store.commit(Batch::at(now_ms).and(prune.clone())).await?.pruned == PRUNE_ROWS_MAX {}
        self.kept
            .store(store.count(Kind::Idempotency)?, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether a text may be a key.
pub(super) fn check(key: &str) -> Result<(), Problem> {
    let printable = key.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !printable {
        let detail = format!("1 to {KEY_BYTES_MAX} printable ASCII characters without spaces");
        return Err(Problem::parameter("Idempotency-Key", detail));
    }
    Ok(())
}

/// Looks a key up. `request` is everything that makes the request what it is.
pub(super) fn look_up(
    api: &Arc<Api>,
    token: &str,
    key: &str,
    request: &[&[u8]],
    now_ms: u64,
) -> Result<Known, Problem> {
    let id = ObjectHash::of(format!("{token}\n{key}").as_bytes()).to_string();
    let parts: Vec<u8> = request
        .iter()
        .flat_map(|part| ObjectHash::of(part).as_bytes().to_vec())
        .collect();
    let request = ObjectHash::of(&parts);
    // First of all, so that whoever comes second sees either this or the answer.
    if !api.idempotency.running().insert(id.clone()) {
        return Err(Problem::new(
            Code::Conflict,
            "a request with this Idempotency-Key is under way",
        ));
    }
    let running = Running {
        api: Arc::clone(api),
        id: id.clone(),
    };
    if let Some(record) = api.parts.store.get(Kind::Idempotency, &id)? {
        let kept: Kept = record.json()?;
        if record.changed_ms.saturating_add(KEPT_MS) > now_ms {
            if kept.request != request {
                let detail =
                    "another request came with this Idempotency-Key: take a fresh key for a new request";
                return Err(Problem::new(Code::IdempotencyMismatch, detail));
            }
            let Kept {
                status,
                location,
                body,
                ..
            } = kept;
            return Ok(Known::Again(Document {
                status,
                etag: None,
                location,
                body,
            }));
        }
    }
    if api.idempotency.kept.load(Ordering::Relaxed) >= KEPT_MAX {
        return Err(Problem::too_many(
            "too many idempotency keys are kept: send this without one",
            60_000,
        ));
    }
    Ok(Known::Fresh(Key { id, request }, running))
}

impl Key {
    /// What is written with the change.
    pub(super) fn write(&self, answer: &Document) -> Result<Write, Problem> {
        let kept = Kept {
            request: self.request,
            status: answer.status,
            location: answer.location.clone(),
            body: answer.body.clone(),
        };
        let body =
            serde_json::to_vec(&kept).map_err(|error| Problem::new(Code::ServerFault, error.to_string()))?;
        Ok(Write::Put {
            kind: Kind::Idempotency,
            id: self.id.clone(),
            body,
            if_match: IfMatch::Any,
        })
    }
}
