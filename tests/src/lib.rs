//! The harness of Weir's end-to-end tests: a `weir` process under test, an origin that records what reaches it, and clients
//! that can say exactly what they mean, also when that is wrong.
//!
//! A step that fails panics with what was expected: in a test the panic is the report.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::unwrap_used)]

pub mod chromium;
pub mod config;
pub mod control;
pub mod crs;
pub mod h1;
pub mod h2_origin;
pub mod h2c;
pub mod h2raw;
pub mod load;
pub mod operator;
pub mod origin;
pub mod origin_process;
pub mod pki;
pub mod socket;
pub mod tls;
pub mod token;
pub mod wait;
pub mod weir;

/// SHA-256 of `data` in lower-case hex.
pub fn sha256_hex(data: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(data))
}

/// Lower-case hex of `data`.
pub(crate) fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `length` bytes that do not repeat within 64 KiB, so that a lost, doubled or moved piece changes the hash. The same `seed`
/// gives the same bytes.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64: period 2^64 - 1, plenty for data that only has to be irregular.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
