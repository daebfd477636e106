//! Versions from control, on disk: objects by their hashes, the manifests of the last versions that served, and a folder in
//! which the files of the version that serves stand under their own names.
//!
//! Every object is hashed when it is read, so a damaged one is known. Files below `tree` are hard links to objects: a file
//! that two versions share is the same file, and nothing that was read from it is read again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_schema::config::{Own, Parts};
use weir_schema::push::{
    Entry, Head, Index, JoinToken, Listing, Manifest, ManifestError, ObjectHash, PAGES, Page, PublicKey,
    Signed,
};

use super::super::last_good::replace;

/// Begins the paths of tenants.
pub(super) const TENANTS: &str = "tenants/";
/// Begins the paths of files.
const FILES: &str = "files/";

/// Whom this proxy believes, and what it has believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trust {
    /// Which control's proxies it belongs to.
    pub(crate) deployment: String,
    /// Keys of versions.
    pub(crate) keys: BTreeSet<PublicKey>,
    /// The newest version that served: nothing older is accepted.
    pub(crate) newest: Option<Head>,
    /// Hash of the token that it joined with: another token begins anew.
    joined: ObjectHash,
}

/// Why an object or a version cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// An object that is not what its name says.
    #[error("object {0} is damaged")]
    Damaged(ObjectHash),
    /// The disk.
    #[error("{}: {error}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
    /// The listing.
    #[error("the listing: {0}")]
    Listing(String),
    /// Not believed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An object that is not here.
    #[error("object {0} is missing")]
    Missing(ObjectHash),
    /// No edge.
    #[error("the version has no `edge`")]
    NoEdge,
    /// Not UTF-8.
    #[error("`{0}` is not UTF-8")]
    NotText(String),
}

fn on_disk(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Disk { path, error }
}

/// A version whose objects are all here.
#[derive(Clone)]
pub(crate) struct Version {
    /// As it came.
    pub(crate) signed: Signed,
    /// Opened.
    pub(crate) manifest: Manifest,
    /// What it is made of.
    pub(crate) listing: Arc<Listing>,
    /// Edge and tenants.
    pub(crate) parts: Parts,
}

/// The folder.
pub(crate) struct PushedStore {
    folder: PathBuf,
    own: Own,
}

impl PushedStore {
    /// The store of a state folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn open(state_dir: &Path, own: Own) -> Result<Self, StoreError> {
        let folder = state_dir.join("pushed");
        for sub in ["objects", "tree"] {
            let path = folder.join(sub);
            fs::create_dir_all(&path).map_err(on_disk(&path))?;
        }
        // Private keys of certificates are among the objects.
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(on_disk(&folder))?;
        Ok(Self { folder, own })
    }

    /// Whom to believe: what was kept, unless the token is another one than it was kept for.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn trust(&self, token: &JoinToken) -> Result<Trust, StoreError> {
        let joined = ObjectHash::of(token.encode().as_bytes());
        let path = self.folder.join("trust.json");
        let kept: Option<Trust> = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(kept) = kept.as_ref().filter(|kept| kept.joined == joined) {
            return Ok(kept.clone());
        }
        let same = kept.filter(|kept| kept.deployment == token.deployment);
        let trust = Trust {
            deployment: token.deployment.clone(),
            keys: token.keys.iter().copied().collect(),
            newest: same.and_then(|kept| kept.newest),
            joined,
        };
        self.keep_trust(&trust)?;
        Ok(trust)
    }

    fn keep_trust(&self, trust: &Trust) -> Result<(), StoreError> {
        let path = self.folder.join("trust.json");
        let text = serde_json::to_vec(trust).map_err(|error| on_disk(&path)(error.into()))?;
        replace(&path, &text).map_err(on_disk(&path))
    }

    fn object_path(&self, hash: &ObjectHash) -> PathBuf {
        self.folder.join("objects").join(hash.to_string())
    }

    /// Whether an object is here; it may be damaged.
    pub(crate) fn has(&self, hash: &ObjectHash) -> bool {
        self.object_path(hash).is_file()
    }

    /// An object's bytes.
    ///
    /// # Errors
    /// When it is not here, or not what its name says; a damaged one is removed, so that it is fetched again.
    pub(crate) fn object(&self, hash: &ObjectHash) -> Result<Vec<u8>, StoreError> {
        let path = self.object_path(hash);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing(*hash)),
            Err(error) => return Err(on_disk(&path)(error)),
        };
        if ObjectHash::of(&bytes) == *hash {
            return Ok(bytes);
        }
        // If it cannot be removed, the next read says the same.
        let _ = fs::remove_file(&path);
        Err(StoreError::Damaged(*hash))
    }

    fn text(&self, path: &str, entry: &Entry) -> Result<String, StoreError> {
        String::from_utf8(self.object(&entry.hash)?).map_err(|_| StoreError::NotText(path.to_owned()))
    }

    /// Puts an object; its name is made from its bytes.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<ObjectHash, StoreError> {
        let hash = ObjectHash::of(bytes);
        let path = self.object_path(&hash);
        if path.is_file() {
            return Ok(hash);
        }
        let fresh = path.with_extension("new");
        let write = || {
            fs::write(&fresh, bytes)?;
            fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
            fs::rename(&fresh, &path)
        };
        write().map_err(on_disk(&path))?;
        Ok(hash)
    }

    /// The listing that an index object names; objects that lack are told by their hashes, a layer at a time.
    ///
    /// # Errors
    /// [`StoreError::Missing`] of the first page that lacks.
    pub(crate) fn listing(&self, index: &ObjectHash) -> Result<Listing, StoreError> {
        let pages: Index = self.json(index)?;
        let pages = pages.iter().map(|page| match page {
            None => Ok(Page::new()),
            Some(hash) => self.json(hash),
        });
        let pages: Vec<Page> = pages.collect::<Result<_, _>>()?;
        Listing::from_pages(pages).map_err(|error| StoreError::Listing(error.to_string()))
    }

    /// Pages of an index that are not here.
    ///
    /// # Errors
    /// When the index is not here, or is not one.
    pub(crate) fn pages_lacking(&self, index: &ObjectHash) -> Result<Vec<ObjectHash>, StoreError> {
        let pages: Index = self.json(index)?;
        if pages.len() != PAGES {
            return Err(StoreError::Listing(format!(
                "{} pages instead of {PAGES}",
                pages.len()
            )));
        }
        Ok(pages
            .into_iter()
            .flatten()
            .filter(|page| !self.has(page))
            .collect())
    }

    fn json<T: serde::de::DeserializeOwned>(&self, hash: &ObjectHash) -> Result<T, StoreError> {
        serde_json::from_slice(&self.object(hash)?).map_err(|error| StoreError::Listing(error.to_string()))
    }

    /// Reads a version whose objects are here. What `previous` has read already is taken from it.
    ///
    /// # Errors
    /// What lacks or is damaged.
    pub(crate) fn read(
        &self,
        signed: Signed,
        manifest: Manifest,
        previous: Option<&Version>,
    ) -> Result<Version, StoreError> {
        let previous = previous.map(|previous| (&*previous.listing, &previous.parts));
        let (listing, parts) = self.parts(&manifest.index, &self.own, previous)?;
        Ok(Version {
            parts,
            listing: Arc::new(listing),
            signed,
            manifest,
        })
    }

    /// Reads what an index lists, for a process that says `own` of itself.
    ///
    /// # Errors
    /// What lacks or is damaged.
    pub(crate) fn parts(
        &self,
        index: &ObjectHash,
        own: &Own,
        previous: Option<(&Listing, &Parts)>,
    ) -> Result<(Listing, Parts), StoreError> {
        let listing = self.listing(index)?;
        let known = |path: &str, entry: &Entry| {
            previous.is_some_and(|(previous, _)| previous.get(path) == Some(entry))
        };
        let region = own.region.as_deref().map(|region| format!("edge/{region}"));
        let edge_path = region
            .as_deref()
            .filter(|path| listing.get(path).is_some())
            .unwrap_or("edge");
        let edge = listing.get(edge_path).ok_or(StoreError::NoEdge)?;
        let same_edge = previous.filter(|(previous, parts)| {
            let region = region.as_deref().and_then(|path| previous.get(path));
            region.or_else(|| previous.get("edge")) == Some(edge) && parts.own == *own
        });
        let edge = match same_edge {
            Some((_, parts)) => Arc::clone(&parts.edge),
            None => Arc::from(self.text(edge_path, edge)?),
        };
        let mut tenants = BTreeMap::new();
        for (path, entry) in listing.iter() {
            let Some(id) = path.strip_prefix(TENANTS) else {
                if !known(path, entry) && path.starts_with(FILES) {
                    // Hashed here, so that what is linked is whole.
                    self.object(&entry.hash)?;
                }
                continue;
            };
            let old = previous.filter(|_| known(path, entry));
            let text = match old.and_then(|(_, parts)| parts.tenants.get(id)) {
                Some(text) => Arc::clone(text),
                None => Arc::from(self.text(path, entry)?),
            };
            tenants.insert(id.to_owned(), text);
        }
        let parts = Parts {
            edge,
            tenants,
            base: self.folder.join("tree").join("files"),
            own: own.clone(),
            digest: index.to_string(),
        };
        Ok((listing, parts))
    }

    /// Makes the files below `tree` those of a listing; `old` is what they are now, if that is known.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn show(&self, new: &Listing, old: Option<&Listing>) -> Result<(), StoreError> {
        let tree = self.folder.join("tree");
        match old {
            Some(old) => {
                for (path, entry) in old.changes(new).filter(|(path, _)| path.starts_with(FILES)) {
                    let shown = tree.join(path);
                    match entry {
                        Some(entry) => self.link(entry, &shown)?,
                        None => fs::remove_file(&shown).map_err(on_disk(&shown))?,
                    }
                }
            }
            None => {
                fs::remove_dir_all(&tree).map_err(on_disk(&tree))?;
                fs::create_dir_all(tree.join("files")).map_err(on_disk(&tree))?;
                for (path, entry) in new.iter().filter(|(path, _)| path.starts_with(FILES)) {
                    self.link(entry, &tree.join(path))?;
                }
            }
        }
        Ok(())
    }

    fn link(&self, entry: &Entry, shown: &Path) -> Result<(), StoreError> {
        let link = || {
            if let Some(folder) = shown.parent() {
                fs::create_dir_all(folder)?;
            }
            let fresh = self.folder.join("link.new");
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::hard_link(self.object_path(&entry.hash), &fresh)?;
            fs::rename(&fresh, shown)?;
            // Two names of one file: the rename does nothing then.
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        };
        link().map_err(on_disk(shown))
    }

    /// Keeps a version that serves: its objects reach the disk, then its manifest. Objects of older ones go.
    ///
    /// # Errors
    /// Those of the disk. They cost the next start this version, never the traffic.
    pub(crate) fn keep(
        &self,
        version: &Version,
        old: Option<&Version>,
        trust: &Trust,
    ) -> Result<(), StoreError> {
        let pages: Index = self.json(&version.manifest.index)?;
        let objects = pages.iter().flatten().chain([&version.manifest.index]);
        let objects = objects.chain(version.listing.iter().map(|(_, entry)| &entry.hash));
        let known: HashSet<&ObjectHash> = old.map_or_else(HashSet::new, |old| {
            old.listing.iter().map(|(_, entry)| &entry.hash).collect()
        });
        let fresh: Vec<&ObjectHash> = objects.filter(|hash| !known.contains(hash)).collect();
        for hash in &fresh {
            let path = self.object_path(hash);
            File::open(&path)
                .and_then(|file| file.sync_data())
                .map_err(on_disk(&path))?;
        }
        let folder = self.folder.join("objects");
        File::open(&folder)
            .and_then(|file| file.sync_all())
            .map_err(on_disk(&folder))?;
        let (current, previous) = (
            self.folder.join("current.json"),
            self.folder.join("previous.json"),
        );
        let text = serde_json::to_vec(&version.signed).map_err(|error| on_disk(&current)(error.into()))?;
        if self.kept_at(&current).is_some_and(|kept| kept != version.signed) {
            fs::rename(&current, &previous).map_err(on_disk(&previous))?;
        }
        replace(&current, &text).map_err(on_disk(&current))?;
        self.keep_trust(trust)
    }

    /// Removes objects that neither `serving` nor the versions on disk have.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn prune(&self, serving: &Version) -> Result<usize, StoreError> {
        let mut used: HashSet<ObjectHash> = HashSet::new();
        let mut uses = |index: &ObjectHash, listing: &Listing| {
            used.insert(*index);
            let pages: Index = self.json(index).unwrap_or_default();
            used.extend(pages.into_iter().flatten());
            used.extend(listing.iter().map(|(_, entry)| entry.hash));
        };
        uses(&serving.manifest.index, &serving.listing);
        for signed in self.kept() {
            let manifest: Option<Manifest> = serde_json::from_str(&signed.manifest).ok();
            if let Some(manifest) = manifest
                && let Ok(listing) = self.listing(&manifest.index)
            {
                uses(&manifest.index, &listing);
            }
        }
        let folder = self.folder.join("objects");
        let mut removed = 0;
        for file in fs::read_dir(&folder).map_err(on_disk(&folder))?.flatten() {
            let name = file.file_name();
            let hash = name.to_str().and_then(|name| name.parse::<ObjectHash>().ok());
            if hash.is_none_or(|hash| !used.contains(&hash)) && fs::remove_file(file.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn kept_at(&self, path: &Path) -> Option<Signed> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// The versions that served last, newest first.
    pub(crate) fn kept(&self) -> Vec<Signed> {
        let names = ["current.json", "previous.json"];
        names
            .iter()
            .filter_map(|name| self.kept_at(&self.folder.join(name)))
            .collect()
    }

    /// A version that served, read again at the start.
    ///
    /// # Errors
    /// When it is not believed, or not whole.
    pub(crate) fn reopen(&self, signed: Signed, trust: &Trust) -> Result<Version, StoreError> {
        let manifest = signed.open(&trust.keys, &trust.deployment)?;
        self.read(signed, manifest, None)
    }
}

#[cfg(test)]
mod tests {
    use weir_schema::push::{FORMAT, SigningKey};

    use super::*;

    struct Fixture {
        _folder: tempfile::TempDir,
        store: PushedStore,
        key: SigningKey,
        trust: Trust,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = PushedStore::open(folder.path(), Own::default()).unwrap();
        let key = SigningKey::from_seed(&[3; 32]);
        let token = JoinToken {
            node: "n".to_owned(),
            region: "eu".to_owned(),
            deployment: "d".to_owned(),
            secret: "s".to_owned(),
            keys: vec![key.public()],
            authority: None,
        };
        let trust = store.trust(&token).unwrap();
        Fixture {
            _folder: folder,
            store,
            key,
            trust,
        }
    }

    impl Fixture {
        fn version(&self, revision: u64, files: &[(&str, &str)]) -> Version {
            let mut listing = Listing::default();
            for (path, text) in files {
                let hash = self.store.put(text.as_bytes()).unwrap();
                listing
                    .put(
                        path,
                        Entry {
                            hash,
                            bytes: text.len() as u64,
                        },
                    )
                    .unwrap();
            }
            let page = |place| Some(self.store.put(listing.page_object(place)?.as_bytes()).unwrap());
            let index: Index = (0..PAGES).map(page).collect();
            let manifest = Manifest {
                format: FORMAT,
                format_min: 1,
                deployment: "d".to_owned(),
                revision,
                parent: revision - 1,
                created_ms: 0,
                index: self.store.put(&serde_json::to_vec(&index).unwrap()).unwrap(),
                objects: files.len() as u64,
                keys: vec![self.key.public()],
            };
            let signed = manifest.sign([&self.key]).unwrap();
            self.store.read(signed, manifest, None).unwrap()
        }

        fn shown(&self, path: &str) -> Option<String> {
            fs::read_to_string(self.store.folder.join("tree").join(path)).ok()
        }
    }

    #[test]
    fn a_version_is_read_shown_kept_and_read_again() {
        let fixture = fixture();
        let store = &fixture.store;
        let one = fixture.version(
            1,
            &[
                ("edge", "{}"),
                ("tenants/a", "{\"a\":1}"),
                ("files/x/r.conf", "one"),
                ("files/same", "same"),
            ],
        );
        store.show(&one.listing, None).unwrap();
        store.keep(&one, None, &fixture.trust).unwrap();
        let two = fixture.version(
            2,
            &[("edge", "{}"), ("files/x/r.conf", "two"), ("files/same", "same")],
        );
        store.show(&two.listing, Some(&one.listing)).unwrap();
        assert_eq!(fixture.shown("files/x/r.conf").as_deref(), Some("two"));
        store.keep(&two, Some(&one), &fixture.trust).unwrap();
        assert!(two.parts.tenants.is_empty());
        let again = store.reopen(store.kept()[1].clone(), &fixture.trust).unwrap();
        assert_eq!(&*again.parts.tenants["a"], "{\"a\":1}");
        store.show(&again.listing, Some(&two.listing)).unwrap();
        assert_eq!(fixture.shown("files/x/r.conf").as_deref(), Some("one"));
        let three = fixture.version(3, &[("edge", "{}")]);
        store.show(&three.listing, None).unwrap();
        assert_eq!(fixture.shown("files/x/r.conf"), None);
        store.keep(&three, Some(&two), &fixture.trust).unwrap();
        assert!(store.prune(&three).unwrap() > 0);
        assert!(
            store.reopen(store.kept()[1].clone(), &fixture.trust).is_ok(),
            "the version before is still whole"
        );
        assert!(matches!(
            store.object(&ObjectHash::of(b"one")),
            Err(StoreError::Missing(_))
        ));
    }

    #[test]
    fn a_damaged_object_is_known_and_gone() {
        let fixture = fixture();
        let version = fixture.version(1, &[("edge", "{}"), ("files/a", "sound")]);
        let hash = ObjectHash::of(b"sound");
        fs::write(fixture.store.object_path(&hash), "bad").unwrap();
        let read = fixture.store.reopen(version.signed, &fixture.trust);
        assert!(matches!(read.err(), Some(StoreError::Damaged(_))));
        assert!(!fixture.store.has(&hash));
    }
}
