//! Last-known-good on disk: the document that served last, with its checksum, and the one before it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use weir_schema::config::Document;

use crate::clock;

/// Failed boots within this time count together.
const CRASH_WINDOW_MS: u64 = 60_000;
/// Failed boots after which an older version is taken.
pub(crate) const BOOTS_FAILED_MAX: usize = 3;

/// The folder that keeps versions.
pub(crate) struct LastGood {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    sha256: String,
    name: String,
    base: PathBuf,
    text: String,
}

fn checksum(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Writes so that a crash leaves the old file or the new one, never a part.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn load(path: &Path) -> Option<Document> {
    let stored: Stored = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (checksum(&stored.text) == stored.sha256).then_some(Document {
        name: stored.name,
        base: stored.base,
        text: stored.text,
    })
}

impl LastGood {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// A file of the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The versions that are whole, newest first.
    pub(crate) fn whole(&self) -> Vec<Document> {
        let paths = ["current.json", "previous.json"].map(|name| self.path(name));
        paths.iter().filter_map(|path| load(path)).collect()
    }

    /// Keeps a document that serves.
    ///
    /// # Errors
    /// Those of the folder. They cost the fallback, never the traffic.
    pub(crate) fn store(&self, document: &Document) -> io::Result<()> {
        let (current, previous) = (self.path("current.json"), self.path("previous.json"));
        let kept = load(&current);
        if kept.as_ref().is_some_and(|kept| kept.text == document.text) {
            return Ok(());
        }
        let stored = Stored {
            sha256: checksum(&document.text),
            name: document.name.clone(),
            base: document.base.clone(),
            text: document.text.clone(),
        };
        fs::create_dir_all(&self.folder)?;
        if kept.is_some() {
            fs::rename(&current, &previous)?;
        }
        replace(&current, &serde_json::to_vec(&stored)?)
    }

    fn boots(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.path("boots")).unwrap_or_default();
        let since = clock::unix_ms().saturating_sub(CRASH_WINDOW_MS);
        text.lines()
            .filter_map(|line| line.parse().ok())
            .filter(|at| *at >= since)
            .collect()
    }

    /// Boots of the last minute that never became ready.
    pub(crate) fn boots_failed_lately(&self) -> usize {
        self.boots().len()
    }

    /// Notes that a boot begins.
    pub(crate) fn boot_begins(&self) {
        let _ = fs::create_dir_all(&self.folder);
        let mut boots = self.boots();
        boots.push(clock::unix_ms());
        let lines: Vec<String> = boots.iter().map(u64::to_string).collect();
        let _ = replace(&self.path("boots"), lines.join("\n").as_bytes());
    }

    /// Notes that the boot became ready.
    pub(crate) fn boot_succeeded(&self) {
        let _ = fs::remove_file(self.path("boots"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document {
            name: "a.yaml".to_owned(),
            base: PathBuf::from("."),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_corrupt_newest_falls_back_to_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let kept = LastGood::new(folder.path());
        let texts = || kept.whole().into_iter().map(|kept| kept.text).collect::<Vec<_>>();
        kept.store(&document("one")).unwrap();
        kept.store(&document("two")).unwrap();
        assert_eq!(texts(), ["two", "one"]);
        let path = folder.path().join("current.json");
        let damaged = fs::read_to_string(&path).unwrap().replace("two", "twa");
        fs::write(&path, damaged).unwrap();
        assert_eq!(texts(), ["one"]);
        kept.store(&document("three")).unwrap();
        assert_eq!(
            texts(),
            ["three", "one"],
            "the damaged one is not kept as the previous"
        );
    }

    #[test]
    fn boots_count_until_one_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let kept = LastGood::new(folder.path());
        kept.boot_begins();
        kept.boot_begins();
        assert_eq!(kept.boots_failed_lately(), 2);
        kept.boot_succeeded();
        assert_eq!(kept.boots_failed_lately(), 0);
    }
}
