//! Proxies that may join, and how they show that they are.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use weir_schema::push::ObjectHash;

use crate::store::{Kind, Store, StoreError};

/// A proxy that may join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyRecord {
    /// The region it stands in.
    pub region: String,
    /// SHA-256 of its secret, which is random and long: a slow hash would add nothing.
    pub secret: ObjectHash,
    /// It may not join any more.
    #[serde(default)]
    pub revoked: bool,
    /// When it was made, Unix time in milliseconds.
    pub created_ms: u64,
}

/// A proxy that showed who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its name.
    pub node: String,
    /// Its region.
    pub region: String,
}

/// Makes a proxy; the second is its secret, which is kept nowhere.
///
/// # Errors
/// When the system gives no randomness.
pub fn new_proxy(node: &str, region: &str, now_ms: u64) -> Result<(ProxyRecord, String), StoreError> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_| StoreError::Failed("the system gives no randomness".to_owned()))?;
    // The name is in it, so that it is found without a search.
    let secret = format!("{node}:{}", BASE64.encode(random));
    let record = ProxyRecord {
        region: region.to_owned(),
        secret: ObjectHash::of(secret.as_bytes()),
        revoked: false,
        created_ms: now_ms,
    };
    Ok((record, secret))
}

fn known(store: &dyn Store, node: &str) -> Result<Option<ProxyRecord>, StoreError> {
    let record = store.get(Kind::Proxy, node)?;
    let record: Option<ProxyRecord> = record.map(|record| record.json()).transpose()?;
    Ok(record.filter(|record| !record.revoked))
}

/// Who has a secret; nobody if it is wrong or revoked.
///
/// # Errors
/// When the store fails.
pub(super) fn by_secret(store: &Arc<dyn Store>, secret: &str) -> Result<Option<Joined>, StoreError> {
    let Some((node, _)) = secret.split_once(':') else {
        return Ok(None);
    };
    let given = ObjectHash::of(secret.as_bytes());
    let record = known(&**store, node)?
        .filter(|record| verify_slices_are_equal(record.secret.as_bytes(), given.as_bytes()).is_ok());
    Ok(record.map(|record| Joined {
        node: node.to_owned(),
        region: record.region,
    }))
}

/// The proxy that one of the names of a client certificate belongs to.
///
/// # Errors
/// When the store fails.
pub(super) fn by_names(store: &Arc<dyn Store>, names: &[String]) -> Result<Option<Joined>, StoreError> {
    for name in names {
        if let Some(record) = known(&**store, name)? {
            return Ok(Some(Joined {
                node: name.clone(),
                region: record.region,
            }));
        }
    }
    Ok(None)
}
