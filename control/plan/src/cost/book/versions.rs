//! The versions of the price book: never changed, one of them for each day.

use super::{Day, PriceBook};

/// Most versions that are kept.
const VERSIONS_MAX: usize = 10_000;

/// All versions, by the day from which they hold.
#[derive(Clone, Debug, Default)]
pub struct PriceBooks(Vec<PriceBook>);

/// Why a version is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// Its currency differs.
    #[error("the currency is {kept} in all versions so far; a change of currency is a new installation")]
    CurrencyChanged {
        /// That of the versions so far.
        kept: String,
    },
    /// Another version has this id.
    #[error(
        "version `{id}` was published with other content and is never changed; give the new prices an id of their own"
    )]
    IdTaken {
        /// The id.
        id: String,
    },
    /// It would change days that may be charged already.
    #[error("a version holds from a later day than today, {today}; closed days keep their prices")]
    StartsInThePast {
        /// Today in UTC.
        today: Day,
    },
    /// Another version holds from the same day.
    #[error("version `{id}` holds from the same day; choose another day")]
    StartTaken {
        /// The other version.
        id: String,
    },
    /// Too many.
    #[error("there are {VERSIONS_MAX} versions, which is the most that is kept")]
    TooManyVersions,
}

impl BookError {
    /// The stable name of the class.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CurrencyChanged { .. } => "currency_changed",
            Self::IdTaken { .. } => "id_taken",
            Self::StartsInThePast { .. } => "starts_in_the_past",
            Self::StartTaken { .. } => "start_taken",
            Self::TooManyVersions => "too_many_versions",
        }
    }
}

impl PriceBooks {
    /// Adds a version. Gives `false` when it is there already with the same content. The first may hold from any day, later
    /// ones from after `today`.
    ///
    /// # Errors
    /// When it would change what was published or charged.
    pub fn add(&mut self, book: PriceBook, today: Day) -> Result<bool, BookError> {
        if let Some(same) = self.0.iter().find(|one| one.id == book.id) {
            return if *same == book {
                Ok(false)
            } else {
                Err(BookError::IdTaken { id: book.id })
            };
        }
        if self.0.len() >= VERSIONS_MAX {
            return Err(BookError::TooManyVersions);
        }
        if let Some(first) = self.0.first() {
            if first.currency != book.currency {
                return Err(BookError::CurrencyChanged {
                    kept: first.currency.clone(),
                });
            }
            if let Some(same) = self.0.iter().find(|one| one.valid_from == book.valid_from) {
                return Err(BookError::StartTaken { id: same.id.clone() });
            }
            if book.valid_from <= today {
                return Err(BookError::StartsInThePast { today });
            }
        }
        let place = self.0.partition_point(|one| one.valid_from < book.valid_from);
        self.0.insert(place, book);
        Ok(true)
    }

    /// The version that holds on a day; `None` before the first.
    pub fn on(&self, day: Day) -> Option<&PriceBook> {
        let after = self.0.partition_point(|one| one.valid_from <= day);
        self.0.get(after.checked_sub(1)?)
    }

    /// All versions in order of their days.
    pub fn iter(&self) -> impl Iterator<Item = &PriceBook> {
        self.0.iter()
    }
}
