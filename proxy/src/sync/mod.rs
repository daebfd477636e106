//! Which version is served first, and which is served when another one cannot be.

pub(crate) mod first;
pub(crate) mod last_good;
pub(crate) mod origin;
pub(crate) mod pushed;
pub(crate) mod trial;
