//! Keys that versions are signed with. Usually one; two while one takes the other's place.

use std::collections::BTreeMap;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use weir_schema::push::{PublicKey, SigningKey};

use crate::store::{Batch, IfMatch, Kind, Record, StoreError, Write};

/// As it is kept, encrypted by the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    /// 32 secret bytes; base64.
    seed: String,
    created_ms: u64,
}

/// The keys in use, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Keys(BTreeMap<String, [u8; 32]>);

fn fresh() -> Result<[u8; 32], StoreError> {
    let mut seed = [0; 32];
    rand::fill(&mut seed).map_err(|_| StoreError::Failed("the system gives no randomness".to_owned()))?;
    Ok(seed)
}

impl Keys {
    /// From their records.
    ///
    /// # Errors
    /// When a record is not a key.
    pub(super) fn read(records: &[Record]) -> Result<Self, StoreError> {
        let key = |record: &Record| {
            let kept: Kept = record.json()?;
            let seed = BASE64
                .decode(kept.seed)
                .ok()
                .and_then(|seed| seed.try_into().ok());
            let seed = seed.ok_or_else(|| StoreError::Corrupt(format!("signing key {}", record.id)))?;
            Ok((record.id.clone(), seed))
        };
        records.iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a key; gives what is to be written.
    ///
    /// # Errors
    /// When the system gives no randomness, or two keys are in use already.
    pub(super) fn begin(&mut self, now_ms: u64) -> Result<Batch, StoreError> {
        if self.0.len() > 1 {
            return Err(StoreError::Failed(
                "two signing keys are in use: finish that rotation first".to_owned(),
            ));
        }
        let seed = fresh()?;
        let id = format!("{now_ms:020}-{}", SigningKey::from_seed(&seed).public());
        let kept = Kept {
            seed: BASE64.encode(seed),
            created_ms: now_ms,
        };
        let batch = Batch::at(now_ms).put(Kind::SigningKey, &id, &kept, IfMatch::Absent)?;
        self.0.insert(id, seed);
        Ok(batch)
    }

    /// Leaves the newest key only; gives what is to be written.
    ///
    /// # Errors
    /// When one key is in use.
    pub(super) fn finish(&mut self, now_ms: u64) -> Result<Batch, StoreError> {
        let Some(newest) = self.0.pop_last().filter(|_| !self.0.is_empty()) else {
            return Err(StoreError::Failed(
                "one signing key is in use: there is no rotation to finish".to_owned(),
            ));
        };
        let gone = std::mem::take(&mut self.0);
        self.0.extend([newest]);
        Ok(gone.into_keys().fold(Batch::at(now_ms), |batch, id| {
            batch.and(Write::Delete {
                kind: Kind::SigningKey,
                id,
                if_match: IfMatch::Any,
            })
        }))
    }

    /// All keys of both.
    pub(super) fn with(&self, other: &Self) -> Self {
        let both = self.0.iter().chain(&other.0);
        Self(both.map(|(id, seed)| (id.clone(), *seed)).collect())
    }

    /// What proxies believe.
    #[must_use]
    pub fn public(&self) -> Vec<PublicKey> {
        self.signing().iter().map(SigningKey::public).collect()
    }

    /// What signs.
    pub(super) fn signing(&self) -> Vec<SigningKey> {
        self.0.values().map(SigningKey::from_seed).collect()
    }
}
