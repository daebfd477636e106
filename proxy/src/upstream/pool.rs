//! Run-time state of a pool of endpoints: it outlives configuration swaps, keyed by pool and endpoint.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_decide::balance::{EndpointView, pick};
use weir_decide::outlier::{Cause, Standing, may_eject};
use weir_decide::retry::{Budget, Next};
use weir_schema::config::checked::{Endpoint, Pool, UpstreamProtocol};

use super::UpstreamFault;
use super::connect::UpstreamStream;
use super::h2_pool::H2Pool;
use super::outlier::Watch;
use crate::{clock, random};

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
    /// What requests tell of it.
    pub(crate) watch: Arc<Watch>,
    /// Last value of its gauge plus one; 0: none yet.
    pub(crate) published: AtomicU8,
    /// HTTP/2 connections.
    pub(crate) h2: H2Pool,
    idle: Mutex<Vec<IdleConnection>>,
}

struct IdleConnection {
    stream: UpstreamStream,
    since: Instant,
}

impl EndpointState {
    pub(crate) fn new(endpoint: Endpoint, address: SocketAddr, watch: Arc<Watch>) -> Self {
        Self {
            endpoint,
            address,
            in_flight: AtomicU32::new(0),
            healthy: AtomicBool::new(true),
            watch,
            published: AtomicU8::new(0),
            h2: H2Pool::default(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Whether requests go to it while there is a choice.
    pub(crate) fn takes_requests(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && !self.watch.is_ejected()
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

/// An endpoint that was chosen.
pub(crate) struct Choice {
    /// Its position in the pool.
    pub(crate) index: usize,
    pub(crate) endpoint: Arc<EndpointState>,
    /// How good a choice it is; the best there is.
    pub(crate) standing: Standing,
    /// Another one is in the choice.
    pub(crate) has_alternative: bool,
}

impl Choice {
    /// How long to wait for a connection to it.
    pub(crate) fn connect_patience(&self, max: Duration) -> Duration {
        if self.has_alternative {
            self.endpoint.watch.with(|record, _| record.connect_patience(max))
        } else {
            max
        }
    }
}

impl PoolState {
    /// Chooses an endpoint; `tried` is the one that just failed. Among those that checks found healthy the ones in the
    /// choice come first, then those that answer badly, then the dead; a first try may be the one that brings an endpoint
    /// back.
    pub(crate) fn pick(&self, tried: Option<usize>, random: u64) -> Option<Choice> {
        let endpoints = self.endpoints.load();
        let mut best = None;
        let mut views: smallvec::SmallVec<[EndpointView; 16]> = smallvec::SmallVec::new();
        let mut standings: smallvec::SmallVec<[Standing; 16]> = smallvec::SmallVec::new();
        for (index, state) in endpoints.iter().enumerate() {
            let healthy = state.healthy.load(Ordering::Relaxed);
            let standing = state.watch.standing();
            if standing == Standing::Poor && healthy && tried.is_none() && self.take_trial(state) {
                return Some(Choice {
                    index,
                    endpoint: Arc::clone(state),
                    standing,
                    has_alternative: false,
                });
            }
            if healthy {
                best = Some(best.map_or(standing, |best: Standing| best.min(standing)));
            }
            standings.push(standing);
            views.push(EndpointView {
                weight: state.endpoint.weight,
                in_flight: state.in_flight.load(Ordering::Relaxed),
                healthy,
            });
        }
        let best = best?;
        for (view, standing) in views.iter_mut().zip(&standings) {
            view.healthy &= *standing == best;
        }
        let index = pick(self.pool.balance, &views, &self.cursor, random, tried)?;
        let open = views.iter().filter(|view| view.healthy).count();
        Some(Choice {
            index,
            endpoint: Arc::clone(endpoints.get(index)?),
            standing: best,
            has_alternative: best == Standing::In && open > 1,
        })
    }

    /// What is known of a choice after the endpoint at `tried` failed.
    pub(crate) fn next(choice: Option<&Choice>, tried: usize) -> Next {
        let other = choice.filter(|choice| choice.index != tried && choice.standing == Standing::In);
        Next {
            open: other.is_some(),
            trusted: other.is_some_and(|choice| choice.endpoint.watch.is_trusted()),
        }
    }

    fn take_trial(&self, state: &EndpointState) -> bool {
        state
            .watch
            .with(|record, now_ns| record.take_trial(now_ns, &self.pool.outlier))
    }

    /// Takes what a failed try tells of its endpoint. `stale`: it says nothing but that an old connection had ended.
    pub(crate) fn failed(&self, endpoint: &EndpointState, fault: UpstreamFault, stale: bool) {
        match fault {
            UpstreamFault::Connect | UpstreamFault::ConnectTimeout => {
                let policy = &self.pool.outlier;
                let fails = |record: &mut weir_decide::outlier::Outlier, now_ns| {
                    record.connect_failed(now_ns, policy, random::next())
                };
                if endpoint.watch.with(fails) {
                    self.metrics.ejected(Cause::Connect);
                }
            }
            UpstreamFault::Left | UpstreamFault::Refused => {}
            UpstreamFault::Protocol | UpstreamFault::Reset | UpstreamFault::Timeout if stale => {}
            UpstreamFault::Protocol | UpstreamFault::Reset | UpstreamFault::Timeout => {
                self.answered_badly(endpoint);
            }
        }
    }

    /// Takes what the status of an answer tells of its endpoint: 502, 503 and 504 say that it cannot do its work
    /// (RFC 9110 section 15.6).
    pub(crate) fn answered(&self, endpoint: &EndpointState, status: u16) {
        if matches!(status, 502..=504) {
            self.answered_badly(endpoint);
        } else {
            endpoint.watch.answered_well();
        }
    }

    fn answered_badly(&self, endpoint: &EndpointState) {
        let endpoints = self.endpoints.load();
        let out = endpoints.iter().filter(|state| !state.takes_requests()).count();
        let policy = &self.pool.outlier;
        let may = may_eject(out, endpoints.len(), policy);
        let ejected = endpoint
            .watch
            .with(|record, now_ns| record.bad_answer(now_ns, policy, random::next(), may));
        if ejected {
            self.metrics.ejected(Cause::Answers);
        }
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
