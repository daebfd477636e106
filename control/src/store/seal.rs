//! Encryption at rest: AES-256-GCM (NIST SP 800-38D) under a master key that lives in a file of its own.
//!
//! The file has a key per line, 64 hexadecimal digits each. The first seals; all unseal. To rotate: put a new line first,
//! restart, [`super::SqliteStore::reseal`], remove the old line. Nonces are random: with 96 bits a key serves 2^32 seals.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use sha2::{Digest as _, Sha256};

/// Bytes of a nonce, which stands before what is sealed.
const NONCE_BYTES: usize = 12;
/// Bytes of a key file.
const FILE_BYTES_MAX: u64 = 4096;

/// What is wrong with a key or a seal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The file cannot be read or made.
    #[error("master key file {path}: {reason}")]
    File {
        /// Where.
        path: String,
        /// Why.
        reason: String,
    },
    /// What is sealed was changed, or belongs elsewhere.
    #[error("what is sealed as {0} was changed: restore the data directory from a backup")]
    Forged(String),
    /// The key that sealed is not in the file.
    #[error("something is sealed with master key {0}, which the key file does not have: put that key back")]
    NoKey(String),
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    NoRandom,
}

/// The keys of a key file.
pub struct MasterKeys(Vec<MasterKey>);

struct MasterKey {
    id: String,
    key: RandomizedNonceKey,
}

/// What is written for a text: sealed when a key is named.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) key_id: Option<String>,
    pub(super) bytes: Vec<u8>,
}

impl Stored {
    pub(super) const fn plain(bytes: Vec<u8>) -> Self {
        Self { key_id: None, bytes }
    }
}

impl MasterKeys {
    /// Reads a key file; makes one, readable for its owner only, when there is none and `may_create`.
    ///
    /// # Errors
    /// When the file cannot be read or made, is readable for others, or holds no key.
    pub fn load(path: &Path, may_create: bool) -> Result<Self, SealError> {
        let fault = |reason: String| SealError::File {
            path: path.display().to_string(),
            reason,
        };
        if may_create && !path.exists() {
            create(path).map_err(|error| fault(error.to_string()))?;
        }
        let file = File::open(path).map_err(|error| fault(error.to_string()))?;
        let mode = file
            .metadata()
            .map_err(|error| fault(error.to_string()))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(fault("others may read it: chmod 600".to_owned()));
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| fault(error.to_string()))?;
        Self::parse(&text).ok_or_else(|| fault("it must have 64 hexadecimal digits per line".to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<MasterKey>> = lines.map(MasterKey::parse).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self)
    }

    /// Whether a key is here.
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// The id of the key that seals.
    pub(super) fn current(&self) -> &str {
        self.0.first().map_or("", |key| key.id.as_str())
    }

    /// Seals `bytes`; `name` must be given again to unseal.
    pub(super) fn seal(&self, name: &[u8], mut bytes: Vec<u8>) -> Result<Stored, SealError> {
        let key = self
            .0
            .first()
            .ok_or_else(|| SealError::NoKey("none".to_owned()))?;
        let nonce = key
            .key
            .seal_in_place_append_tag(Aad::from(name), &mut bytes)
            .map_err(|_| SealError::NoRandom)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut bytes);
        Ok(Stored {
            key_id: Some(key.id.clone()),
            bytes: sealed,
        })
    }

    /// The bytes that were stored.
    pub(super) fn open(&self, name: &[u8], shown: &str, stored: Stored) -> Result<Vec<u8>, SealError> {
        let Some(key_id) = stored.key_id else {
            return Ok(stored.bytes);
        };
        let key = self
            .0
            .iter()
            .find(|key| key.id == key_id)
            .ok_or(SealError::NoKey(key_id))?;
        let forged = || SealError::Forged(shown.to_owned());
        let (nonce, sealed) = stored.bytes.split_at_checked(NONCE_BYTES).ok_or_else(forged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| forged())?;
        let mut bytes = sealed.to_vec();
        let length = key
            .key
            .open_in_place(nonce, Aad::from(name), &mut bytes)
            .map_err(|_| forged())?
            .len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl MasterKey {
    fn parse(line: &str) -> Option<Self> {
        // The form is that of a hash: 64 lower-case hexadecimal digits.
        let bytes = line.parse::<weir_schema::push::ObjectHash>().ok()?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes.as_bytes()).ok()?;
        let digest = Sha256::new()
            .chain_update(b"weir master key")
            .chain_update(bytes.as_bytes())
            .finalize();
        let id = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Some(Self { id, key })
    }
}

fn create(path: &Path) -> std::io::Result<()> {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| std::io::Error::other("no random bytes"))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{}", weir_schema::push::ObjectHash::from_bytes(key))?;
    file.sync_all()?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_under_its_name_and_with_its_key_only() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let keys = MasterKeys::parse(&a).unwrap();
        let sealed = keys.seal(b"name", b"secret".to_vec()).unwrap();
        assert!(!sealed.bytes.windows(6).any(|window| window == b"secret"));
        assert_eq!(keys.open(b"name", "name", sealed.clone()).unwrap(), b"secret");
        let forged = SealError::Forged("name".to_owned());
        assert_eq!(keys.open(b"other", "name", sealed.clone()), Err(forged.clone()));
        let mut changed = sealed.clone();
        *changed.bytes.last_mut().unwrap() ^= 1;
        assert_eq!(keys.open(b"name", "name", changed), Err(forged));
        let rotated = MasterKeys::parse(&format!("{b}\n{a}\n")).unwrap();
        assert_eq!(rotated.open(b"name", "name", sealed.clone()).unwrap(), b"secret");
        let lost = MasterKeys::parse(&b).unwrap();
        assert!(matches!(
            lost.open(b"name", "name", sealed),
            Err(SealError::NoKey(_))
        ));
    }

    #[test]
    fn a_key_file_is_made_once_for_its_owner_and_refused_when_others_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        assert!(MasterKeys::load(&path, false).is_err());
        let first = MasterKeys::load(&path, true).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(first.current(), MasterKeys::load(&path, true).unwrap().current());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = MasterKeys::load(&path, true).err().unwrap().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }
}
