//! Which objects a version has, by path, in pages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ObjectHash;

/// Pages of a listing. With 10,000 paths of about 110 bytes an index and a page are 9 KB each, which is the least sum.
pub const PAGES: usize = 128;
/// Bytes of a path.
const PATH_BYTES_MAX: usize = 512;
/// Paths of a listing.
const PATHS_MAX: usize = 500_000;

/// The object of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub hash: ObjectHash,
    /// Its size.
    pub bytes: u64,
}

/// Some of the paths, sorted.
pub type Page = BTreeMap<String, Entry>;

/// The pages, in order; `None` is an empty one.
pub type Index = Vec<Option<ObjectHash>>;

/// What is wrong with a listing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// An index of another length.
    #[error("an index has {PAGES} pages, not {0}")]
    Pages(usize),
    /// Not a path that may be written below a folder.
    #[error(
        "`{0}` is not a path: segments of A-Z a-z 0-9 . _ - + @ between slashes, none of them `.` or `..`, 512 bytes at most"
    )]
    Path(String),
    /// Too many paths.
    #[error("a version has at most {PATHS_MAX} objects")]
    TooMany,
    /// A path in a page that is not its own.
    #[error("`{0}` is not in its page")]
    WrongPage(String),
}

/// The page that a path is in: by the first byte of its SHA-256.
#[must_use]
pub fn page_of(path: &str) -> usize {
    let sum: [u8; 32] = Sha256::digest(path.as_bytes()).into();
    usize::from(sum[0]) % PAGES
}

/// Paths and their objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pages: Vec<Page>,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            pages: vec![Page::new(); PAGES],
        }
    }
}

impl Listing {
    /// From its pages as they were read, in order.
    ///
    /// # Errors
    /// When they are not the pages of a listing.
    pub fn from_pages(pages: Vec<Page>) -> Result<Self, ListingError> {
        if pages.len() != PAGES {
            return Err(ListingError::Pages(pages.len()));
        }
        let listing = Self { pages };
        if listing.len() > PATHS_MAX {
            return Err(ListingError::TooMany);
        }
        for (place, page) in listing.pages.iter().enumerate() {
            for path in page.keys() {
                check_path(path)?;
                if page_of(path) != place {
                    return Err(ListingError::WrongPage(path.clone()));
                }
            }
        }
        Ok(listing)
    }

    /// The object of a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.pages.get(page_of(path))?.get(path)
    }

    /// Puts an object at a path.
    ///
    /// # Errors
    /// When it is not a path, or there are too many.
    pub fn put(&mut self, path: &str, entry: Entry) -> Result<(), ListingError> {
        check_path(path)?;
        if self.len() >= PATHS_MAX && self.get(path).is_none() {
            return Err(ListingError::TooMany);
        }
        if let Some(page) = self.pages.get_mut(page_of(path)) {
            page.insert(path.to_owned(), entry);
        }
        Ok(())
    }

    /// Takes a path out.
    pub fn remove(&mut self, path: &str) -> Option<Entry> {
        self.pages.get_mut(page_of(path))?.remove(path)
    }

    /// All paths, page by page.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.pages.iter().flatten()
    }

    /// Number of paths.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages.iter().map(Page::len).sum()
    }

    /// Whether there is no path.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.iter().all(Page::is_empty)
    }

    /// A page, by its place in the index.
    #[must_use]
    pub fn page(&self, place: usize) -> Option<&Page> {
        self.pages.get(place)
    }

    /// A page as an object; `None` for an empty one.
    #[must_use]
    pub fn page_object(&self, place: usize) -> Option<String> {
        let page = self.pages.get(place).filter(|page| !page.is_empty())?;
        serde_json::to_string(page).ok()
    }

    /// Every path that differs, with what the newer listing has there.
    pub fn changes<'a>(&'a self, newer: &'a Self) -> impl Iterator<Item = (&'a str, Option<&'a Entry>)> {
        let pages = self.pages.iter().zip(&newer.pages);
        pages.filter(|(old, new)| old != new).flat_map(|(old, new)| {
            let gone = old.keys().filter(|path| !new.contains_key(*path));
            let put = new.iter().filter(|(path, entry)| old.get(*path) != Some(*entry));
            gone.map(|path| (path.as_str(), None))
                .chain(put.map(|(path, entry)| (path.as_str(), Some(entry))))
        })
    }
}

/// Paths are written below a folder of the proxy: nothing in them may lead out of it.
fn check_path(path: &str) -> Result<(), ListingError> {
    let segment = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-+@".contains(&byte))
    };
    if path.len() <= PATH_BYTES_MAX && path.split('/').all(segment) {
        Ok(())
    } else {
        Err(ListingError::Path(path.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(text: &str) -> Entry {
        Entry {
            hash: ObjectHash::of(text.as_bytes()),
            bytes: text.len() as u64,
        }
    }

    fn listing(paths: &[(String, String)]) -> Listing {
        let mut listing = Listing::default();
        for (path, text) in paths {
            listing.put(path, entry(text)).unwrap();
        }
        listing
    }

    #[test]
    fn a_path_that_leads_out_of_its_folder_is_refused() {
        for path in [
            "",
            "/etc/passwd",
            "a//b",
            "../a",
            "a/../b",
            "a/.",
            "a\\b",
            "a b",
            "é",
            "a/\0",
            &"a".repeat(513),
        ] {
            assert!(Listing::default().put(path, entry("x")).is_err(), "{path}");
        }
        assert!(
            Listing::default()
                .put("files/crs/a-1.0_b.conf", entry("x"))
                .is_ok()
        );
    }

    #[test]
    fn a_page_with_a_path_of_another_page_is_refused() {
        let mut pages = vec![Page::new(); PAGES];
        pages[(page_of("edge") + 1) % PAGES].insert("edge".to_owned(), entry("x"));
        assert_eq!(
            Listing::from_pages(pages),
            Err(ListingError::WrongPage("edge".to_owned()))
        );
        assert_eq!(Listing::from_pages(Vec::new()), Err(ListingError::Pages(0)));
    }

    proptest! {
        #[test]
        fn pages_read_back_and_changes_lead_from_one_listing_to_the_other(
            old in prop::collection::vec(("[a-c]{1,2}/[a-f]{1,2}", "[xyz]"), 0..60),
            new in prop::collection::vec(("[a-c]{1,2}/[a-f]{1,2}", "[xyz]"), 0..60),
        ) {
            let (old, new) = (listing(&old), listing(&new));
            let pages = (0..PAGES).map(|place| {
                new.page_object(place).map_or_else(Page::new, |text| serde_json::from_str(&text).unwrap())
            });
            let read = Listing::from_pages(pages.collect());
            prop_assert_eq!(read.as_ref(), Ok(&new));
            let mut moved = old.clone();
            for (path, entry) in old.changes(&new) {
                match entry {
                    Some(entry) => moved.put(path, *entry).unwrap(),
                    None => { moved.remove(path); }
                }
            }
            prop_assert_eq!(moved, new);
        }
    }
}
