//! Weir's data plane: listeners, the request engine, upstream IO, reload and admin.
//!
//! Follow a request from `listen/accept.rs` to `engine/serve.rs`; follow a configuration from `reload.rs` to `live.rs`.

mod admin;
mod boot;
mod claims;
mod clock;
mod downstream;
mod engine;
mod events;
mod handover;
mod listen;
mod live;
mod meter;
mod pace;
mod process;
mod random;
mod reload;
mod supervisor;
mod switches;
mod sync;
mod telemetry;
mod upstream;

pub use boot::{ProxyOptions, StartError, check_files, read_document, run_proxy};
pub use sync::pushed::ControlOptions;
pub use sync::trial::{Trial, Tried};
