//! What control and proxies say to each other: versions as signed manifests over objects named by their hashes, and the
//! messages of a session.
//!
//! A version is a [`Listing`] of paths, each with the hash of its object. The listing is kept in [`PAGES`] pages, which are
//! objects themselves, and an index of them, which is one more: a change of one path makes a new object, one new page and one
//! new index, and nothing else travels. The [`Manifest`] names the index and is signed.

mod hash;
mod key;
mod listing;
mod manifest;
mod message;

pub use hash::ObjectHash;
pub use key::{KeyError, PublicKey, SigningKey};
pub use listing::{Entry, Index, Listing, ListingError, PAGES, Page, page_of};
pub use manifest::{FORMAT, Head, Manifest, ManifestError, Signature, Signed};
pub use message::{Down, InlineObject, JoinToken, MESSAGE_BYTES_MAX, Messages, TooLong, Up, encode};
