//! What a version is made of, in memory: its listing and the objects of the listing itself.

use std::collections::BTreeMap;

use weir_schema::push::{Entry, Index, Listing, ListingError, ObjectHash, PAGES};

/// A listing with its pages and index as objects.
#[derive(Clone, Debug)]
pub struct Content {
    /// Paths and their objects.
    pub listing: Listing,
    /// The pages' names.
    pub pages: Index,
    /// The index's name.
    pub index: ObjectHash,
}

/// Objects by their names.
pub type Objects = BTreeMap<ObjectHash, Vec<u8>>;

impl Content {
    /// Of a listing; gives the objects of its pages and index.
    #[must_use]
    pub fn new(listing: Listing) -> (Self, Objects) {
        Self::after(None, listing)
    }

    fn after(old: Option<&Self>, listing: Listing) -> (Self, Objects) {
        let mut objects = Objects::new();
        let page = |place: usize| {
            let kept = old.filter(|old| old.listing.page(place) == listing.page(place));
            if let Some(hash) = kept.and_then(|old| old.pages.get(place).copied().flatten()) {
                return Some(hash);
            }
            let text = listing.page_object(place)?.into_bytes();
            let hash = ObjectHash::of(&text);
            objects.insert(hash, text);
            Some(hash)
        };
        let pages: Index = (0..PAGES).map(page).collect();
        // A list of hashes always has a JSON form.
        let text = serde_json::to_vec(&pages).unwrap_or_default();
        let index = ObjectHash::of(&text);
        objects.insert(index, text);
        let content = Self {
            listing,
            pages,
            index,
        };
        (content, objects)
    }

    /// With paths put and removed; gives the objects that are new: of the paths, of the pages that changed, and the index.
    ///
    /// # Errors
    /// When a path is not one.
    pub fn change(
        &self,
        put: Vec<(String, Vec<u8>)>,
        remove: &[String],
    ) -> Result<(Self, Objects), ListingError> {
        let mut listing = self.listing.clone();
        for path in remove {
            listing.remove(path);
        }
        let mut fresh = Objects::new();
        for (path, bytes) in put {
            let entry = Entry {
                hash: ObjectHash::of(&bytes),
                bytes: bytes.len() as u64,
            };
            listing.put(&path, entry)?;
            fresh.insert(entry.hash, bytes);
        }
        let (content, mut objects) = Self::after(Some(self), listing);
        objects.append(&mut fresh);
        Ok((content, objects))
    }

    /// Hashes of everything in it.
    pub fn hashes(&self) -> impl Iterator<Item = &ObjectHash> {
        let listed = self.listing.iter().map(|(_, entry)| &entry.hash);
        listed.chain(self.pages.iter().flatten()).chain([&self.index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_one_path_makes_three_objects_and_the_same_paths_make_the_same_index() {
        let paths: Vec<(String, Vec<u8>)> = (0..1000)
            .map(|place| (format!("tenants/t{place}"), format!("{place}").into_bytes()))
            .collect();
        let (empty, _) = Content::new(Listing::default());
        let (full, _) = empty.change(paths.clone(), &[]).unwrap();
        let (changed, objects) = full
            .change(vec![("tenants/t7".to_owned(), b"seven".to_vec())], &[])
            .unwrap();
        assert_eq!(objects.len(), 3);
        assert_ne!(changed.index, full.index);
        let (back, _) = changed.change(vec![paths[7].clone()], &[]).unwrap();
        assert_eq!(back.index, full.index);
        let (fresh, _) = Content::new(full.listing.clone());
        assert_eq!(fresh.index, full.index);
        assert_eq!(
            full.hashes().count(),
            1000 + full.pages.iter().flatten().count() + 1
        );
    }
}
