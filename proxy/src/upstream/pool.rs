//! Run-time state of a pool of endpoints: it outlives configuration swaps, keyed by pool and endpoint.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_decide::balance::{EndpointView, pick};
use weir_decide::retry::Budget;
use weir_schema::config::checked::{Endpoint, Pool, UpstreamProtocol};

use super::connect::UpstreamStream;
use super::h2_pool::H2Pool;
use crate::clock;

/// One endpoint, resolved to one address.
pub(crate) struct EndpointState {
    /// What the configuration says.
    pub(crate) endpoint: Endpoint,
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// Requests in flight.
    pub(crate) in_flight: AtomicU32,
    /// Last word of the active checks; true without checks.
    pub(crate) healthy: AtomicBool,
    /// HTTP/2 connections.
    pub(crate) h2: H2Pool,
    idle: Mutex<Vec<IdleConnection>>,
}

struct IdleConnection {
    stream: UpstreamStream,
    since: Instant,
}

impl EndpointState {
    pub(crate) fn new(endpoint: Endpoint, address: SocketAddr) -> Self {
        Self {
            endpoint,
            address,
            in_flight: AtomicU32::new(0),
            healthy: AtomicBool::new(true),
            h2: H2Pool::default(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// A connection that was used before and is still usable, the warmest first.
    pub(crate) fn take_idle(&self, idle_timeout: Duration) -> Option<UpstreamStream> {
        let now = clock::recent();
        loop {
            let IdleConnection { mut stream, since } =
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if now.duration_since(since) < idle_timeout && stream.is_quiet() {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection for later. Above `max` the new one is closed.
    pub(crate) fn put_idle(&self, stream: UpstreamStream, max: u32) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < max as usize {
            idle.push(IdleConnection {
                stream,
                since: clock::recent(),
            });
        }
    }

    /// Closes connections that were idle for longer than `idle_timeout`, or that the upstream closed.
    pub(crate) fn sweep(&self, idle_timeout: Duration) {
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain_mut(|kept| now.duration_since(kept.since) < idle_timeout && kept.stream.is_quiet());
        drop(idle);
        self.h2.sweep(idle_timeout);
    }

    /// Idle connections now, and all of HTTP/2.
    pub(crate) fn idle_count(&self) -> usize {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        idle + self.h2.count()
    }
}

/// Counts a request in flight at an endpoint.
pub(crate) struct InFlight(pub(crate) Arc<EndpointState>);

impl InFlight {
    pub(crate) fn enter(state: &Arc<EndpointState>) -> Self {
        state.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(state))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A pool with its endpoints' state.
pub(crate) struct PoolState {
    /// What the configuration says.
    pub(crate) pool: Arc<Pool>,
    /// Its endpoints.
    pub(crate) endpoints: arc_swap::ArcSwap<Vec<Arc<EndpointState>>>,
    /// Position of round robin.
    pub(crate) cursor: AtomicUsize,
    /// Retries that are left.
    pub(crate) budget: Arc<Budget>,
    /// How to encrypt.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    /// What is counted.
    pub(crate) metrics: crate::telemetry::registry::PoolMetrics,
}

impl PoolState {
    /// Chooses an endpoint; `tried` is the one that just failed.
    pub(crate) fn pick(&self, tried: Option<usize>, random: u64) -> Option<(usize, Arc<EndpointState>)> {
        let endpoints = self.endpoints.load();
        let views: smallvec::SmallVec<[EndpointView; 16]> = endpoints
            .iter()
            .map(|state| EndpointView {
                weight: state.endpoint.weight,
                in_flight: state.in_flight.load(Ordering::Relaxed),
                healthy: state.healthy.load(Ordering::Relaxed),
            })
            .collect();
        let index = pick(self.pool.balance, &views, &self.cursor, random, tried)?;
        Some((index, Arc::clone(endpoints.get(index)?)))
    }

    /// Whether requests go out as HTTP/2.
    pub(crate) fn speaks_h2(&self) -> bool {
        self.pool.protocol == UpstreamProtocol::H2
    }

    /// How to encrypt, and the name to verify.
    pub(crate) fn tls(&self) -> Option<(&Arc<rustls::ClientConfig>, &str)> {
        Some((self.tls.as_ref()?, self.pool.tls.as_ref()?.server_name.as_str()))
    }
}
