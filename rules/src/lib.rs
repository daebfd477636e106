//! A native SecLang engine: rule files in, an immutable [`RuleSet`] out, and one [`Transaction`] per request.
//!
//! Regexes run in linear time (regex-automata over bytes, `(?s)`), parsers are bounded, and the work of a transaction
//! has a budget: no input can make the engine panic or stall.

mod bits;
mod bodies;
mod collections;
mod compile;
mod engine;
mod filter;
#[cfg(feature = "ftw")]
pub mod ftw;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod injection;
mod operators;
mod seclang;
mod sources;
mod transformations;
mod variables;

pub use collections::{Collections, CollectionsPool, CollectionsUse};
pub use compile::{Audit, Compiled, Overlay, RuleChoice, RuleSet, compile, compile_with};
pub use engine::{
    Connection, Decision, Field, HITS_MAX, Hit, Mode, Options, Report, RequestLine, RuleMatch, Transaction,
    Verdict,
};
pub use operators::Patterns;
pub use seclang::{Diagnostic, Severity};
pub use sources::{Disk, Files, Source, baseline};
