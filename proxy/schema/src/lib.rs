//! The contract of Weir's processes: config documents (raw, checked, diff), refusal codes, telemetry names and records.

pub mod codes;
pub mod config;
pub mod ids;
pub mod push;
pub mod telemetry;
