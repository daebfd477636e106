//! Facts about a running `weir`, seen from outside: real sockets, real clients, a recording origin.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
