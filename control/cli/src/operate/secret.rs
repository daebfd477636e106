//! Secrets: read from files, and given out once.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::trouble::Trouble;

/// Reads a small file.
pub(super) fn read(path: &Path, bytes_max: u64) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(bytes_max).read_to_string(&mut text)?;
    Ok(text)
}

/// A new file for a secret, for its owner only. It is made before control is asked, since the secret is given out once; it
/// goes again when nothing was written.
pub(super) struct SecretFile {
    path: PathBuf,
    file: File,
    written: bool,
}

impl SecretFile {
    pub(super) fn new(path: &Path) -> Result<Self, Trouble> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| Trouble::System(format!("{}: {error}", path.display())))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            written: false,
        })
    }

    pub(super) fn write(mut self, secret: &str) -> Result<(), Trouble> {
        let written = writeln!(self.file, "{secret}").and_then(|()| self.file.sync_all());
        written.map_err(|error| Trouble::System(format!("{}: {error}", self.path.display())))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.written {
            // Empty, and ours.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_file_is_its_owners_and_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        drop(SecretFile::new(&path).unwrap());
        assert!(!path.exists());
        SecretFile::new(&path).unwrap().write("secret").unwrap();
        assert_eq!(read(&path, 100).unwrap(), "secret\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(SecretFile::new(&path).is_err());
    }
}
