//! Compiled rules by what they were made of: the files of a set, and every file that these read in turn (`Include`,
//! `@pmFromFile` and the like). A set is compiled again only when one of them changed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use weir_rules::{Compiled, Diagnostic, Disk, Files, Overlay, Patterns, RuleSet, Source};

use crate::pace;

type Sum = [u8; 32];

/// Paths and contents of a set's own files.
type Key = Vec<(PathBuf, Sum)>;

/// Compiled rules of one version.
#[derive(Default)]
pub(crate) struct RuleCache {
    /// Of all versions: a set that changed keeps the patterns that did not.
    patterns: Arc<Patterns>,
    sets: HashMap<Key, Entry>,
    /// By the address of the shared set, which the entry keeps alive, and what was laid on it.
    overlays: HashMap<(usize, Sum), Laid>,
}

/// A shared set with an overlay on it.
#[derive(Clone)]
struct Laid {
    base: Arc<RuleSet>,
    compiled: Compiled,
    used: Arc<Used>,
}

#[derive(Clone)]
struct Entry {
    rules: Arc<RuleSet>,
    used: Arc<Used>,
}

/// What compiling asked the disk for.
#[derive(Default)]
struct Used {
    read: Vec<(PathBuf, Sum)>,
    listed: Vec<(PathBuf, Vec<PathBuf>)>,
}

impl Used {
    fn is_current(&self) -> bool {
        let same = |(path, sum): &(PathBuf, Sum)| Disk.read(path).is_ok_and(|bytes| sum_of(&bytes) == *sum);
        let listed =
            |(pattern, found): &(PathBuf, Vec<PathBuf>)| Disk.glob(pattern).is_ok_and(|now| now == *found);
        self.read.iter().all(same) && self.listed.iter().all(listed)
    }
}

/// The disk, with a list of what was asked.
#[derive(Default)]
struct Noting(RefCell<Used>);

impl Files for Noting {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = Disk.read(path)?;
        self.0.borrow_mut().read.push((path.to_owned(), sum_of(&bytes)));
        Ok(bytes)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let found = Disk.glob(pattern)?;
        self.0
            .borrow_mut()
            .listed
            .push((pattern.to_owned(), found.clone()));
        Ok(found)
    }

    fn pause(&self) {
        pace::give_way();
    }
}

fn sum_of(bytes: &[u8]) -> Sum {
    pace::give_way();
    Sha256::digest(bytes).into()
}

impl RuleCache {
    /// An empty cache of the version after `previous`.
    pub(crate) fn after(previous: Option<&Self>) -> Self {
        Self {
            patterns: previous.map(|old| Arc::clone(&old.patterns)).unwrap_or_default(),
            ..Self::default()
        }
    }

    /// The rules of `sources`: of this version, of `previous` if nothing changed, or compiled.
    ///
    /// # Errors
    /// Every error of every file.
    pub(crate) fn get(
        &mut self,
        sources: &[Source],
        previous: Option<&Self>,
    ) -> Result<Arc<RuleSet>, Vec<Diagnostic>> {
        let key: Key = sources
            .iter()
            .map(|source| (source.path.clone(), sum_of(source.text.as_bytes())))
            .collect();
        if let Some(known) = self.sets.get(&key) {
            return Ok(Arc::clone(&known.rules));
        }
        let old = previous.and_then(|previous| previous.sets.get(&key));
        let entry = match old.filter(|old| old.used.is_current()) {
            Some(old) => old.clone(),
            None => {
                let files = Noting::default();
                let rules = weir_rules::compile_with(sources, &files, &self.patterns)?.rules;
                Entry {
                    rules,
                    used: Arc::new(files.0.into_inner()),
                }
            }
        };
        let rules = Arc::clone(&entry.rules);
        self.sets.insert(key, entry);
        Ok(rules)
    }

    /// A shared set with an overlay: of this version, of `previous` if nothing changed, or compiled. Only what the overlay
    /// adds is compiled.
    ///
    /// # Errors
    /// Every error of every file and exclusion.
    pub(crate) fn overlay(
        &mut self,
        base: &Arc<RuleSet>,
        overlay: &Overlay,
        previous: Option<&Self>,
    ) -> Result<Compiled, Vec<Diagnostic>> {
        // The debug form quotes every text, so that two overlays never read the same.
        let key = (
            Arc::as_ptr(base).addr(),
            sum_of(format!("{overlay:?}").as_bytes()),
        );
        if let Some(known) = self.overlays.get(&key) {
            return Ok(known.compiled.clone());
        }
        let old = previous.and_then(|previous| previous.overlays.get(&key));
        let laid = match old.filter(|old| Arc::ptr_eq(&old.base, base) && old.used.is_current()) {
            Some(old) => old.clone(),
            None => {
                let files = Noting::default();
                Laid {
                    compiled: base.with_overlay(overlay, &files)?,
                    base: Arc::clone(base),
                    used: Arc::new(files.0.into_inner()),
                }
            }
        };
        let compiled = laid.compiled.clone();
        self.overlays.insert(key, laid);
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_set_reads_in_turn_counts_too() {
        let folder = tempfile::tempdir().unwrap();
        let phrases = folder.path().join("phrases.data");
        std::fs::write(&phrases, "evil\n").unwrap();
        let included = folder.path().join("more-1.conf");
        std::fs::write(&included, "SecAction \"id:2,phase:1,pass\"\n").unwrap();
        let sources = [Source {
            path: folder.path().join("set.conf"),
            text: "SecRule ARGS \"@pmFromFile phrases.data\" \"id:1,phase:2,deny\"\nInclude more-*.conf\n"
                .to_owned(),
        }];
        let versions = |previous: Option<&RuleCache>| {
            let mut cache = RuleCache::after(previous);
            let rules = cache.get(&sources, previous).unwrap();
            (cache, rules)
        };
        let (first, one) = versions(None);
        let (second, two) = versions(Some(&first));
        assert!(Arc::ptr_eq(&one, &two), "nothing changed");
        std::fs::write(&phrases, "wicked\n").unwrap();
        let (third, three) = versions(Some(&second));
        assert!(!Arc::ptr_eq(&two, &three), "a phrase file changed");
        std::fs::write(
            folder.path().join("more-2.conf"),
            "SecAction \"id:3,phase:1,pass\"\n",
        )
        .unwrap();
        let (_, four) = versions(Some(&third));
        assert_eq!((three.len(), four.len()), (2, 3), "a file joined the pattern");
    }
}
