//! Request bodies to variables. Every parser is iterative and bounded; what it does not understand is an error that
//! rules can see, never a silent skip.

mod json;
mod multipart;
mod urlencoded;
mod xml;

pub(crate) use json::parse as json;
pub(crate) use multipart::{boundary, parse as multipart};
pub(crate) use urlencoded::parse as urlencoded;
pub(crate) use xml::parse as xml;

use crate::variables::Var;

/// Why a body could not be read.
pub(crate) type Fault = &'static str;

/// What a parser found: `(variable, name, value)`; answers false when no more is taken.
pub(crate) type Sink<'a> = dyn FnMut(Var, &[u8], &[u8]) -> bool + 'a;

/// The answer when the sink takes no more.
pub(crate) const TOO_MANY: Fault = "too many arguments";
