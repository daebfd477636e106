//! Takes over what earlier processes left in the folder: frames that nobody has acknowledged, and the news that one crashed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use weir_schema::telemetry::frame::{Frame, LossCause, Lost};

use super::segment::{Segment, named};

/// A frame, with where it lies in its file.
type Placed = (u64, usize, Frame);

/// What one earlier process left.
#[derive(Default)]
pub(super) struct Left {
    /// Its files, oldest first, each with its frames and where they lie.
    pub(super) segments: Vec<(Segment, Vec<Placed>)>,
    /// Frames of it that are gone.
    pub(super) lost: Vec<Lost>,
}

/// Files by epoch and first sequence number.
fn files(folder: &Path) -> BTreeMap<u64, BTreeMap<u64, PathBuf>> {
    let mut files: BTreeMap<u64, BTreeMap<u64, PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().map_while(Result::ok) {
        let path = entry.path();
        if let Some((epoch, seq)) = named(&path) {
            files.entry(epoch).or_default().insert(seq, path);
        }
    }
    files
}

/// The latest epoch in the folder, 0 without one.
pub(super) fn latest_epoch(folder: &Path) -> u64 {
    files(folder).last_key_value().map_or(0, |(epoch, _)| *epoch)
}

/// Takes everything that no running process owns, but of `own` epoch nothing. All files of an epoch, or none: a process that
/// is just ending lets go of them one by one.
pub(super) fn adopt(folder: &Path, own: u64) -> Vec<Left> {
    let mut all = Vec::new();
    for (epoch, paths) in files(folder).into_iter().filter(|(epoch, _)| *epoch != own) {
        let segments = paths
            .iter()
            .map(|(seq, path)| Some((*seq, Segment::adopt(path)?)));
        if let Some(segments) = segments.collect::<Option<Vec<_>>>() {
            all.push(read(epoch, segments));
        }
    }
    all
}

fn read(epoch: u64, segments: Vec<(u64, Segment)>) -> Left {
    let mut left = Left::default();
    let lost = |from_seq, to_seq, cause| Lost {
        epoch,
        from_seq,
        to_seq,
        requests: None,
        cause,
    };
    let mut next_seq = segments.first().map_or(1, |(first, _)| *first);
    let mut ended = false;
    for (first_seq, segment) in segments {
        if first_seq > next_seq {
            left.lost
                .push(lost(next_seq, first_seq - 1, LossCause::Unreadable));
            next_seq = first_seq;
        }
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(bytes) = segment.read(at) {
            if let Ok(frame) = serde_json::from_slice::<Frame>(&bytes) {
                if frame.seq > next_seq {
                    left.lost
                        .push(lost(next_seq, frame.seq - 1, LossCause::Unreadable));
                }
                next_seq = frame.seq.saturating_add(1);
                ended = frame.last;
                frames.push((at, bytes.len(), frame));
            }
            at = Segment::behind(at, bytes.len());
        }
        left.segments.push((segment, frames));
    }
    if !ended {
        left.lost.push(lost(next_seq, next_seq, LossCause::Crash));
    }
    left
}
