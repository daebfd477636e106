//! Finds out whose a token is.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::token::{split, verifies};
use super::{NewSecret, Role, Scope, Throttle, TokenRecord};
use crate::store::{Batch, IfMatch, Kind, NewEvent, Store, StoreError};

/// Tokens whose secrets were verified lately.
const VERIFIED_MAX: usize = 4096;
/// Secrets that are verified at a time: each takes 19 MiB and a core.
const VERIFYING_MAX: usize = 2;
/// One failed login per address in this time, in the long run.
const FAILED_INTERVAL_MS: u64 = 6_000;
/// The file of the first token.
pub const BOOTSTRAP_FILE: &str = "admin.token";

/// Who asks.
#[derive(Debug, PartialEq, Eq)]
pub struct Principal {
    /// Id of the token.
    pub id: String,
    /// What it may do.
    pub role: Role,
    /// To what.
    pub scope: Scope,
    /// Until when, Unix time in milliseconds.
    pub expires_ms: Option<u64>,
}

/// Why nobody is known to ask.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Too many failed logins from the address.
    #[error("too many failed logins from this address")]
    Blocked {
        /// Try again after so long, milliseconds.
        retry_ms: u64,
    },
    /// No token.
    #[error("send a token: `Authorization: Bearer weir_...`")]
    Missing,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A token that is wrong, revoked or expired.
    #[error("the token is wrong, revoked or expired")]
    Wrong,
}

#[derive(Default)]
struct Verified {
    /// By the SHA-256 of the whole token.
    known: HashMap<[u8; 32], Arc<Principal>>,
    /// Grows with each revocation: what was being verified meanwhile is not remembered.
    revocations: u64,
}

/// The tokens of a store.
pub struct Tokens {
    store: Arc<dyn Store>,
    verified: Mutex<Verified>,
    verifying: Semaphore,
    failed: Throttle,
}

impl Tokens {
    /// The tokens of a store. An address may fail `failed_logins` times at once.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, failed_logins: u64) -> Self {
        Self {
            store,
            verified: Mutex::default(),
            verifying: Semaphore::new(VERIFYING_MAX),
            failed: Throttle::new(FAILED_INTERVAL_MS, failed_logins),
        }
    }

    /// Makes the first token, of an admin over everything, when there is none at all, and writes it to a file in `data_dir`
    /// that only its owner can read.
    ///
    /// # Errors
    /// A sentence on what failed.
    pub async fn bootstrap(&self, data_dir: &Path, now_ms: u64) -> Result<(), String> {
        let told = |error: StoreError| error.to_string();
        if self.store.count(Kind::Token).map_err(told)? > 0 {
            return Ok(());
        }
        let secret = NewSecret::make()?;
        // First the file: a token that nobody knows would lock everyone out.
        let path = data_dir.join(BOOTSTRAP_FILE);
        write(&path, &secret.token).map_err(|error| format!("{}: {error}", path.display()))?;
        let record = TokenRecord {
            role: Role::Admin,
            scope: Scope::ALL,
            note: "made at the first start".to_owned(),
            hash: secret.hash,
            created_by: "system".to_owned(),
            expires_ms: None,
            revoked_ms: None,
        };
        let event = NewEvent {
            actor: "system".to_owned(),
            action: "token.create".to_owned(),
            subject: format!("token/{}", secret.id),
            result: "done".to_owned(),
            ..NewEvent::default()
        };
        let batch = Batch::at(now_ms)
            .put(Kind::Token, &secret.id, &record, IfMatch::Absent)
            .map_err(told)?;
        self.store
            .commit(batch.event(event))
            .await
            .map(drop)
            .map_err(told)
    }

    /// Whose an `Authorization` header is.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn verify(
        &self,
        header: Option<&str>,
        address: &str,
        now_ms: u64,
    ) -> Result<Arc<Principal>, AuthError> {
        let header = header.ok_or(AuthError::Missing)?;
        let token = header
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or(AuthError::Missing)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let (known, revocations) = {
            let verified = self.verified();
            (verified.known.get(&digest).cloned(), verified.revocations)
        };
        if let Some(known) =
            known.filter(|known| known.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms))
        {
            return Ok(known);
        }
        self.failed
            .look(address, now_ms)
            .map_err(|retry_ms| AuthError::Blocked { retry_ms })?;
        let principal = self.slowly(token, now_ms).await;
        if matches!(principal, Err(AuthError::Wrong)) {
            // The burst is over with this one; the next is refused before it costs anything.
            let _ = self.failed.take(address, now_ms);
        }
        let principal = principal?;
        let mut verified = self.verified();
        if verified.revocations == revocations {
            if verified.known.len() >= VERIFIED_MAX {
                verified.known.clear();
            }
            verified.known.insert(digest, Arc::clone(&principal));
        }
        Ok(principal)
    }

    async fn slowly(&self, token: &str, now_ms: u64) -> Result<Arc<Principal>, AuthError> {
        let (id, secret) = split(token).ok_or(AuthError::Wrong)?;
        let record = self.store.get(Kind::Token, id)?.ok_or(AuthError::Wrong)?;
        let record: TokenRecord = record.json()?;
        if !record.is_valid(now_ms) {
            return Err(AuthError::Wrong);
        }
        // The semaphore is never closed.
        let _permit = self.verifying.acquire().await.map_err(|_| AuthError::Wrong)?;
        let (hash, secret) = (record.hash, secret.to_owned());
        let right = tokio::task::spawn_blocking(move || verifies(&hash, &secret))
            .await
            .unwrap_or(false);
        if !right {
            return Err(AuthError::Wrong);
        }
        let expires_ms = record.expires_ms;
        Ok(Arc::new(Principal {
            id: id.to_owned(),
            role: record.role,
            scope: record.scope,
            expires_ms,
        }))
    }

    /// Forgets a token that was revoked or changed. Call it when that is committed.
    pub fn forget(&self, id: &str) {
        let mut verified = self.verified();
        verified.revocations += 1;
        verified.known.retain(|_, principal| principal.id != id);
    }

    /// Whether who was verified before still may ask.
    #[must_use]
    pub fn still_valid(&self, principal: &Principal, now_ms: u64) -> bool {
        let record = self.store.get(Kind::Token, &principal.id).ok().flatten();
        record
            .and_then(|record| record.json::<TokenRecord>().ok())
            .is_some_and(|record| record.is_valid(now_ms))
    }

    fn verified(&self) -> MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(path: &Path, token: &str) -> std::io::Result<()> {
    // One that is left from a start that did not come to its end is not valid.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::store::{SqliteOptions, SqliteStore};

    async fn first(folder: &Path) -> (Arc<dyn Store>, Tokens, String) {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&SqliteOptions::new(folder)).unwrap());
        let tokens = Tokens::new(Arc::clone(&store), 10);
        tokens.bootstrap(folder, 1).await.unwrap();
        let token = std::fs::read_to_string(folder.join(BOOTSTRAP_FILE)).unwrap();
        (store, tokens, format!("Bearer {}", token.trim()))
    }

    #[tokio::test]
    async fn the_first_token_is_made_once_for_its_owner_and_is_an_admin_over_everything() {
        let folder = tempfile::tempdir().unwrap();
        let (store, tokens, header) = first(folder.path()).await;
        let mode = std::fs::metadata(folder.path().join(BOOTSTRAP_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let who = tokens.verify(Some(&header), "::1", 2).await.unwrap();
        assert_eq!((who.role, &who.scope), (Role::Admin, &Scope::ALL));
        tokens.bootstrap(folder.path(), 2).await.unwrap();
        assert_eq!(store.count(Kind::Token).unwrap(), 1);
    }

    #[tokio::test]
    async fn failed_logins_block_their_address_and_nobody_who_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, tokens, header) = first(folder.path()).await;
        tokens.verify(Some(&header), "::1", 0).await.unwrap();
        assert!(matches!(
            tokens.verify(None, "::1", 0).await,
            Err(AuthError::Missing)
        ));
        assert!(matches!(
            tokens.verify(Some("Basic eA=="), "::1", 0).await,
            Err(AuthError::Missing)
        ));
        for _ in 0..10 {
            let wrong = tokens
                .verify(Some("Bearer weir_0123456789abcdef_x"), "::1", 0)
                .await;
            assert!(matches!(wrong, Err(AuthError::Wrong)));
        }
        let blocked = tokens.verify(Some("Bearer x"), "::1", 0).await;
        assert!(matches!(blocked, Err(AuthError::Blocked { retry_ms }) if retry_ms <= FAILED_INTERVAL_MS));
        assert!(matches!(
            tokens.verify(Some("Bearer x"), "::2", 0).await,
            Err(AuthError::Wrong)
        ));
        tokens.verify(Some(&header), "::1", 0).await.unwrap();
        assert!(matches!(
            tokens.verify(Some("Bearer x"), "::1", FAILED_INTERVAL_MS).await,
            Err(AuthError::Wrong)
        ));
    }

    #[tokio::test]
    async fn a_revoked_and_an_expired_token_are_wrong_although_they_were_known() {
        let folder = tempfile::tempdir().unwrap();
        let (store, tokens, header) = first(folder.path()).await;
        let who = tokens.verify(Some(&header), "::1", 1).await.unwrap();
        let record = store.get(Kind::Token, &who.id).unwrap().unwrap();
        let mut token: TokenRecord = record.json().unwrap();
        token.expires_ms = Some(100);
        let batch = Batch::at(1)
            .put(Kind::Token, &who.id, &token, IfMatch::Any)
            .unwrap();
        store.commit(batch).await.unwrap();
        tokens.forget(&who.id);
        tokens.verify(Some(&header), "::1", 99).await.unwrap();
        assert!(matches!(
            tokens.verify(Some(&header), "::1", 100).await,
            Err(AuthError::Wrong)
        ));
        token.expires_ms = None;
        token.revoked_ms = Some(50);
        let batch = Batch::at(1)
            .put(Kind::Token, &who.id, &token, IfMatch::Any)
            .unwrap();
        store.commit(batch).await.unwrap();
        tokens.forget(&who.id);
        assert!(matches!(
            tokens.verify(Some(&header), "::2", 1).await,
            Err(AuthError::Wrong)
        ));
        assert!(!tokens.still_valid(&who, 1));
    }
}
