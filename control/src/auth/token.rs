//! A token: `weir_<id>_<secret>`. The id is public; of the secret only its Argon2id hash (RFC 9106) is kept.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use super::{Role, Scope};

/// Begins a token, so that it is known where it leaks.
const PREFIX: &str = "weir_";
/// Bytes of a token, at most.
pub(super) const TOKEN_BYTES_MAX: usize = 128;

/// What is kept of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenRecord {
    /// What it may do.
    pub role: Role,
    /// To what.
    #[serde(flatten)]
    pub scope: Scope,
    /// What it is for.
    pub note: String,
    /// Argon2id, in PHC form.
    pub hash: String,
    /// The token that made it.
    pub created_by: String,
    /// Not valid from then on, Unix time in milliseconds.
    pub expires_ms: Option<u64>,
    /// Since when it is not valid any more, Unix time in milliseconds.
    pub revoked_ms: Option<u64>,
}

impl TokenRecord {
    /// Whether it is valid at a time.
    #[must_use]
    pub fn is_valid(&self, now_ms: u64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}

/// A fresh token, before it is kept.
pub struct NewSecret {
    /// Its id.
    pub id: String,
    /// The whole token; shown once.
    pub token: String,
    /// What is kept of it.
    pub hash: String,
}

impl NewSecret {
    /// Makes one; takes tens of milliseconds.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn make() -> Result<Self, String> {
        let failed = |_| "the system gives no random bytes".to_owned();
        let (mut id, mut secret, mut salt) = ([0; 8], [0; 32], [0; 16]);
        rand::fill(&mut id).map_err(failed)?;
        rand::fill(&mut secret).map_err(failed)?;
        rand::fill(&mut salt).map_err(failed)?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = BASE64.encode(secret);
        let salt = SaltString::encode_b64(&salt).map_err(|error| error.to_string())?;
        let hash = Argon2::default()
            .hash_password(secret.as_bytes(), &salt)
            .map_err(|error| error.to_string())?
            .to_string();
        Ok(Self {
            token: format!("{PREFIX}{id}_{secret}"),
            id,
            hash,
        })
    }
}

/// The id and the secret of a token.
pub(super) fn split(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let fits = token.len() <= TOKEN_BYTES_MAX && id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then_some((id, secret))
}

/// Whether a secret is the one of a hash; takes tens of milliseconds.
pub(super) fn verifies(hash: &str, secret: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(secret.as_bytes(), &hash)
            .is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_verifies_against_its_own_hash_only() {
        let (a, b) = (NewSecret::make().unwrap(), NewSecret::make().unwrap());
        let (id, secret) = split(&a.token).unwrap();
        assert_eq!(id, a.id);
        assert!(a.hash.starts_with("$argon2id$"), "{}", a.hash);
        assert!(!a.hash.contains(secret));
        assert!(verifies(&a.hash, secret));
        assert!(!verifies(&b.hash, secret));
        assert!(!verifies("", secret));
    }

    #[test]
    fn what_is_no_token_has_no_parts() {
        let long = format!("weir_0123456789abcdef_{}", "x".repeat(TOKEN_BYTES_MAX));
        for text in [
            "",
            "weir_",
            "weir_0123456789abcdef",
            "weir_x_y",
            "other_0123456789abcdef_s",
            long.as_str(),
        ] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
