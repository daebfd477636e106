//! A file of the spool: frames one after the other, each with its length and checksum.
//!
//! What was written survives a crash of the process: it is the kernel's. It is not synchronised to the disk, so a crash of the
//! machine may take the last seconds with it. Whoever holds a file's lock owns the file: of an old and a new process on one
//! folder, each sends its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use weir_schema::telemetry::frame::FRAME_BYTES_MAX;

/// Length and CRC-32, little endian.
const HEADER_BYTES: usize = 8;
const SUFFIX: &str = ".frames";

/// A file that this process owns.
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    pub(super) bytes: u64,
    /// Frames in it that are not acknowledged.
    pub(super) kept: usize,
}

/// Epoch and first sequence number of a file.
pub(super) fn named(path: &Path) -> Option<(u64, u64)> {
    let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    let (epoch, seq) = name.split_once('-')?;
    Some((epoch.parse().ok()?, seq.parse().ok()?))
}

impl Segment {
    /// Makes an empty one.
    ///
    /// # Errors
    /// Those of the folder.
    pub(super) fn create(folder: &Path, epoch: u64, first_seq: u64) -> io::Result<Self> {
        let path = folder.join(format!("{epoch:020}-{first_seq:020}{SUFFIX}"));
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create_new(true).mode(0o600);
        let file = file.open(&path)?;
        file.try_lock()?;
        Ok(Self {
            path,
            file,
            bytes: 0,
            kept: 0,
        })
    }

    /// Takes one that nobody owns; `None` while somebody does.
    pub(super) fn adopt(path: &Path) -> Option<Self> {
        let file = OpenOptions::new().read(true).append(true).open(path).ok()?;
        file.try_lock().ok()?;
        Some(Self {
            path: path.to_owned(),
            bytes: file.metadata().ok()?.len(),
            file,
            kept: 0,
        })
    }

    /// Adds a frame; gives where it lies.
    ///
    /// # Errors
    /// Those of the disk; nothing was added then.
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<u64> {
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let mut record = Vec::with_capacity(HEADER_BYTES + frame.len());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&crc32fast::hash(frame).to_le_bytes());
        record.extend_from_slice(frame);
        if let Err(error) = self.file.write_all(&record) {
            // What follows a piece of a record could not be read back.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        let at = self.bytes;
        self.bytes += record.len() as u64;
        Ok(at)
    }

    /// Reads the frame at an offset; `None` at the end, and where no whole frame lies.
    pub(super) fn read(&self, at: u64) -> Option<Vec<u8>> {
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut header, at).ok()?;
        let [l0, l1, l2, l3, c0, c1, c2, c3] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > FRAME_BYTES_MAX {
            return None;
        }
        let mut frame = vec![0; length];
        self.file
            .read_exact_at(&mut frame, at + HEADER_BYTES as u64)
            .ok()?;
        (crc32fast::hash(&frame) == u32::from_le_bytes([c0, c1, c2, c3])).then_some(frame)
    }

    /// Where the frame behind one of `length` bytes at `at` would lie.
    pub(super) const fn behind(at: u64, length: usize) -> u64 {
        at + (HEADER_BYTES + length) as u64
    }

    /// Deletes the file.
    pub(super) fn remove(self) {
        // One that stays is adopted at the next start, and its frames are sent again.
        let _ = fs::remove_file(&self.path);
    }
}
