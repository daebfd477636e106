//! Bearer tokens (RFC 7519) made without the library that the proxy checks them with.

use rcgen::{KeyPair, PKCS_ED25519, SigningKey};
use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 for URLs without padding (RFC 4648 section 5).
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_u32;
        for index in 0..3 {
            bits = bits << 8 | u32::from(group.get(index).copied().unwrap_or(0));
        }
        for index in 0..=group.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * index) & 63) as usize]));
        }
    }
    text
}

/// HMAC with SHA-256 (RFC 2104).
fn hmac_sha256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut key = [0_u8; 64];
    if secret.len() > 64 {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let pad = |byte: u8| key.map(|part| part ^ byte);
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner);
    outer.finalize().to_vec()
}

/// Claims with an end an hour from now.
fn claims(claims: &[(&str, &str)]) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut value = serde_json::json!({ "exp": now.expect("after 1970").as_secs() + 3600 });
    for (name, text) in claims {
        value[*name] = (*text).into();
    }
    value.to_string()
}

fn signed(algorithm: &str, body: &[(&str, &str)], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let head = serde_json::json!({ "alg": algorithm, "typ": "JWT" }).to_string();
    let text = format!(
        "{}.{}",
        base64url(head.as_bytes()),
        base64url(claims(body).as_bytes())
    );
    format!("{text}.{}", base64url(&sign(text.as_bytes())))
}

/// A token signed with a shared secret.
pub fn hs256(secret: &str, claims: &[(&str, &str)]) -> String {
    signed("HS256", claims, |text| hmac_sha256(secret.as_bytes(), text))
}

/// A key pair for Ed25519.
pub struct Ed25519(KeyPair);

impl Ed25519 {
    /// A new one.
    pub fn generate() -> Self {
        Self(KeyPair::generate_for(&PKCS_ED25519).expect("key generation"))
    }

    /// PEM of the public key.
    pub fn public_pem(&self) -> String {
        self.0.public_key_pem()
    }

    /// A signed token.
    pub fn token(&self, claims: &[(&str, &str)]) -> String {
        signed("EdDSA", claims, |text| self.0.sign(text).expect("a signature"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_standards() {
        assert_eq!(base64url(b"f"), "Zg");
        assert_eq!(base64url(b"foob"), "Zm9vYg");
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
        // RFC 4231 test case 2.
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(
            crate::hex(&mac),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
