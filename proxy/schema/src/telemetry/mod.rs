//! What a request leaves behind.

pub mod names;
pub mod record;
