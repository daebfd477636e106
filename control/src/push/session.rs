//! One session with a proxy.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use weir_schema::push::{Down, FORMAT, Head, Messages, Up, encode};

use super::hub::Hub;
use super::join::Joined;
use crate::clock;
use crate::store::{Batch, NewEvent};

/// Time between two questions whether the proxy is there.
const PING_EVERY: Duration = Duration::from_secs(5);
/// A proxy that says nothing for this long is taken for gone.
const SILENCE_MAX_MS: u64 = 20_000;
/// Messages that wait to be sent.
pub(super) const DOWN_QUEUE: usize = 16;

/// What control says, as the body of a response.
pub(super) struct Said(pub(super) mpsc::Receiver<Bytes>);

impl Body for Said {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A session that is open.
pub(super) struct Session {
    pub(super) hub: Arc<Hub>,
    pub(super) who: Joined,
    pub(super) number: u64,
    pub(super) down: mpsc::Sender<Bytes>,
}

/// The session is over.
struct Over;

impl Session {
    /// Runs until the proxy goes.
    pub(super) async fn run(self, mut heard: Incoming) {
        let (messages, mut received) = mpsc::channel(4);
        let reader = tokio::spawn(async move {
            let mut cut = Messages::default();
            while let Some(Ok(frame)) = heard.frame().await {
                let Ok(bytes) = frame.into_data() else { continue };
                cut.feed(&bytes);
                loop {
                    match cut.take() {
                        Ok(Some(message)) => {
                            if messages.send(message).await.is_err() {
                                return;
                            }
                        }
                        Ok(None) => break,
                        Err(_) => return,
                    }
                }
            }
        });
        // Whatever ended it, the proxy dials again.
        let _ = self.converse(&mut received).await;
        reader.abort();
        self.hub.fleet.left(&self.who.node, self.number, clock::unix_ms());
    }

    async fn converse(&self, received: &mut mpsc::Receiver<Vec<u8>>) -> Result<(), Over> {
        let welcome = Down::Welcome {
            format: FORMAT,
            now_ms: clock::unix_ms(),
        };
        self.say(&welcome).await?;
        let mut targets = self.hub.watch_targets();
        let mut ticks = interval(PING_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut greeted, mut sent) = (false, None);
        let (mut number, mut heard_ms) = (0, clock::unix_ms());
        loop {
            tokio::select! {
                message = received.recv() => {
                    let message = message.ok_or(Over)?;
                    heard_ms = clock::unix_ms();
                    self.hub.fleet.update(&self.who.node, self.number, |proxy| proxy.heard_ms = heard_ms);
                    let up: Up = serde_json::from_slice(&message).map_err(|_| Over)?;
                    let hello = matches!(up, Up::Hello { .. });
                    self.heard(up).await?;
                    if hello && !greeted {
                        greeted = true;
                        targets.mark_unchanged();
                        self.aim(&mut sent).await?;
                    }
                }
                changed = targets.changed() => {
                    changed.map_err(|_| Over)?;
                    if greeted {
                        self.aim(&mut sent).await?;
                    }
                }
                _ = ticks.tick() => {
                    if clock::unix_ms().saturating_sub(heard_ms) > SILENCE_MAX_MS {
                        return Err(Over);
                    }
                    number += 1;
                    self.say(&Down::Ping { number }).await?;
                }
            }
        }
    }

    /// Sends what the region is to serve, unless the proxy serves it, was sent it, or has refused it.
    async fn aim(&self, sent: &mut Option<Head>) -> Result<(), Over> {
        let Some(target) = self.hub.targets().of(&self.who.region).cloned() else {
            return Ok(());
        };
        let head = target.head();
        let mut known = None;
        self.hub.fleet.update(&self.who.node, self.number, |proxy| {
            if proxy.target != Some(head) {
                proxy.target = Some(head);
                proxy.target_ms = clock::unix_ms();
            }
            known = Some((proxy.serving, proxy.refused));
        });
        let (serving, refused) = known.ok_or(Over)?;
        if serving == Some(head) || refused == Some(head) || *sent == Some(head) {
            return Ok(());
        }
        *sent = Some(head);
        let from = serving.and_then(|serving| self.hub.known(&serving.index));
        let hub = Arc::clone(&self.hub);
        let message = tokio::task::spawn_blocking(move || {
            hub.outbox.version(from.as_ref(), &target, hub.versions.objects())
        });
        let message = message.await.ok().flatten().ok_or(Over)?;
        self.down.send(message).await.map_err(|_| Over)
    }

    async fn say(&self, message: &Down) -> Result<(), Over> {
        let bytes = encode(message).map_err(|_| Over)?;
        self.down.send(Bytes::from(bytes)).await.map_err(|_| Over)
    }

    async fn heard(&self, up: Up) -> Result<(), Over> {
        let fleet = &self.hub.fleet;
        let node = &self.who.node;
        match up {
            Up::Hello {
                program,
                serving,
                refused,
                ..
            } => fleet.update(node, self.number, |proxy| {
                proxy.program = program;
                proxy.serving = serving;
                if proxy.refused != refused {
                    proxy.refused = refused;
                    proxy.reasons.clear();
                }
            }),
            Up::Ack {
                head,
                generation,
                compile_ms,
                fetched_bytes,
                quarantined,
            } => fleet.update(node, self.number, |proxy| {
                proxy.serving = Some(head);
                (proxy.refused, proxy.reasons) = (None, Vec::new());
                (proxy.generation, proxy.compile_ms) = (generation, compile_ms);
                (proxy.fetched_bytes, proxy.quarantined) = (fetched_bytes, quarantined);
            }),
            Up::Nack { head, reasons } => {
                let event = NewEvent {
                    actor: format!("proxy/{node}"),
                    action: "version.refuse".to_owned(),
                    subject: head.map_or_else(
                        || "version".to_owned(),
                        |head| format!("version/{}", head.revision),
                    ),
                    from: fleet.get(node).map(|proxy| proxy.address).unwrap_or_default(),
                    result: "refused".to_owned(),
                    detail: serde_json::json!({"reasons": reasons.iter().take(20).collect::<Vec<_>>()}),
                };
                fleet.refused(node, self.number, head, reasons);
                // The refusal counts whether or not it could be written down.
                let _ = self
                    .hub
                    .store
                    .commit(Batch::at(clock::unix_ms()).event(event))
                    .await;
            }
            Up::Frames { frames } => {
                // What is not kept is not acknowledged: the proxy sends it again.
                let kept = self
                    .hub
                    .frames
                    .keep(node, &self.who.region, frames)
                    .await
                    .map_err(|_| Over)?;
                for (epoch, seq) in kept {
                    self.say(&Down::FramesKept { epoch, seq }).await?;
                }
            }
            Up::Pong { .. } | Up::Unknown => {}
        }
        Ok(())
    }
}
