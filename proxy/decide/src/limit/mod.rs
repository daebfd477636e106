//! How much may come: GCRA buckets in a table of fixed size, and the header fields that tell clients.

mod gcra;
mod header;
mod in_flight;
mod key;
mod policy;
mod table;

pub use gcra::GcraParams;
pub use header::limit_field;
use header::policy_field;
pub use in_flight::{InFlight, InFlightPermit};
pub use key::{ClaimVerifier, address_key, key_hash, key_value};
pub use policy::{Checks, GlobalLimit, TenantLimits};
pub use table::{Admission, Check, LimitState, Refused, Table};
