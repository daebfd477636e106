//! Tenants whose grace is over leave the configuration.

use serde_json::json;

use super::super::ApiParts;
use super::{Grace, State, path_of, state};
use crate::store::{Batch, IfMatch, Kind, NewEvent, StoreError, Write};
use crate::versions::{Actor, Change, Refused};

/// Tenants of a version.
const AT_ONCE: usize = 100;

/// Removes them, those that are still deleted; of others only the record goes.
pub(in crate::api) async fn purge(parts: &ApiParts, now_ms: u64) -> Result<(), StoreError> {
    let records = parts.store.list(Kind::Tenant, None, crate::store::ROWS_MAX)?;
    let mut change = Change {
        note: "grace is over".to_owned(),
        ..Change::default()
    };
    for record in records {
        let grace: Grace = record.json()?;
        if grace.deletes_ms > now_ms || change.also.len() >= 2 * AT_ONCE {
            continue;
        }
        let forget = Write::Delete {
            kind: Kind::Tenant,
            id: record.id.clone(),
            if_match: IfMatch::Etag(record.etag),
        };
        let path = path_of(&record.id);
        let document = parts.versions.entry(&path)?;
        let document = document.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if document.as_ref().map(state) != Some(State::Deleted) {
            parts.store.commit(Batch::at(now_ms).and(forget)).await?;
            continue;
        }
        change.if_revision = parts.versions.newest().map(|newest| newest.head().revision);
        change.remove.push(path);
        change.also.push(forget);
        change.also.push(Write::Event(NewEvent {
            actor: "system".to_owned(),
            action: "tenant.purge".to_owned(),
            subject: format!("tenant/{}", record.id),
            result: "done".to_owned(),
            detail: json!({}),
            ..NewEvent::default()
        }));
    }
    if change.remove.is_empty() {
        return Ok(());
    }
    match parts
        .versions
        .apply(change, &Actor::system(), false, now_ms)
        .await
    {
        Err(Refused::Store(error)) => Err(error),
        // The next time; what is wrong with the rest of the configuration is in the log of events.
        Ok(_) | Err(_) => Ok(()),
    }
}
