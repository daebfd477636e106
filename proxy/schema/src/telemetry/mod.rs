//! What a request leaves behind.

pub mod audit;
pub mod names;
pub mod record;
