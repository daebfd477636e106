//! A version: what it is made of and who says so.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::{ObjectHash, PublicKey, SigningKey};

/// The format of manifests, pages and messages that this program writes. A program reads what the one before and the one
/// after it write: what it does not know it passes over.
pub const FORMAT: u32 = 1;
/// Bytes of a manifest.
const MANIFEST_BYTES_MAX: usize = 64 << 10;
/// Keys that a manifest names, and signatures that it has.
const KEYS_MAX: usize = 8;

/// One version of everything that proxies serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format that it was written in.
    pub format: u32,
    /// Oldest format whose programs can serve it.
    pub format_min: u32,
    /// Which control's proxies it is for: a version of another deployment is not believed, whoever signed it.
    pub deployment: String,
    /// Grows with every version.
    pub revision: u64,
    /// The revision that it was made from; 0 for the first.
    pub parent: u64,
    /// When, Unix time in milliseconds.
    pub created_ms: u64,
    /// The index object.
    pub index: ObjectHash,
    /// Number of objects, pages and index aside.
    pub objects: u64,
    /// Keys to believe from now on: how they are changed.
    pub keys: Vec<PublicKey>,
}

/// Which version a proxy has, or is asked to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its revision.
    pub revision: u64,
    /// Its index object: the same index is the same content.
    pub index: ObjectHash,
}

impl Manifest {
    /// Its revision and index.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head {
            revision: self.revision,
            index: self.index,
        }
    }

    /// Writes and signs it.
    ///
    /// # Errors
    /// Never with these types; the text could not be written.
    pub fn sign<'a>(&self, keys: impl IntoIterator<Item = &'a SigningKey>) -> Result<Signed, ManifestError> {
        let manifest = serde_json::to_string(self).map_err(|error| ManifestError::Text(error.to_string()))?;
        let signatures = keys.into_iter().map(|key| Signature {
            key: key.public(),
            value: BASE64.encode(key.sign(manifest.as_bytes())),
        });
        Ok(Signed {
            signatures: signatures.collect(),
            manifest,
        })
    }
}

/// A key's word for a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Whose.
    pub key: PublicKey,
    /// Ed25519 over the manifest's text; base64.
    pub value: String,
}

/// A manifest as it travels and is kept: the text that was signed, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// JSON of a [`Manifest`].
    pub manifest: String,
    /// Who signed it.
    pub signatures: Vec<Signature>,
}

/// Why a manifest is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Of other proxies.
    #[error("the version is for deployment `{theirs}`, this proxy belongs to `{ours}`: join it again")]
    Deployment {
        /// The manifest's.
        theirs: String,
        /// The proxy's.
        ours: String,
    },
    /// Made for newer programs.
    #[error("the version needs a program of format {0} or newer, this one has {FORMAT}: upgrade the proxy")]
    Format(u32),
    /// No more keys than these.
    #[error("a version has 1 to {KEYS_MAX} keys and signatures")]
    Keys,
    /// An older version than one that was accepted, or another with its number.
    #[error(
        "revision {offered} is older than, or not the same as, revision {known}, which was accepted before"
    )]
    Stale {
        /// The manifest's.
        offered: u64,
        /// The proxy's.
        known: u64,
    },
    /// Not a manifest.
    #[error("not a manifest: {0}")]
    Text(String),
    /// Nobody who is believed signed it.
    #[error("no key that this proxy believes has signed the version")]
    Unsigned,
}

impl ManifestError {
    /// Stable name of the class.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Deployment { .. } => "other_deployment",
            Self::Format(_) => "format_too_new",
            Self::Keys => "too_many_keys",
            Self::Stale { .. } => "stale_revision",
            Self::Text(_) => "not_a_manifest",
            Self::Unsigned => "not_signed",
        }
    }
}

impl Signed {
    /// The manifest, if one of `trusted` signed it and this program can read it.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn open(&self, trusted: &BTreeSet<PublicKey>, deployment: &str) -> Result<Manifest, ManifestError> {
        if self.manifest.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::Text(format!(
                "longer than {MANIFEST_BYTES_MAX} bytes"
            )));
        }
        if self.signatures.len() > KEYS_MAX {
            return Err(ManifestError::Keys);
        }
        let believed = |one: &&Signature| {
            let value = BASE64.decode(&one.value).ok();
            let value = value.and_then(|value| <[u8; 64]>::try_from(value).ok());
            trusted.contains(&one.key)
                && value.is_some_and(|value| one.key.verifies(self.manifest.as_bytes(), &value))
        };
        if self.signatures.iter().find(believed).is_none() {
            return Err(ManifestError::Unsigned);
        }
        let text = |error: serde_json::Error| ManifestError::Text(error.to_string());
        // First what every format has: the rest may look different in a newer one.
        let Formats { format_min } = serde_json::from_str(&self.manifest).map_err(text)?;
        if format_min > FORMAT {
            return Err(ManifestError::Format(format_min));
        }
        let manifest: Manifest = serde_json::from_str(&self.manifest).map_err(text)?;
        if manifest.deployment != deployment {
            return Err(ManifestError::Deployment {
                theirs: manifest.deployment,
                ours: deployment.to_owned(),
            });
        }
        if manifest.keys.is_empty() || manifest.keys.len() > KEYS_MAX {
            return Err(ManifestError::Keys);
        }
        Ok(manifest)
    }

    /// As [`Signed::open`], and not older than the newest version that was accepted before.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn open_after(
        &self,
        trusted: &BTreeSet<PublicKey>,
        deployment: &str,
        known: Option<Head>,
    ) -> Result<Manifest, ManifestError> {
        let manifest = self.open(trusted, deployment)?;
        match known {
            Some(known)
                if manifest.revision < known.revision
                    || (manifest.revision == known.revision && manifest.index != known.index) =>
            {
                Err(ManifestError::Stale {
                    offered: manifest.revision,
                    known: known.revision,
                })
            }
            _ => Ok(manifest),
        }
    }
}

#[derive(Deserialize)]
struct Formats {
    format_min: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(keys: &[&SigningKey]) -> Manifest {
        Manifest {
            format: FORMAT,
            format_min: 1,
            deployment: "d".to_owned(),
            revision: 7,
            parent: 6,
            created_ms: 1,
            index: ObjectHash::of(b"index"),
            objects: 3,
            keys: keys.iter().map(|key| key.public()).collect(),
        }
    }

    #[test]
    fn only_what_a_believed_key_signed_is_opened() {
        let (ours, theirs) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let trusted = BTreeSet::from([ours.public()]);
        let manifest = manifest(&[&ours]);
        let signed = manifest.sign([&theirs, &ours]).unwrap();
        assert_eq!(signed.open(&trusted, "d"), Ok(manifest.clone()));
        let foreign = manifest.sign([&theirs]).unwrap();
        assert_eq!(foreign.open(&trusted, "d"), Err(ManifestError::Unsigned));
        let mut lent = foreign;
        for signature in &mut lent.signatures {
            signature.key = ours.public();
        }
        assert_eq!(lent.open(&trusted, "d"), Err(ManifestError::Unsigned));
        let mut changed = signed.clone();
        changed.manifest = changed.manifest.replace("\"revision\":7", "\"revision\":8");
        assert_eq!(changed.open(&trusted, "d"), Err(ManifestError::Unsigned));
        let bare = Signed {
            signatures: Vec::new(),
            ..signed.clone()
        };
        assert_eq!(bare.open(&trusted, "d"), Err(ManifestError::Unsigned));
        assert!(matches!(
            signed.open(&trusted, "e"),
            Err(ManifestError::Deployment { .. })
        ));
    }

    #[test]
    fn an_older_revision_and_another_one_with_the_same_number_are_stale() {
        let key = SigningKey::from_seed(&[1; 32]);
        let trusted = BTreeSet::from([key.public()]);
        let manifest = manifest(&[&key]);
        let signed = manifest.sign([&key]).unwrap();
        let at = |revision, index: &[u8]| {
            let known = Head {
                revision,
                index: ObjectHash::of(index),
            };
            signed
                .open_after(&trusted, "d", Some(known))
                .map_err(|error| error.code())
        };
        assert_eq!(at(6, b"other"), Ok(manifest.clone()));
        assert_eq!(at(7, b"index"), Ok(manifest));
        assert_eq!(at(7, b"other"), Err("stale_revision"));
        assert_eq!(at(8, b"index"), Err("stale_revision"));
    }

    #[test]
    fn a_newer_format_is_read_unless_it_says_that_it_cannot_be() {
        let key = SigningKey::from_seed(&[1; 32]);
        let trusted = BTreeSet::from([key.public()]);
        let sign = |text: String| Signed {
            signatures: vec![Signature {
                key: key.public(),
                value: BASE64.encode(key.sign(text.as_bytes())),
            }],
            manifest: text,
        };
        let text = serde_json::to_string(&manifest(&[&key])).unwrap();
        let newer = text.replace("\"format\":1", "\"format\":2,\"approved_by\":[\"x\"]");
        assert_eq!(sign(newer.clone()).open(&trusted, "d").unwrap().format, 2);
        let foreign = newer.replace("\"format_min\":1", "\"format_min\":2");
        assert_eq!(sign(foreign).open(&trusted, "d"), Err(ManifestError::Format(2)));
    }
}
