//! How much may come: GCRA buckets in a table of fixed size, and the header fields that tell clients.

mod gcra;
mod header;
mod key;
mod table;

pub use gcra::GcraParams;
pub use header::rate_limit_fields;
pub use key::{ClaimVerifier, address_key, key_hash, key_value};
pub use table::{Admission, Check, LimitState, Refused, Table};
