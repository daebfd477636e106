//! What the store has of versions when control starts.

use std::sync::Arc;

use aws_lc_rs::rand;
use serde::de::DeserializeOwned;
use weir_schema::push::{Index, Listing, ObjectHash, Page};

use super::{Content, Keys, ObjectCache, Published, VersionRecord};
use crate::store::{Batch, IfMatch, Kind, NewEvent, Store, StoreError};

/// The record that names the deployment.
const DEPLOYMENT: &str = "deployment";

/// Records of versions in the order of their numbers.
pub(super) fn id_of(revision: u64) -> String {
    format!("{revision:020}")
}

/// The deployment's name and its keys; made when the store is new.
pub(super) async fn open(store: &Arc<dyn Store>, now_ms: u64) -> Result<(String, Keys), StoreError> {
    let mut batch = Batch::at(now_ms);
    let deployment = match store.get(Kind::Meta, DEPLOYMENT)? {
        Some(record) => record.json()?,
        None => {
            let mut name = [0_u8; 16];
            rand::fill(&mut name)
                .map_err(|_| StoreError::Failed("the system gives no randomness".to_owned()))?;
            let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
            batch = batch.put(Kind::Meta, DEPLOYMENT, &name, IfMatch::Absent)?;
            name
        }
    };
    let mut keys = Keys::read(&store.list(Kind::SigningKey, None, 8)?)?;
    if keys.is_empty() {
        batch.writes.extend(keys.begin(now_ms)?.writes);
        batch = batch.event(NewEvent {
            actor: "system".to_owned(),
            action: "signing_key.create".to_owned(),
            subject: "deployment".to_owned(),
            result: "done".to_owned(),
            ..NewEvent::default()
        });
    }
    if !batch.writes.is_empty() {
        store.commit(batch).await?;
    }
    Ok((deployment, keys))
}

/// The newest version.
pub(super) fn newest(store: &dyn Store, objects: &ObjectCache) -> Result<Option<Published>, StoreError> {
    let Some(record) = store.list_back(Kind::Version, None, 1)?.pop() else {
        return Ok(None);
    };
    let record: VersionRecord = record.json()?;
    let content = content(objects, &record.head.index)?;
    Ok(Some(Published {
        record,
        content: Arc::new(content),
    }))
}

/// What an index lists.
pub(super) fn content(objects: &ObjectCache, index: &ObjectHash) -> Result<Content, StoreError> {
    let pages: Index = json(objects, index)?;
    let read = pages.iter().map(|page| match page {
        Some(hash) => json(objects, hash),
        None => Ok(Page::new()),
    });
    let read: Vec<Page> = read.collect::<Result<_, _>>()?;
    let listing = Listing::from_pages(read).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(Content {
        listing,
        pages,
        index: *index,
    })
}

fn json<T: DeserializeOwned>(objects: &ObjectCache, hash: &ObjectHash) -> Result<T, StoreError> {
    let bytes = objects
        .get(hash)?
        .ok_or_else(|| StoreError::Corrupt(format!("object {hash} is missing")))?;
    serde_json::from_slice(&bytes).map_err(|error| StoreError::Corrupt(format!("object {hash}: {error}")))
}
