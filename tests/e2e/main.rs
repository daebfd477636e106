//! Facts about a running `weir`, seen from outside: real sockets, real clients, a recording origin.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod audit;
mod basics;
mod bodies;
mod command;
mod config_keys;
mod connections;
mod control_cli;
mod crs_suite;
mod explain;
mod failover;
mod failover_ledger;
mod frames;
mod framing;
mod geo;
mod h2;
mod h2_floods;
mod h2_upstream;
mod last_good;
mod limits;
mod listeners;
mod messages;
mod observe;
mod outlier;
mod overlay;
mod pools;
mod push;
mod quarantine;
mod reload;
mod retry;
mod slo_alertmanager;
mod slo_promtool;
mod slow;
mod suggest;
mod tenants;
mod tls;
mod tour;
mod upgrade;
mod upstream;
mod waf;
mod waf_response;
mod waf_switches;
mod waf_unreadable;

mod site;
use site::Site;
