//! Versions at rest.

pub(crate) mod first;
pub(crate) mod last_good;
