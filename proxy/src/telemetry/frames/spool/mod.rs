//! Frames that nobody has acknowledged: on disk where the proxy has a state folder, else in memory; bounded in bytes, the
//! oldest go first, and what goes is named in a later frame.

mod adopt;
mod losses;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use weir_schema::telemetry::frame::{Frame, LossCause, Lost};

use losses::Losses;
use segment::Segment;

/// Frames between two looks for what other processes left.
const ADOPT_EVERY: u64 = 10;
/// Bytes of a file, unless a part of the whole is less.
const SEGMENT_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a file whose frames are all acknowledged at which it is worth a new one.
const ACKED_BYTES_MAX: u64 = 64 << 10;

/// A frame on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spooled {
    /// Its place in the queue, ascending; of this process only.
    pub(crate) order: u64,
    /// Its epoch.
    pub(crate) epoch: u64,
    /// Its number in it.
    pub(crate) seq: u64,
    /// The frame as JSON.
    pub(crate) json: Vec<u8>,
}

/// How full it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    /// Epoch of this process.
    pub(crate) epoch: u64,
    /// Number of its next frame.
    pub(crate) next_seq: u64,
    /// Frames that are not acknowledged.
    pub(crate) frames: usize,
    /// Bytes that they and what is not cleared away yet take.
    pub(crate) bytes: u64,
    /// Bytes at which the oldest go.
    pub(crate) bytes_max: u64,
    /// Epoch and number of the oldest.
    pub(crate) oldest: Option<(u64, u64)>,
    /// Frames that this process found to be lost, or let go.
    pub(crate) frames_lost: u64,
    /// Whether a crash of the process leaves them.
    pub(crate) on_disk: bool,
    /// Why the last frame could not be written to the disk; it is kept in memory then.
    pub(crate) disk_error: Option<String>,
}

enum Place {
    Disk { segment: u64, at: u64 },
    Memory(Vec<u8>),
}

struct Kept {
    order: u64,
    epoch: u64,
    seq: u64,
    requests: u64,
    lost: Vec<Lost>,
    place: Place,
}

/// The frames of this process, and those that earlier ones left.
pub(crate) struct Spool {
    folder: Option<PathBuf>,
    bytes_max: u64,
    epoch: u64,
    next_seq: u64,
    next_order: u64,
    next_segment: u64,
    kept: VecDeque<Kept>,
    segments: BTreeMap<u64, Segment>,
    /// The one that is written to.
    open: Option<u64>,
    /// Segments to delete once the next frame is written, which names what they held.
    doomed: Vec<u64>,
    memory_bytes: u64,
    losses: Losses,
    disk_error: Option<String>,
}

impl Spool {
    /// Opens one, with what earlier processes left in the folder. The epoch is `now_ms`, or later than any in the folder.
    pub(crate) fn open(folder: Option<&Path>, bytes_max: u64, now_ms: u64) -> Self {
        let mut spool = Self {
            folder: folder.map(Path::to_owned),
            bytes_max,
            epoch: now_ms.max(1),
            next_seq: 1,
            next_order: 1,
            next_segment: 1,
            kept: VecDeque::new(),
            segments: BTreeMap::new(),
            open: None,
            doomed: Vec::new(),
            memory_bytes: 0,
            losses: Losses::default(),
            disk_error: None,
        };
        if let Some(folder) = folder {
            spool.disk_error = fs::create_dir_all(folder).err().map(|error| error.to_string());
            spool.epoch = spool.epoch.max(adopt::latest_epoch(folder).saturating_add(1));
            spool.adopt();
            spool.rotate();
        }
        spool
    }

    /// Keeps a frame. It gets its epoch, its number and the losses that it is to name here.
    pub(crate) fn append(&mut self, mut frame: Frame) {
        if self.next_seq.is_multiple_of(ADOPT_EVERY) {
            self.adopt();
        }
        self.rotate();
        frame.epoch = self.epoch;
        frame.seq = self.next_seq;
        let json = loop {
            frame.lost = self.losses.next();
            // Only maps with keys that are no texts and failing writers make it fail.
            let json = serde_json::to_vec(&frame).unwrap_or_default();
            if Segment::behind(self.bytes(), json.len()) <= self.bytes_max || !self.drop_oldest() {
                break json;
            }
        };
        self.losses.named(frame.lost.len());
        let place = self.place(json);
        self.keep(&frame, place);
        self.next_seq += 1;
        for segment in std::mem::take(&mut self.doomed) {
            self.remove(segment);
        }
    }

    /// Frames behind `after` in the queue, oldest first, of at most `bytes_max` together, at least one where there is one.
    pub(crate) fn batch(&mut self, after: u64, bytes_max: usize) -> Vec<Spooled> {
        let mut batch: Vec<Spooled> = Vec::new();
        let mut bytes = 0;
        let mut unreadable = Vec::new();
        let from = self.kept.partition_point(|kept| kept.order <= after);
        for kept in self.kept.range(from..) {
            let json = match &kept.place {
                Place::Memory(json) => Some(json.clone()),
                Place::Disk { segment, at } => self.segments.get(segment).and_then(|file| file.read(*at)),
            };
            let Some(json) = json else {
                unreadable.push(kept.order);
                continue;
            };
            bytes += json.len();
            if bytes > bytes_max && !batch.is_empty() {
                break;
            }
            batch.push(Spooled {
                order: kept.order,
                epoch: kept.epoch,
                seq: kept.seq,
                json,
            });
        }
        for order in unreadable {
            let at = self.kept.partition_point(|kept| kept.order < order);
            self.lose(at, LossCause::Unreadable);
        }
        batch
    }

    /// All frames of an epoch up to this one have arrived.
    pub(crate) fn ack(&mut self, epoch: u64, seq: u64) {
        let mut at = 0;
        while let Some(kept) = self.kept.get(at) {
            if kept.epoch == epoch && kept.seq <= seq {
                self.take(at);
            } else {
                at += 1;
            }
        }
        let empty: Vec<u64> = self.empty().collect();
        for segment in empty {
            self.remove(segment);
        }
    }

    /// How full it is.
    pub(crate) fn state(&self) -> State {
        State {
            epoch: self.epoch,
            next_seq: self.next_seq,
            frames: self.kept.len(),
            bytes: self.bytes(),
            bytes_max: self.bytes_max,
            oldest: self.kept.front().map(|kept| (kept.epoch, kept.seq)),
            frames_lost: self.losses.total,
            on_disk: self.folder.is_some() && self.disk_error.is_none(),
            disk_error: self.disk_error.clone(),
        }
    }

    /// Bytes that are taken, without those that are let go with the next frame.
    fn bytes(&self) -> u64 {
        let stays = self.segments.iter().filter(|(id, _)| !self.doomed.contains(id));
        self.memory_bytes + stays.map(|(_, segment)| segment.bytes).sum::<u64>()
    }

    /// Segments without a frame that is kept, but for the open one and those that are let go with the next frame.
    fn empty(&self) -> impl Iterator<Item = u64> {
        let empty = self.segments.iter().filter(|(_, segment)| segment.kept == 0);
        let ids = empty.map(|(id, _)| *id);
        ids.filter(|id| self.open != Some(*id) && !self.doomed.contains(id))
    }

    /// Lets go of the oldest frames until room is made; false when there is no more to let go.
    fn drop_oldest(&mut self) -> bool {
        let before = self.bytes();
        while !self.kept.is_empty() {
            self.lose(0, LossCause::SpoolFull);
            let empty: Vec<u64> = self.empty().collect();
            self.doomed.extend(empty);
            if self.bytes() < before {
                return true;
            }
        }
        false
    }

    fn lose(&mut self, at: usize, cause: LossCause) {
        if let Some(kept) = self.take(at) {
            for lost in kept.lost {
                self.losses.again(lost);
            }
            self.losses.add(Lost {
                epoch: kept.epoch,
                from_seq: kept.seq,
                to_seq: kept.seq,
                requests: Some(kept.requests),
                cause,
            });
        }
    }

    /// Takes a frame out of the queue; its file stays.
    fn take(&mut self, at: usize) -> Option<Kept> {
        let kept = self.kept.remove(at)?;
        match &kept.place {
            Place::Memory(json) => self.memory_bytes -= json.len() as u64,
            Place::Disk { segment, .. } => {
                if let Some(segment) = self.segments.get_mut(segment) {
                    segment.kept -= 1;
                }
            }
        }
        Some(kept)
    }

    fn remove(&mut self, segment: u64) {
        if let Some(segment) = self.segments.remove(&segment) {
            segment.remove();
        }
    }

    /// Writes a frame, or keeps it in memory where that is not possible.
    fn place(&mut self, json: Vec<u8>) -> Place {
        let open = self.open.and_then(|id| Some((id, self.segments.get_mut(&id)?)));
        if let Some((segment, file)) = open {
            match file.append(&json) {
                Ok(at) => {
                    self.disk_error = None;
                    return Place::Disk { segment, at };
                }
                Err(error) => {
                    self.disk_error = Some(error.to_string());
                    // Whatever lies at its end now, nothing is written behind it.
                    self.open = None;
                }
            }
        }
        self.memory_bytes += json.len() as u64;
        Place::Memory(json)
    }

    fn keep(&mut self, frame: &Frame, place: Place) {
        if let Place::Disk { segment, .. } = &place
            && let Some(segment) = self.segments.get_mut(segment)
        {
            segment.kept += 1;
        }
        self.kept.push_back(Kept {
            order: self.next_order,
            epoch: frame.epoch,
            seq: frame.seq,
            requests: frame.requests(),
            lost: frame.lost.clone(),
            place,
        });
        self.next_order += 1;
    }

    fn add(&mut self, segment: Segment) -> u64 {
        let id = self.next_segment;
        self.next_segment += 1;
        self.segments.insert(id, segment);
        id
    }

    /// Opens a new segment where there is none, or the open one is full or holds nothing that is still needed.
    fn rotate(&mut self) {
        let Some(folder) = &self.folder else { return };
        let full = self
            .open
            .and_then(|id| self.segments.get(&id))
            .is_none_or(|open| {
                open.bytes >= SEGMENT_BYTES_MAX.min(self.bytes_max / 8).max(1)
                    || (open.kept == 0 && open.bytes >= ACKED_BYTES_MAX)
            });
        if !full {
            return;
        }
        match Segment::create(folder, self.epoch, self.next_seq) {
            Ok(segment) => {
                let fresh = self.add(segment);
                let before = self.open.replace(fresh);
                let spent = before.filter(|id| self.segments.get(id).is_some_and(|old| old.kept == 0));
                // Deleted with the next frame: until then it tells that this process was there.
                self.doomed.extend(spent);
            }
            Err(error) => self.disk_error = Some(error.to_string()),
        }
    }

    /// Takes over what earlier processes left.
    fn adopt(&mut self) {
        let Some(folder) = &self.folder else { return };
        for left in adopt::adopt(folder, self.epoch) {
            for lost in left.lost {
                self.losses.add(lost);
            }
            for (segment, frames) in left.segments {
                let id = self.add(segment);
                if frames.is_empty() {
                    self.doomed.push(id);
                }
                for (at, _, frame) in frames {
                    self.keep(&frame, Place::Disk { segment: id, at });
                }
            }
        }
    }
}
