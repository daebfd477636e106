//! Weir's control process: it owns the configuration, pushes it to all proxies as one signed version, and collects what they report.

pub mod api;
pub mod auth;
pub mod boot;
pub mod bundle;
mod clock;
pub mod collect;
pub mod dashboard;
pub mod push;
pub mod rollouts;
pub mod slo;
pub mod store;
pub mod versions;
