//! The messages of a session between a proxy and control, and the token that a proxy joins with.
//!
//! The proxy opens one HTTP/2 exchange, `POST /push/v1/session`: what it says is the request's body, what control says the
//! response's. A message is its length in four bytes, the highest first, and that many bytes of JSON. An unknown `type` is
//! passed over.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Head, ObjectHash, PublicKey, Signed};

/// Bytes of a message.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Begins a token, so that it is known where it leaks.
const TOKEN_PREFIX: &str = "weirjoin1.";

/// What a proxy says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Up {
    /// First of all.
    Hello {
        /// The newest format that it reads and writes.
        format: u32,
        /// Version of the program.
        program: String,
        /// Start of its process, Unix time in milliseconds.
        started_ms: u64,
        /// What it serves, if that came from control.
        serving: Option<Head>,
        /// What it refused last: there is no use in sending that again.
        refused: Option<Head>,
    },
    /// A version is served.
    Ack {
        /// Which.
        head: Head,
        /// Generation of the process.
        generation: u64,
        /// From the message to the swap, milliseconds.
        compile_ms: u64,
        /// Bytes of objects that were fetched for it.
        fetched_bytes: u64,
        /// Tenants that are set aside in it.
        quarantined: Vec<String>,
    },
    /// A version is not served; the one before goes on.
    Nack {
        /// Which.
        head: Option<Head>,
        /// Why: objects with `message`, and `code` or `pointer` where there is one.
        reasons: Vec<Value>,
    },
    /// Telemetry, oldest first.
    Frames {
        /// Frames.
        frames: Vec<Value>,
    },
    /// The answer to a ping.
    Pong {
        /// The ping's.
        number: u64,
    },
    /// Of a newer format.
    #[serde(other)]
    Unknown,
}

/// What control says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Down {
    /// First of all.
    Welcome {
        /// The newest format that it reads and writes.
        format: u32,
        /// Control's clock, Unix time in milliseconds.
        now_ms: u64,
    },
    /// Serve this.
    Version {
        /// The version.
        signed: Signed,
        /// Objects that the proxy probably lacks; others it fetches.
        objects: Vec<InlineObject>,
    },
    /// Frames are kept for good.
    FramesKept {
        /// Epoch of the frames.
        epoch: u64,
        /// The last of them.
        seq: u64,
    },
    /// Are you there?
    Ping {
        /// To be given back.
        number: u64,
    },
    /// Of a newer format.
    #[serde(other)]
    Unknown,
}

/// A small object that travels with its version. It is named by what it hashes to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InlineObject {
    /// The object's bytes, which are UTF-8.
    pub text: String,
}

/// A message as it travels.
///
/// # Errors
/// When it is too long.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, TooLong> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).map_err(|_| TooLong)?;
    let length = bytes.len() - 4;
    if length > MESSAGE_BYTES_MAX {
        return Err(TooLong);
    }
    let length = u32::try_from(length).map_err(|_| TooLong)?;
    if let Some(head) = bytes.first_chunk_mut() {
        *head = length.to_be_bytes();
    }
    Ok(bytes)
}

/// A message is longer than [`MESSAGE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message has at most {MESSAGE_BYTES_MAX} bytes")]
pub struct TooLong;

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub struct Messages {
    buffer: Vec<u8>,
}

impl Messages {
    /// Takes what arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message's JSON, if it is whole.
    ///
    /// # Errors
    /// When it is too long: the session is over.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let Some(head) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| TooLong)?;
        if length > MESSAGE_BYTES_MAX {
            return Err(TooLong);
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        let rest = self.buffer.split_off(4 + length);
        let mut message = std::mem::replace(&mut self.buffer, rest);
        message.drain(..4);
        Ok(Some(message))
    }
}

/// What a proxy needs to join: who it is, its secret, and whom to believe. Printed once, when control makes the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// Name of the proxy.
    pub node: String,
    /// Its region.
    pub region: String,
    /// Which control's proxies it belongs to.
    pub deployment: String,
    /// Its bearer token.
    pub secret: String,
    /// Keys of versions.
    pub keys: Vec<PublicKey>,
    /// SHA-256 of control's certificate authority (DER), where it is control's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<ObjectHash>,
}

impl JoinToken {
    /// As text.
    #[must_use]
    pub fn encode(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{TOKEN_PREFIX}{}", BASE64.encode(json))
    }

    /// From text; `None` if it is not a token.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let json = BASE64.decode(text.trim().strip_prefix(TOKEN_PREFIX)?).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_in_whatever_pieces() {
        let bytes: Vec<u8> = (0..3_u64)
            .flat_map(|number| encode(&Down::Ping { number }).unwrap())
            .collect();
        let mut messages = Messages::default();
        let mut numbers = Vec::new();
        for byte in bytes {
            messages.feed(&[byte]);
            while let Some(json) = messages.take().unwrap() {
                match serde_json::from_slice(&json).unwrap() {
                    Down::Ping { number } => numbers.push(number),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(numbers, [0, 1, 2]);
        messages.feed(&[0xff; 4]);
        assert_eq!(messages.take(), Err(TooLong));
    }

    #[test]
    fn a_message_of_a_newer_format_is_passed_over() {
        let text = r#"{"type":"dance","tempo":3}"#;
        assert!(matches!(serde_json::from_str(text), Ok(Down::Unknown)));
        assert!(matches!(serde_json::from_str(text), Ok(Up::Unknown)));
        let text = r#"{"type":"ping","number":3,"mood":"good"}"#;
        assert!(matches!(serde_json::from_str(text), Ok(Down::Ping { number: 3 })));
    }

    #[test]
    fn a_join_token_reads_back() {
        let token = JoinToken {
            node: "eu-1".to_owned(),
            region: "eu".to_owned(),
            deployment: "d".to_owned(),
            secret: "s".to_owned(),
            keys: vec![super::super::SigningKey::from_seed(&[1; 32]).public()],
            authority: None,
        };
        assert_eq!(JoinToken::decode(&token.encode()), Some(token));
        assert_eq!(JoinToken::decode("weirjoin1.x"), None);
    }
}
