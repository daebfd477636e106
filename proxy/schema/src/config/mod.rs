//! One document, in three trust levels: raw (what a file says), checked (what may run), and `Live` in the data plane.

mod check;
pub mod checked;
mod diff;
mod error;
mod parts;
pub mod raw;
mod read;
mod rule;
mod tree;

pub use check::{Document, check, document_value, state_dir_of};
pub use diff::{Change, Diff, DiffEntry, FieldChange, diff};
pub use error::ConfigError;
pub use parts::{CheckedParts, Own, Parts, check_parts};
pub use read::{Findings, read};
pub use rule::json_schema;

/// A commented document that passes the check: the tour of the README.
pub const fn example() -> &'static str {
    include_str!("example.yaml")
}
