//! Events as they come: `text/event-stream` (HTML Living Standard, section 9.2). What is sent is read from the store, so that a
//! slow reader is behind, but costs nothing and misses nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Channel;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::Api;
use super::answer::Answer;
use super::call::Call;
use super::events::query;
use super::problem::{Code, Problem};
use crate::auth::Principal;
use crate::clock;
use crate::store::{Event, EventQuery};

/// Between signs of life.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// For a reader to take something.
const STALLED: Duration = Duration::from_secs(30);
/// Events that are read at once.
const CHUNK: usize = 100;

/// `GET /v1/events/watch`
pub(super) async fn watch(call: Call) -> Result<Answer, Problem> {
    let mut wanted = query(&call)?;
    let last = match call.headers.get("last-event-id") {
        None => wanted.from_seq,
        Some(last) => {
            let last = last.to_str().ok().and_then(|last| last.parse().ok());
            let last = last.filter(|last: &u64| i64::try_from(*last).is_ok());
            Some(last.ok_or_else(|| Problem::parameter("Last-Event-ID", "it must be the id of an event"))?)
        }
    };
    let newest = call.parts().store.newest_event();
    wanted.from_seq = Some(last.unwrap_or_else(|| *newest.borrow()));
    wanted.limit = CHUNK;
    let watchers = Arc::clone(&call.api.watchers);
    let permit = watchers
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Unavailable, "too many watchers"))?;
    let (out, body) = Channel::<Bytes, std::convert::Infallible>::new(4);
    let watcher = Watcher {
        api: Arc::clone(&call.api),
        who: Arc::clone(&call.who),
        wanted,
        newest,
        out,
        _permit: permit,
    };
    tokio::spawn(watcher.run());
    Ok(Answer::Stream(body))
}

struct Watcher {
    api: Arc<Api>,
    who: Arc<Principal>,
    wanted: EventQuery,
    newest: tokio::sync::watch::Receiver<u64>,
    out: http_body_util::channel::Sender<Bytes, std::convert::Infallible>,
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    /// Until the reader goes or stalls, the token ends or control does.
    async fn run(mut self) {
        let mut text = ": welcome\n\n".to_owned();
        loop {
            if !self.send(std::mem::take(&mut text)).await {
                return;
            }
            let now_ms = clock::unix_ms();
            let expired = self.who.expires_ms.is_some_and(|expires_ms| now_ms >= expires_ms);
            if expired || !self.api.tokens.still_valid(&self.who, now_ms) {
                return;
            }
            // Before the look, so that what comes after it wakes.
            let seen = *self.newest.borrow_and_update();
            let (store, wanted) = (Arc::clone(&self.api.parts.store), self.wanted.clone());
            let Ok(Ok(events)) = tokio::task::spawn_blocking(move || store.events(&wanted)).await else {
                return;
            };
            if let Some(last) = events.last() {
                self.wanted.from_seq = Some(last.seq);
                text = events.iter().map(written).collect();
                continue;
            }
            // Others that came do not matter to this one.
            self.wanted.from_seq = self.wanted.from_seq.max(Some(seen));
            match timeout(HEARTBEAT, self.newest.changed()).await {
                Ok(Err(_)) => return,
                Ok(Ok(())) => {}
                Err(_) => ": still here\n\n".clone_into(&mut text),
            }
        }
    }

    async fn send(&mut self, text: String) -> bool {
        text.is_empty()
            || matches!(
                timeout(STALLED, self.out.send_data(text.into())).await,
                Ok(Ok(()))
            )
    }
}

fn written(event: &Event) -> String {
    // JSON has no line breaks of its own.
    let data = serde_json::to_string(event).unwrap_or_default();
    format!(
        "id: {}\nevent: {}\ndata: {data}\n\n",
        event.seq,
        event.action.replace(['\n', '\r'], " ")
    )
}
