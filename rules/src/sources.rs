//! Where rule text comes from: the caller's files, or the sets that ship with the crate.

use std::io;
use std::path::{Path, PathBuf};

/// One rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Shown in diagnostics; the base of relative paths inside the file.
    pub path: PathBuf,
    /// The SecLang text.
    pub text: String,
}

/// The file access that compiling needs, for `Include` and `@pmFromFile`.
pub trait Files {
    /// The whole content of a file.
    ///
    /// # Errors
    /// Whatever the underlying store answers.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The files that match a pattern (`*` and `?` in the last component), sorted by name.
    ///
    /// # Errors
    /// Whatever the underlying store answers.
    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>>;

    /// Called between pieces of the work, of some ten microseconds each but for patterns that are new: a caller that must not hold
    /// a core for long can let others have it.
    fn pause(&self) {}
}

/// The ordinary file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let name = pattern
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        if !name.contains(['*', '?']) {
            return Ok(vec![pattern.to_path_buf()]);
        }
        let folder = pattern
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if matches(name.as_bytes(), entry.file_name().to_string_lossy().as_bytes())
                && entry.path().is_file()
            {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Shell-like matching of one path component, in O(pattern x name): the last `*` is the only point to return to.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(c) if *c == b'?' || name.get(n) == Some(c) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    p = after;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|b| *b == b'*')
}

/// The set that protects a tenant from the first start: anomaly scoring, 403 at a score of 5.
#[must_use]
pub fn baseline() -> Vec<Source> {
    vec![Source {
        path: PathBuf::from("baseline/baseline.conf"),
        text: include_str!("../sets/baseline/baseline.conf").to_owned(),
    }]
}
