//! Claims of bearer tokens, once their signature is verified.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::{collections::HashMap, fs};

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use weir_decide::limit::ClaimVerifier;
use weir_schema::config::checked::KeySource;

/// Keys that are kept parsed.
const KEYS_MAX: usize = 1024;

/// Keys by file and algorithm; `None` for a file that holds none.
type KnownKeys = HashMap<(PathBuf, String), Option<Arc<DecodingKey>>>;

/// Verifies bearer tokens; keys are read once per file.
#[derive(Default)]
pub(crate) struct Claims {
    keys: RwLock<KnownKeys>,
}

impl Claims {
    /// Forgets keys, so that changed files are read again.
    pub(crate) fn forget(&self) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn key(&self, path: &Path, algorithm: &str) -> Option<Arc<DecodingKey>> {
        let id = (path.to_owned(), algorithm.to_owned());
        if let Some(known) = self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return known.clone();
        }
        let parsed = read_key(path, algorithm).ok().map(Arc::new);
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() < KEYS_MAX {
            keys.insert(id, parsed.clone());
        }
        parsed
    }
}

/// Reads the key that a document names.
///
/// # Errors
/// Why tokens could not be verified with it.
pub(crate) fn read_key(path: &Path, algorithm: &str) -> Result<DecodingKey, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let key = match algorithm {
        "HS256" => Ok(DecodingKey::from_secret(bytes.trim_ascii())),
        "RS256" => DecodingKey::from_rsa_pem(&bytes),
        "ES256" => DecodingKey::from_ec_pem(&bytes),
        _ => DecodingKey::from_ed_pem(&bytes),
    };
    key.map_err(|error| format!("no key for {algorithm}: {error}"))
}

impl ClaimVerifier for Claims {
    fn claim(&self, source: &KeySource, bearer: &[u8]) -> Option<String> {
        let KeySource::JwtClaim {
            claim,
            key_file,
            algorithm,
        } = source
        else {
            return None;
        };
        let key = self.key(key_file, algorithm)?;
        let algorithm = match algorithm.as_str() {
            "HS256" => Algorithm::HS256,
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            _ => Algorithm::EdDSA,
        };
        let mut validation = Validation::new(algorithm);
        validation.validate_aud = false;
        let token = std::str::from_utf8(bearer).ok()?;
        let decoded = jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation).ok()?;
        match decoded.claims.get(claim)? {
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}
