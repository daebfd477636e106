//! Country, continent and network of an address, from MMDB files.
//!
//! Reserved ranges are classified before a database is asked: published country files are known to place private and
//! documentation ranges in real countries (seen 2026-11 in `geo-whois-asn-country-mmdb`).

mod address;
mod continent;
mod database;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;

pub use address::{AddressClass, canonical, classify};
pub use continent::continent_of;
pub use database::{Database, GeoError, Place, UNKNOWN_COUNTRY};
