//! Whether a file is the one that was read before, without reading it again.
//!
//! Safety argument. Every write and every rename onto the path changes the inode or its change time, which programs cannot set. A
//! stamp is taken before the file is read, and only of a file that had not changed for [`SETTLED_MS`]: a change after the stamp
//! then has another change time, whatever the granularity of the file system's clock (at most 2 s, of FAT).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::clock;

/// How long a file must not have changed, milliseconds.
const SETTLED_MS: i64 = 3000;

/// A file as it was at one time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    path: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a file; `None` of one that is not there or changed just now: read it.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        let now_ms = i64::try_from(clock::unix_ms()).ok()?;
        let changed_ms = found
            .ctime()
            .checked_mul(1000)?
            .checked_add(found.ctime_nsec() / 1_000_000)?;
        (now_ms.checked_sub(changed_ms)? > SETTLED_MS).then(|| Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_just_now_has_no_stamp_and_one_that_is_left_alone_has_one() {
        let settled = std::env::current_exe().unwrap();
        assert_eq!(Stamp::of(&settled), Stamp::of(&settled));
        let fresh = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Stamp::of(fresh.path()), None);
        assert_eq!(Stamp::of(Path::new("/no/such/file")), None);
    }
}
