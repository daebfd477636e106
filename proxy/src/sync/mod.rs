//! Versions at rest.

pub(crate) mod last_good;
