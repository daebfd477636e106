//! Reading of country and network databases.

use std::collections::HashMap;
use std::net::IpAddr;

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;

use crate::address::{AddressClass, canonical, classify};
use crate::continent::continent_of;

/// The country code of an address whose country is not known.
pub const UNKNOWN_COUNTRY: [u8; 2] = *b"XX";

/// Where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// ISO 3166-1 alpha-2 in upper case; `XX` when not known.
    pub country: [u8; 2],
    /// AF AN AS EU NA OC SA, when known.
    pub continent: Option<[u8; 2]>,
    /// Autonomous system number; 0 when not known.
    pub asn: u32,
    /// What kind of address it is. Only public ones are looked up.
    pub class: AddressClass,
}

impl Default for Place {
    /// A public address of which nothing is known.
    fn default() -> Self {
        Self {
            country: UNKNOWN_COUNTRY,
            continent: None,
            asn: 0,
            class: AddressClass::Public,
        }
    }
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// Not an MMDB file, or a damaged one.
    #[error("the {kind} database is damaged: {source}; fetch it again")]
    Corrupt {
        /// `country` or `asn`.
        kind: &'static str,
        /// What the reader says.
        source: MaxMindDbError,
    },
    /// A well-formed file that answers another question.
    #[error("the {kind} database has no usable {kind} entry; give one with `{expected}`")]
    WrongContent {
        /// `country` or `asn`.
        kind: &'static str,
        /// Field that was looked for.
        expected: &'static str,
    },
}

/// A record of a country or network database: the flat form (`country_code`) or the nested one (`country.iso_code`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    country_code: Option<&'a str>,
    country: Option<Country<'a>>,
    registered_country: Option<Country<'a>>,
    continent: Option<Continent<'a>>,
    autonomous_system_number: Option<u32>,
    asn: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Country<'a> {
    #[serde(borrow)]
    iso_code: Option<&'a str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Continent<'a> {
    #[serde(borrow)]
    code: Option<&'a str>,
}

impl Record<'_> {
    fn country(&self) -> Option<[u8; 2]> {
        let nested = |country: &Option<Country<'_>>| {
            country
                .as_ref()
                .and_then(|country| country.iso_code)
                .and_then(code)
        };
        self.country_code
            .and_then(code)
            .or_else(|| nested(&self.country))
            .or_else(|| nested(&self.registered_country))
    }

    fn continent(&self) -> Option<[u8; 2]> {
        self.continent
            .as_ref()
            .and_then(|continent| continent.code)
            .and_then(code)
    }

    fn asn(&self) -> Option<u32> {
        self.autonomous_system_number.or(self.asn).filter(|asn| *asn != 0)
    }
}

fn code(text: &str) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.as_bytes().try_into().ok()?;
    code.iter()
        .all(u8::is_ascii_alphabetic)
        .then(|| code.map(|byte| byte.to_ascii_uppercase()))
}

/// What a record says, of both kinds of database.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    country: Option<[u8; 2]>,
    continent: Option<[u8; 2]>,
    asn: u32,
}

impl Known {
    fn of(record: &Record<'_>) -> Self {
        let country = record.country();
        Self {
            country,
            continent: record.continent().or_else(|| country.and_then(continent_of)),
            asn: record.asn().unwrap_or(0),
        }
    }
}

/// A database with its records decoded: many networks share few records (a country file has some 250), so a look-up is a
/// walk down the tree and no decoding.
struct Table {
    reader: Reader<Vec<u8>>,
    /// By offset in the file.
    records: HashMap<usize, Known>,
}

impl Table {
    /// An address without a record is not known; so is IPv6 in an IPv4 file.
    fn find(&self, ip: IpAddr) -> Option<Known> {
        let offset = self.reader.lookup(ip).ok()?.offset()?;
        self.records.get(&offset).copied()
    }
}

/// The databases of one configuration version, held in memory: a file replaced on disk changes nothing until the next load.
pub struct Database {
    country: Option<Table>,
    asn: Option<Table>,
}

impl Database {
    /// Takes the bytes of a country and of a network database, and reads both whole once.
    ///
    /// # Errors
    /// [`GeoError::Corrupt`] when any part cannot be read, [`GeoError::WrongContent`] when no entry is of use.
    pub fn open(country: Option<Vec<u8>>, asn: Option<Vec<u8>>) -> Result<Self, GeoError> {
        let country =
            country.map(|bytes| load(bytes, "country", "country_code", |known| known.country.is_some()));
        let asn = asn.map(|bytes| load(bytes, "asn", "autonomous_system_number", |known| known.asn != 0));
        Ok(Self {
            country: country.transpose()?,
            asn: asn.transpose()?,
        })
    }

    /// Where an address is. Addresses are made [`canonical`] first; those that are not public are not looked up.
    pub fn locate(&self, ip: IpAddr) -> Place {
        let ip = canonical(ip);
        let mut place = Place {
            class: classify(ip),
            ..Place::default()
        };
        if place.class != AddressClass::Public {
            return place;
        }
        if let Some(known) = self.country.as_ref().and_then(|table| table.find(ip)) {
            place.country = known.country.unwrap_or(UNKNOWN_COUNTRY);
            place.continent = known.continent;
            place.asn = known.asn;
        }
        if let Some(known) = self.asn.as_ref().and_then(|table| table.find(ip))
            && known.asn != 0
        {
            place.asn = known.asn;
        }
        place
    }

    /// When the older of the databases was built, seconds since 1970; `None` without a database.
    pub fn build_epoch(&self) -> Option<u64> {
        self.country
            .iter()
            .chain(&self.asn)
            .map(|table| table.reader.metadata().build_epoch)
            .min()
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("build_epoch", &self.build_epoch())
            .finish_non_exhaustive()
    }
}

/// Walks the whole tree and decodes each record once, so that nothing fails later.
///
/// `Reader::verify` is not used: it refuses files with an empty description, which the published country files have.
fn load(
    bytes: Vec<u8>,
    kind: &'static str,
    expected: &'static str,
    usable: impl Fn(&Known) -> bool,
) -> Result<Table, GeoError> {
    let corrupt = |source| GeoError::Corrupt { kind, source };
    let reader = Reader::from_source(bytes).map_err(corrupt)?;
    // A tree of N nodes has at most N + 1 leaves, plus aliases; more means a cycle.
    let mut left = u64::from(reader.metadata().node_count)
        .saturating_mul(3)
        .saturating_add(16);
    let mut records = HashMap::new();
    for network in reader.networks(WithinOptions::default()).map_err(corrupt)? {
        let network = network.map_err(corrupt)?;
        if left == 0 {
            let source = MaxMindDbError::invalid_database("the search tree has a cycle");
            return Err(GeoError::Corrupt { kind, source });
        }
        left -= 1;
        if let Some(offset) = network.offset()
            && !records.contains_key(&offset)
        {
            let record: Option<Record<'_>> = network.decode().map_err(corrupt)?;
            records.insert(offset, record.as_ref().map(Known::of).unwrap_or_default());
        }
    }
    if records.values().any(usable) {
        Ok(Table { reader, records })
    } else {
        Err(GeoError::WrongContent { kind, expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Entry, Schema, write};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn entries() -> Vec<Entry> {
        vec![
            Entry::new("8.8.8.0/24", "US", 15169),
            Entry::new("81.2.69.0/24", "GB", 20712),
            Entry::new("10.0.0.0/8", "AU", 1),
            Entry::new("2a00::/16", "DE", 3320),
            Entry::new("2600::/12", "US", 7018),
        ]
    }

    #[test]
    fn both_schemas_say_the_same() {
        for schema in [Schema::Flat, Schema::Nested] {
            let country = write(&entries(), schema).unwrap();
            let asn = write(&entries(), schema).unwrap();
            let database = Database::open(Some(country), Some(asn)).unwrap();
            let table = [
                ("8.8.8.8", b"US", Some(*b"NA"), 15169),
                ("::ffff:8.8.8.8", b"US", Some(*b"NA"), 15169),
                ("2002:808:808::1", b"US", Some(*b"NA"), 15169),
                ("64:ff9b::808:808", b"US", Some(*b"NA"), 15169),
                ("81.2.69.142", b"GB", Some(*b"EU"), 20712),
                ("2a00:1::1", b"DE", Some(*b"EU"), 3320),
                ("8.8.9.1", b"XX", None, 0),
                ("10.1.2.3", b"XX", None, 0),
            ];
            for (text, country, continent, asn) in table {
                let place = database.locate(ip(text));
                assert_eq!(
                    (&place.country, place.continent, place.asn),
                    (country, continent, asn),
                    "{schema:?} {text}"
                );
            }
            assert_eq!(database.locate(ip("10.1.2.3")).class, AddressClass::Private);
            assert_eq!(database.build_epoch(), Some(crate::fixture::BUILD_EPOCH));
        }
    }

    #[test]
    fn no_database_knows_nothing() {
        let database = Database::open(None, None).unwrap();
        assert_eq!(database.locate(ip("8.8.8.8")), Place::default());
        assert_eq!(database.build_epoch(), None);
    }

    #[test]
    fn a_file_without_the_field_is_refused() {
        let only_asn = write(
            &[Entry {
                country: None,
                ..Entry::new("8.8.8.0/24", "US", 1)
            }],
            Schema::Flat,
        )
        .unwrap();
        let error = Database::open(Some(only_asn.clone()), None).unwrap_err();
        assert!(
            matches!(error, GeoError::WrongContent { kind: "country", .. }),
            "{error}"
        );
        assert!(Database::open(None, Some(only_asn)).is_ok());
    }

    #[test]
    fn damage_is_an_error_or_harmless_and_never_a_panic() {
        let whole = write(&entries(), Schema::Nested).unwrap();
        for length in (0..whole.len()).step_by(7) {
            if let Ok(database) = Database::open(Some(whole[..length].to_vec()), None) {
                panic!(
                    "a file cut at {length} of {} was taken: {database:?}",
                    whole.len()
                );
            }
        }
        let mut refused = 0;
        for at in (0..whole.len()).step_by(3) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            match Database::open(Some(damaged), None) {
                Ok(database) => {
                    database.locate(ip("8.8.8.8"));
                    database.locate(ip("2a00:1::1"));
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 0);
    }
}
