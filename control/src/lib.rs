//! Weir's control process: it owns the configuration, pushes it to all proxies as one signed version, and collects what they report.

pub mod store;
