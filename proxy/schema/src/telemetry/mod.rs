//! What a request leaves behind.

pub mod audit;
pub mod counts;
pub mod frame;
pub mod histogram;
pub mod names;
pub mod record;
pub mod split;
