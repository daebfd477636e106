use weir_schema::telemetry::frame::{Entry, StatusClass};
use weir_schema::telemetry::record::Outcome;

use super::*;

/// A frame of so many requests.
fn frame(requests: u64) -> Frame {
    let mut entry = Entry::new("acme", "all");
    entry
        .requests
        .add((StatusClass::Successful, Outcome::Answered), requests);
    Frame {
        node: "eu-1".to_owned(),
        entries: vec![entry],
        ..Frame::default()
    }
}

fn frames(spool: &mut Spool) -> Vec<Frame> {
    let batch = spool.batch(0, usize::MAX).into_iter();
    batch
        .map(|spooled| {
            let frame: Frame = serde_json::from_slice(&spooled.json).unwrap();
            assert_eq!((frame.epoch, frame.seq), (spooled.epoch, spooled.seq));
            frame
        })
        .collect()
}

fn ids(spool: &mut Spool) -> Vec<(u64, u64)> {
    frames(spool)
        .iter()
        .map(|frame| (frame.epoch, frame.seq))
        .collect()
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn frames_stay_until_they_are_acknowledged_and_survive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(Some(folder.path()), 1 << 20, 1_000);
    for _ in 0..5 {
        spool.append(frame(1));
    }
    spool.ack(1_000, 2);
    assert_eq!(ids(&mut spool), [(1_000, 3), (1_000, 4), (1_000, 5)]);
    drop(spool);

    let mut next = Spool::open(Some(folder.path()), 1 << 20, 500);
    assert_eq!(
        next.state().epoch,
        1_001,
        "later than the epoch before, whatever the clock says"
    );
    next.append(frame(1));
    // That 1 and 2 were acknowledged is known by whoever did: they may come again.
    let all: Vec<_> = (1..=5).map(|seq| (1_000, seq)).chain([(1_001, 1)]).collect();
    assert_eq!(ids(&mut next), all);
    next.ack(1_000, 5);
    assert_eq!(ids(&mut next), [(1_001, 1)]);
    assert_eq!(files(folder.path()), 1);
}

#[test]
fn a_crash_is_named_by_the_next_process_and_a_clean_end_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Spool::open(Some(folder.path()), 1 << 20, 1_000);
    first.append(frame(1));
    drop(first);
    let mut second = Spool::open(Some(folder.path()), 1 << 20, 2_000);
    second.append(Frame {
        last: true,
        ..frame(2)
    });
    let crash = Lost {
        epoch: 1_000,
        from_seq: 2,
        to_seq: 2,
        requests: None,
        cause: LossCause::Crash,
    };
    assert_eq!(frames(&mut second)[1].lost, [crash]);
    second.ack(1_000, 1);
    drop(second);
    let mut third = Spool::open(Some(folder.path()), 1 << 20, 3_000);
    third.append(frame(1));
    assert_eq!(ids(&mut third), [(2_000, 1), (3_000, 1)]);
    assert_eq!(frames(&mut third)[1].lost, []);
}

#[test]
fn what_a_running_process_owns_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut old = Spool::open(Some(folder.path()), 1 << 20, 1_000);
    old.append(frame(1));
    let mut new = Spool::open(Some(folder.path()), 1 << 20, 2_000);
    new.append(frame(1));
    assert_eq!(ids(&mut new), [(2_000, 1)]);
    old.append(Frame {
        last: true,
        ..frame(1)
    });
    drop(old);
    for _ in 0..ADOPT_EVERY {
        new.append(frame(1));
    }
    assert!(ids(&mut new).contains(&(1_000, 2)));
    assert!(frames(&mut new).iter().all(|frame| frame.lost.is_empty()));
}

#[test]
fn over_the_bound_the_oldest_go_and_are_named() {
    for on_disk in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(on_disk.then(|| folder.path()), 16_384, 1_000);
        for requests in 1..=500 {
            spool.append(frame(requests));
            assert!(spool.state().bytes <= 16_384, "{:?}", spool.state());
            let on_disk = fs::read_dir(folder.path()).unwrap();
            let bytes: u64 = on_disk.map(|file| file.unwrap().metadata().unwrap().len()).sum();
            assert!(bytes <= 16_384, "{bytes}");
            if requests % 100 == 0 {
                let last = frames(&mut spool).pop().unwrap();
                spool.ack(1_000, last.seq);
            }
        }
        assert!(spool.state().frames_lost > 100, "{:?}", spool.state());
    }
}

#[test]
fn kept_and_lost_requests_are_all_requests() {
    for on_disk in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(on_disk.then(|| folder.path()), 16_384, 1_000);
        for requests in 1..=2_000 {
            spool.append(frame(requests));
        }
        let kept = frames(&mut spool);
        let lost: Vec<&Lost> = kept.iter().flat_map(|frame| &frame.lost).collect();
        let there: u64 = kept.iter().map(Frame::requests).sum();
        let gone: u64 = lost.iter().map(|lost| lost.requests.unwrap()).sum();
        assert_eq!(there + gone, 2_000 * 2_001 / 2, "{lost:?}");
        let ranges: u64 = lost.iter().map(|lost| lost.to_seq - lost.from_seq + 1).sum();
        assert_eq!(kept.len() as u64 + ranges, 2_000);
    }
}

#[test]
fn a_damaged_frame_is_named_and_those_of_other_files_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(Some(folder.path()), 8_192, 1_000);
    for _ in 0..12 {
        spool.append(frame(1));
    }
    drop(spool);
    let mut paths: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() > 2);
    let mut bytes = fs::read(&paths[0]).unwrap();
    bytes[20] ^= 1;
    fs::write(&paths[0], bytes).unwrap();
    let second = segment::named(&paths[1]).unwrap().1;
    let mut next = Spool::open(Some(folder.path()), 8_192, 2_000);
    next.append(frame(1));
    let lost = frames(&mut next).pop().unwrap().lost;
    assert_eq!((lost[0].from_seq, lost[0].to_seq), (1, second - 1));
    assert_eq!(lost[0].cause, LossCause::Unreadable);
    assert_eq!(ids(&mut next)[0], (1_000, second));
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told_and_memory_serves() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    fs::write(&file, "").unwrap();
    let mut spool = Spool::open(Some(&file), 8_192, 1_000);
    spool.append(frame(1));
    assert_eq!(ids(&mut spool), [(1_000, 1)]);
    assert!(spool.state().disk_error.is_some() && !spool.state().on_disk);
}
