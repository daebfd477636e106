//! A socket becomes a guarded, possibly encrypted stream.

pub(crate) mod accept;
pub(crate) mod certs;
mod gather;
pub(crate) mod h2_watch;
pub(crate) mod inherit;
pub(crate) mod leave;
pub(crate) mod proxy_protocol;
pub(crate) mod serve_h1;
pub(crate) mod serve_h2;
pub(crate) mod socket;
pub(crate) mod watchdog;
