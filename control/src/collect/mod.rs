//! Takes the frames of the proxies: each is counted once, for good, before it is acknowledged.

mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use weir_plan::rollout::Sums;
use weir_schema::telemetry::frame::Frame;

use crate::clock;
use crate::push::{Fleet, FrameSink, Keeping};
use crate::store::{Batch, NewEvent, Outcome, Store, StoreError, Write};

pub use usage::{LOST, REFUSALS, SERIES, Usage};

/// What became of frames.
#[derive(Debug, Default)]
pub struct FrameCounts {
    /// Counted.
    pub counted: AtomicU64,
    /// Counted before.
    pub duplicate: AtomicU64,
    /// Not frames, or frames of somebody else: dropped, so that they do not hold up others.
    pub faulty: AtomicU64,
}

/// Looks at frames once they are counted.
pub trait Watcher: Send + Sync {
    /// What is to be written together with a frame; it may turn out to have been counted before.
    fn writes(&self, frame: &Frame) -> Vec<Write>;

    /// A frame of a proxy in a region was counted.
    fn counted(&self, region: &str, frame: &Frame);
}

/// The collector.
pub struct Collector {
    store: Arc<dyn Store>,
    fleet: Arc<Fleet>,
    counts: Arc<FrameCounts>,
    watchers: Arc<[Arc<dyn Watcher>]>,
}

impl Collector {
    /// Counts into a store; `watchers` see each frame once.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, fleet: Arc<Fleet>, watchers: Vec<Arc<dyn Watcher>>) -> Self {
        Self {
            store,
            fleet,
            counts: Arc::default(),
            watchers: watchers.into(),
        }
    }

    /// What became of frames.
    #[must_use]
    pub fn counts(&self) -> &Arc<FrameCounts> {
        &self.counts
    }
}

impl FrameSink for Collector {
    fn keep(&self, node: &str, region: &str, frames: Vec<Value>) -> Keeping {
        let (store, fleet) = (Arc::clone(&self.store), Arc::clone(&self.fleet));
        let (counts, watchers) = (Arc::clone(&self.counts), Arc::clone(&self.watchers));
        let (node, region) = (node.to_owned(), region.to_owned());
        Box::pin(async move {
            let now_ms = clock::unix_ms();
            // All are handed to the store before the first is waited for: they share its commits.
            let mut committing = Vec::with_capacity(frames.len());
            let mut kept: BTreeMap<u64, u64> = BTreeMap::new();
            for value in frames {
                let place = (value["epoch"].as_u64(), value["seq"].as_u64());
                match read(value, &node) {
                    Ok(frame) => {
                        let mut batch = batch(&frame, &region, now_ms);
                        batch
                            .writes
                            .extend(watchers.iter().flat_map(|watcher| watcher.writes(&frame)));
                        committing.push((frame, store.commit(batch)));
                    }
                    Err(reason) => {
                        counts.faulty.fetch_add(1, Ordering::Relaxed);
                        note_fault(&store, &node, &reason, now_ms)
                            .await
                            .map_err(|error| error.to_string())?;
                        if let (Some(epoch), Some(seq)) = place {
                            kept.insert(epoch, seq);
                        }
                    }
                }
            }
            for (frame, commit) in committing {
                let committed = commit.await.map_err(|error| error.to_string())?;
                match committed.outcome {
                    Outcome::Applied => {
                        counts.counted.fetch_add(1, Ordering::Relaxed);
                        fleet.count(&region, frame.revision, frame.to_ms / 1000, sums(&frame));
                        watchers
                            .iter()
                            .for_each(|watcher| watcher.counted(&region, &frame));
                    }
                    Outcome::Duplicate => {
                        counts.duplicate.fetch_add(1, Ordering::Relaxed);
                    }
                }
                let last = kept.entry(frame.epoch).or_default();
                *last = (*last).max(frame.seq);
            }
            Ok(kept.into_iter().collect())
        })
    }
}

fn read(value: Value, node: &str) -> Result<Frame, String> {
    let frame: Frame = serde_json::from_value(value).map_err(|error| error.to_string())?;
    if frame.node != node {
        return Err(format!("a frame of `{}` from `{node}`", frame.node));
    }
    frame.check().map_err(|fault| fault.to_string())?;
    Ok(frame)
}

async fn note_fault(store: &Arc<dyn Store>, node: &str, reason: &str, now_ms: u64) -> Result<(), StoreError> {
    let event = NewEvent {
        actor: format!("proxy/{node}"),
        action: "frame.refuse".to_owned(),
        subject: format!("proxy/{node}"),
        from: String::new(),
        result: "faulty".to_owned(),
        detail: json!({"reason": reason.chars().take(500).collect::<String>()}),
    };
    store.commit(Batch::at(now_ms).event(event)).await.map(drop)
}

fn sums(frame: &Frame) -> Sums {
    let mut sums = Sums::default();
    frame
        .entries
        .iter()
        .for_each(|entry| sums.add(Usage::of(entry).sums()));
    sums
}

/// Everything that a frame counts, in one batch that is written once.
fn batch(frame: &Frame, region: &str, now_ms: u64) -> Batch {
    let mut batch = Batch::at(now_ms).and(Write::SeenFrame {
        node: frame.node.clone(),
        epoch: frame.epoch,
        seq: frame.seq,
    });
    let start = |length_ms: u64| frame.to_ms / length_ms * length_ms;
    for entry in &frame.entries {
        let values = Usage::of(entry).values();
        for (series, length_ms) in SERIES {
            batch = batch.and(Write::Add {
                series: series.to_owned(),
                key: format!("{}/{}/{region}", entry.tenant, entry.route),
                bucket_ms: start(length_ms),
                values: values.clone(),
            });
        }
        for (code, count) in entry.refusals.iter() {
            batch = batch.and(Write::Add {
                series: REFUSALS.0.to_owned(),
                key: format!("{}/{}", entry.tenant, code.as_str()),
                bucket_ms: start(REFUSALS.1),
                values: vec![i64::try_from(count).unwrap_or(i64::MAX)],
            });
        }
    }
    for lost in &frame.lost {
        let frames = (lost.to_seq - lost.from_seq).saturating_add(1);
        let requests = lost.requests.unwrap_or(0);
        batch = batch
            .and(Write::Add {
                series: LOST.0.to_owned(),
                key: frame.node.clone(),
                bucket_ms: start(LOST.1),
                values: [frames, requests]
                    .map(|value| i64::try_from(value).unwrap_or(i64::MAX))
                    .to_vec(),
            })
            .event(NewEvent {
                actor: format!("proxy/{}", frame.node),
                action: "frame.lose".to_owned(),
                subject: format!("proxy/{}", frame.node),
                from: String::new(),
                result: "lost".to_owned(),
                detail: json!(lost),
            });
    }
    batch
}
