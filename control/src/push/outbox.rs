//! Messages that many proxies get, written once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use weir_schema::push::{Down, Head, InlineObject, ObjectHash, encode};

use crate::versions::{ObjectCache, Published};

/// Bytes of an object that travels with its version.
const INLINE_BYTES_MAX: usize = 256 << 10;
/// Bytes of all objects of a message.
const INLINE_ALL_MAX: usize = 4 << 20;
/// Messages that are remembered.
const REMEMBERED: usize = 32;

/// What leads from one content to a version.
type Way = (Option<ObjectHash>, Head);

/// Writes version messages.
#[derive(Default)]
pub(super) struct Outbox(Mutex<VecDeque<(Way, Bytes)>>);

impl Outbox {
    /// The message with which a proxy that serves `from` comes to `to`: with what it lacks if that is small, else it
    /// fetches.
    pub(super) fn version(
        &self,
        from: Option<&Arc<Published>>,
        to: &Published,
        objects: &ObjectCache,
    ) -> Option<Bytes> {
        let way = (from.map(|from| from.content.index), to.head());
        let known = |kept: &VecDeque<(Way, Bytes)>| {
            kept.iter()
                .find(|(known, _)| *known == way)
                .map(|(_, message)| message.clone())
        };
        // Held while the message is made: a thousand proxies ask for it at once.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(message) = known(&kept) {
            return Some(message);
        }
        let message = Down::Version {
            signed: to.record.signed.clone(),
            objects: from.map(|from| lacking(from, to, objects)).unwrap_or_default(),
        };
        let message = Bytes::from(encode(&message).ok()?);
        if kept.len() >= REMEMBERED {
            kept.pop_front();
        }
        kept.push_back((way, message.clone()));
        Some(message)
    }
}

fn lacking(from: &Published, to: &Published, objects: &ObjectCache) -> Vec<InlineObject> {
    let pages = from.content.pages.iter().zip(&to.content.pages);
    let pages = pages.filter(|(old, new)| old != new).filter_map(|(_, new)| *new);
    let changed = from.content.listing.changes(&to.content.listing);
    let changed = changed.filter_map(|(_, entry)| entry.map(|entry| entry.hash));
    let index = (from.content.index != to.content.index).then_some(to.content.index);
    let (mut inline, mut bytes) = (Vec::new(), 0);
    for hash in index.into_iter().chain(pages).chain(changed) {
        // What cannot be read now is fetched by the proxy, and fails there for all to see.
        let Ok(Some(object)) = objects.get(&hash) else {
            continue;
        };
        let Ok(text) = std::str::from_utf8(&object) else {
            continue;
        };
        if text.len() <= INLINE_BYTES_MAX && bytes + text.len() <= INLINE_ALL_MAX {
            bytes += text.len();
            inline.push(InlineObject {
                text: text.to_owned(),
            });
        }
    }
    inline
}
