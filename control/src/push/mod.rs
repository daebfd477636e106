//! Pushes versions to proxies: who is there, what each serves, what its region is to serve.

mod fleet;
mod hub;
mod join;
mod outbox;
mod server;
mod session;
mod tls;

pub use fleet::{Fleet, ProxyState, RegionSums};
pub use hub::{FrameSink, Hub, Keeping, Targets};
pub use join::{Joined, ProxyRecord, new_proxy};
pub use server::{PushOptions, PushServer};
