//! Facts about a running `weir`, seen from outside: real sockets, real clients, a recording origin.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[cfg(feature = "pending")]
mod basics;
#[cfg(feature = "pending")]
mod bodies;
#[cfg(feature = "pending")]
mod config_keys;
#[cfg(feature = "pending")]
mod framing;
#[cfg(feature = "pending")]
mod geo;
#[cfg(feature = "pending")]
mod h2;
#[cfg(feature = "pending")]
mod limits;
#[cfg(feature = "pending")]
mod listeners;
#[cfg(feature = "pending")]
mod observe;
#[cfg(feature = "pending")]
mod pools;
#[cfg(feature = "pending")]
mod reload;
#[cfg(feature = "pending")]
mod retry;
#[cfg(feature = "pending")]
mod slow;
#[cfg(feature = "pending")]
mod tenants;
#[cfg(feature = "pending")]
mod tls;
#[cfg(feature = "pending")]
mod upgrade;
#[cfg(feature = "pending")]
mod waf;

#[cfg(feature = "pending")]
mod site;
#[cfg(feature = "pending")]
use site::Site;
