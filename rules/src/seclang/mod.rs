//! SecLang text to directives with positions.

mod actions;
mod diagnostic;
mod lexer;
mod names;
mod targets;

pub(crate) use actions::{Action, split_actions};
pub(crate) use diagnostic::Place;
pub use diagnostic::{Diagnostic, Severity};
pub(crate) use lexer::{Arg, Directive, directives};
pub(crate) use names::nearest;
pub(crate) use targets::{RawSelector, RawTarget, split_targets, target_of};
