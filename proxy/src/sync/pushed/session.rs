//! One session with control: versions come down, answers and telemetry go up.

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Instant;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use weir_schema::push::{
    Down, FORMAT, Head, InlineObject, Manifest, Messages, ObjectHash, Signed, Up, encode,
};

use super::Control;
use super::client::Link;
use super::store::{StoreError, Version};
use crate::clock;
use crate::process::Process;
use crate::reload::{Input, Outcome, behind};
use crate::telemetry::frames::{Outlet, Queue, Spooled};

/// Objects asked for at once.
const OBJECTS_AT_ONCE: usize = 2000;
/// Bytes of an object: a database of networks has some ten megabytes.
const OBJECT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of frames in one message.
const FRAMES_BYTES_MAX: usize = 4 << 20;
/// Versions after which objects that nobody uses are looked for.
const PRUNE_EVERY: u64 = 16;

/// Runs until the session ends; says why it did.
pub(super) async fn run(process: &Arc<Process>, control: &Arc<Control>, link: Link) -> String {
    let mut session = Session {
        process: Arc::clone(process),
        control: Arc::clone(control),
        link,
        fetched_bytes: 0,
    };
    session.run().await
}

struct Session {
    process: Arc<Process>,
    control: Arc<Control>,
    link: Link,
    fetched_bytes: u64,
}

/// Why a version is not served.
struct Refusal {
    head: Option<Head>,
    reasons: Vec<Value>,
}

impl Refusal {
    fn new(head: Option<Head>, code: &str, message: impl ToString) -> Self {
        let reasons = vec![json!({"code": code, "message": message.to_string()})];
        Self { head, reasons }
    }
}

impl Session {
    async fn run(&mut self) -> String {
        let (up, mut said) = match self.link.session().await {
            Ok(opened) => opened,
            Err(reason) => return reason,
        };
        let hello = Up::Hello {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.process.started_ms,
            serving: self
                .process
                .reloader
                .pushed()
                .map(|pushed| pushed.version.manifest.head()),
            refused: self.control.status.last_refused(),
        };
        if send(&up, &hello).await.is_err() {
            return ENDED.to_owned();
        }
        self.control.status.connected(clock::unix_ms());
        self.process.shared.metrics.control_connected.set(1);
        let mut messages = Messages::default();
        let mut outlet = self.process.shared.frames.queue().map(Queue::outlet);
        loop {
            let bytes = tokio::select! {
                bytes = next_bytes(&mut said) => match bytes {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => return ENDED.to_owned(),
                    Err(reason) => return reason,
                },
                frames = next_frames(outlet.as_mut()) => {
                    if let Err(reason) = send_frames(&up, frames).await {
                        return reason;
                    }
                    continue;
                }
            };
            messages.feed(&bytes);
            loop {
                match messages.take() {
                    Ok(Some(message)) => {
                        if let Err(reason) = self.heard(&message, &up).await {
                            return reason;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return error.to_string(),
                }
            }
        }
    }

    async fn heard(&mut self, message: &[u8], up: &mpsc::Sender<Vec<u8>>) -> Result<(), String> {
        let down: Down = serde_json::from_slice(message).map_err(|error| format!("control said: {error}"))?;
        self.control.status.heard(clock::unix_ms());
        match down {
            Down::Version { signed, objects } => {
                let answer = self.version(signed, objects).await?;
                send(up, &answer).await
            }
            Down::Ping { number } => send(up, &Up::Pong { number }).await,
            Down::FramesKept { epoch, seq } => {
                if let Some(queue) = self.process.shared.frames.queue() {
                    queue.ack(epoch, seq).await;
                }
                Ok(())
            }
            Down::Welcome { .. } | Down::Unknown => Ok(()),
        }
    }

    /// Serves a version, or says why not. An error ends the session: what could not be fetched now may come later.
    async fn version(&mut self, signed: Signed, objects: Vec<InlineObject>) -> Result<Up, String> {
        let started = Instant::now();
        self.fetched_bytes = 0;
        let taken = self.take(signed, objects).await?;
        let metrics = &self.process.shared.metrics;
        Ok(match taken {
            Ok((head, quarantined)) => {
                self.control.status.serves(head);
                self.process.shared.frames.serves(head.revision);
                metrics
                    .control_revision
                    .set(i64::try_from(head.revision).unwrap_or(i64::MAX));
                Up::Ack {
                    head,
                    generation: self.process.shared.live.load().generation,
                    compile_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    fetched_bytes: self.fetched_bytes,
                    quarantined,
                }
            }
            Err(refusal) => {
                metrics.control_refused.inc();
                let event =
                    json!({"event": "version_refused", "head": refusal.head, "errors": refusal.reasons});
                self.process.events.tell(&event);
                self.control.status.refused(refusal.head, refusal.reasons.clone());
                Up::Nack {
                    head: refusal.head,
                    reasons: refusal.reasons,
                }
            }
        })
    }

    async fn take(
        &mut self,
        signed: Signed,
        objects: Vec<InlineObject>,
    ) -> Result<Result<(Head, Vec<String>), Refusal>, String> {
        let trust = self.control.trusted();
        let manifest = match signed.open_after(&trust.keys, &trust.deployment, trust.newest) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Err(Refusal::new(head_of(&signed), error.code(), error))),
        };
        let head = manifest.head();
        for object in objects {
            self.control
                .store
                .put(object.text.as_bytes())
                .map_err(|error| error.to_string())?;
        }
        let serving = self.process.reloader.pushed();
        if let Some(serving) = serving
            .as_ref()
            .filter(|serving| serving.version.manifest.index == head.index)
        {
            // The same content under another number: nothing is compiled.
            let version = Version {
                signed,
                manifest,
                ..serving.version.clone()
            };
            self.process.reloader.renumber(version.clone());
            self.served(version, Some(serving.version.clone())).await;
            return Ok(Ok((head, self.quarantined())));
        }
        self.fetch(&manifest).await?;
        let old = serving.map(|serving| serving.version.clone());
        let version = match self.read(signed, manifest, old.clone()).await {
            Ok(version) => version,
            // It was there a moment ago; the next session fetches it again.
            Err(error @ (StoreError::Damaged(_) | StoreError::Missing(_) | StoreError::Disk { .. })) => {
                return Err(error.to_string());
            }
            Err(error) => return Ok(Err(Refusal::new(Some(head), "version_not_whole", error))),
        };
        let outcome = self
            .process
            .reload(Input::Pushed(Box::new(version.clone())), false)
            .await;
        let mut event = outcome.event();
        event["revision"] = json!(head.revision);
        match outcome {
            Outcome::Refused(reasons) => {
                let control = Arc::clone(&self.control);
                let back = behind(move || match old {
                    Some(old) => control.store.show(&old.listing, Some(&version.listing)),
                    None => Ok(()),
                });
                if let Some(Err(error)) = back.await {
                    self.process.tell_not_kept(Err(std::io::Error::other(error)));
                }
                Ok(Err(Refusal {
                    head: Some(head),
                    reasons,
                }))
            }
            Outcome::Swapped { .. } | Outcome::Checked { .. } => {
                self.process.events.tell(&event);
                self.served(version, old).await;
                Ok(Ok((head, self.quarantined())))
            }
        }
    }

    fn quarantined(&self) -> Vec<String> {
        let live = self.process.shared.live.load();
        let ids = live.config.quarantined.iter().filter_map(|one| one.id.as_ref());
        ids.map(|id| id.as_str().to_owned()).collect()
    }

    /// Fetches what lacks: the index, then pages, then what they list.
    async fn fetch(&mut self, manifest: &Manifest) -> Result<(), String> {
        let store = |error: StoreError| error.to_string();
        if self.control.store.object(&manifest.index).is_err() {
            self.objects(&[manifest.index]).await?;
        }
        let pages = self.control.store.pages_lacking(&manifest.index).map_err(store)?;
        self.objects(&pages).await?;
        let listing = self.control.store.listing(&manifest.index).map_err(store)?;
        let serving = self.process.reloader.pushed();
        let known = |path: &str, hash| {
            let known = serving
                .as_ref()
                .and_then(|serving| serving.version.listing.get(path));
            known.is_some_and(|entry| entry.hash == hash)
        };
        let lacking = listing
            .iter()
            .filter(|(path, entry)| !known(path, entry.hash) && !self.control.store.has(&entry.hash));
        let mut lacking: Vec<ObjectHash> = lacking.map(|(_, entry)| entry.hash).collect();
        lacking.sort_unstable();
        lacking.dedup();
        self.objects(&lacking).await
    }

    async fn objects(&mut self, hashes: &[ObjectHash]) -> Result<(), String> {
        for some in hashes.chunks(OBJECTS_AT_ONCE) {
            let mut body = self.link.objects(some).await?;
            let mut buffer = Vec::new();
            for hash in some {
                let length = loop {
                    if let Some(head) = buffer.first_chunk::<8>() {
                        break u64::from_be_bytes(*head);
                    }
                    more(&mut body, &mut buffer).await?;
                };
                if length > OBJECT_BYTES_MAX {
                    return Err(format!(
                        "object {hash} has {length} bytes, more than {OBJECT_BYTES_MAX}"
                    ));
                }
                let end = 8 + usize::try_from(length).map_err(|error| error.to_string())?;
                while buffer.len() < end {
                    more(&mut body, &mut buffer).await?;
                }
                let object = buffer.get(8..end).unwrap_or_default();
                if ObjectHash::of(object) != *hash {
                    return Err(format!("control sent something else than object {hash}"));
                }
                self.control
                    .store
                    .put(object)
                    .map_err(|error| error.to_string())?;
                self.fetched_bytes += length;
                buffer.drain(..end);
            }
        }
        Ok(())
    }

    async fn read(
        &self,
        signed: Signed,
        manifest: Manifest,
        old: Option<Version>,
    ) -> Result<Version, StoreError> {
        let control = Arc::clone(&self.control);
        let read = behind(move || {
            let version = control.store.read(signed, manifest, old.as_ref())?;
            control
                .store
                .show(&version.listing, old.as_ref().map(|old| &*old.listing))?;
            Ok(version)
        });
        read.await
            .unwrap_or_else(|| Err(StoreError::Listing("reading it failed inside".to_owned())))
    }

    /// The version serves: it is kept, and nothing older is accepted any more.
    async fn served(&self, version: Version, old: Option<Version>) {
        let control = Arc::clone(&self.control);
        let kept = behind(move || {
            let trust = {
                let mut trust = control.trust.lock().unwrap_or_else(PoisonError::into_inner);
                trust.newest = Some(version.manifest.head());
                trust.keys = version.manifest.keys.iter().copied().collect();
                trust.clone()
            };
            control.store.keep(&version, old.as_ref(), &trust)?;
            if version.manifest.revision.is_multiple_of(PRUNE_EVERY) {
                control.store.prune(&version)?;
            }
            Ok(())
        });
        let kept: Option<Result<(), StoreError>> = kept.await;
        self.process
            .tell_not_kept(kept.unwrap_or(Ok(())).map_err(std::io::Error::other));
    }
}

const ENDED: &str = "control ended the session";

/// Which version it says it is, for a refusal of what is not believed.
fn head_of(signed: &Signed) -> Option<Head> {
    serde_json::from_str(&signed.manifest).ok()
}

async fn send(up: &mpsc::Sender<Vec<u8>>, message: &Up) -> Result<(), String> {
    let bytes = encode(message).map_err(|error| error.to_string())?;
    up.send(bytes).await.map_err(|_| ENDED.to_owned())
}

/// The next frames; never comes when none are made.
async fn next_frames(outlet: Option<&mut Outlet>) -> Vec<Spooled> {
    match outlet {
        Some(outlet) => outlet.next_batch(FRAMES_BYTES_MAX).await,
        None => std::future::pending().await,
    }
}

async fn send_frames(up: &mpsc::Sender<Vec<u8>>, spooled: Vec<Spooled>) -> Result<(), String> {
    // One that cannot be read names itself as lost in a later frame.
    let frames = spooled
        .iter()
        .filter_map(|one| serde_json::from_slice(&one.json).ok());
    send(
        up,
        &Up::Frames {
            frames: frames.collect(),
        },
    )
    .await
}

async fn next_bytes(body: &mut Incoming) -> Result<Option<bytes::Bytes>, String> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => return Err(error.to_string()),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

async fn more(body: &mut Incoming, buffer: &mut Vec<u8>) -> Result<(), String> {
    match next_bytes(body).await? {
        Some(bytes) => {
            buffer.extend_from_slice(&bytes);
            Ok(())
        }
        None => Err("control sent fewer objects than it was asked for".to_owned()),
    }
}
