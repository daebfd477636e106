//! Tries upstreams until one answers, as far as the retry gate and the budget allow.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use weir_decide::retry::{Attempt, Cost, backoff, cost, may_retry};
use weir_schema::codes::RefusalCode;

use super::body::HeldBody;
use super::forward::{self, Exchange, Upload};
use super::outgoing::{self, Forwarding};
use super::serve::Stop;
use crate::downstream::Downstream;
use crate::listen::watchdog::Watchdog;
use crate::telemetry::Tally;
use crate::upstream::pool::{Choice, InFlight, PoolState};
use crate::upstream::{ResponseMessage, UpstreamFault, connect, h1::H1Exchange, h2};
use crate::{clock, random};

/// Moves from endpoints that cannot be connected to, before the number and the budget of retries count.
const MOVES_MAX: u8 = 16;

/// An upstream that answered.
pub(crate) struct Answer {
    pub(crate) exchange: Exchange,
    pub(crate) in_flight: InFlight,
    pub(crate) head: ResponseMessage,
}

/// All tries of one request.
pub(crate) struct Attempts<'a> {
    pub(crate) forwarding: &'a Forwarding<'a>,
    pub(crate) held: Option<&'a HeldBody<'a>>,
    pub(crate) deadline: Option<tokio::time::Instant>,
    pub(crate) retry_idempotency_key: bool,
}

/// Tries of a request after its first.
#[derive(Default)]
struct Spent {
    moves: u8,
    retries: u8,
}

/// Why a try failed, and what is known of it.
struct TryFault {
    stop: Stop,
    written: bool,
    reused: bool,
}

impl TryFault {
    /// Before any byte was written.
    fn early(stop: Stop) -> Self {
        Self {
            stop,
            written: false,
            reused: false,
        }
    }
}

impl Attempts<'_> {
    /// Tries until an upstream answers.
    ///
    /// # Errors
    /// The last try's fault, when no further one is allowed.
    pub(crate) async fn run<D: Downstream>(
        &self,
        upload: &mut Upload,
        down: &mut D,
        watchdog: &mut Watchdog,
        tally: &mut Tally<'_>,
    ) -> Result<Answer, Stop> {
        let pool = self.forwarding.pool;
        pool.budget.record_request(clock::recent_ns());
        let connect_by = clock::recent() + pool.pool.connect_total_timeout;
        let mut choice = pool.pick(None, random::next());
        let mut spent = Spent::default();
        loop {
            let Some(chosen) = choice else {
                return Err(Stop::later(RefusalCode::NoHealthyUpstream));
            };
            let tried = chosen.index;
            let fault = match self
                .attempt(&chosen, connect_by, upload, down, watchdog, tally)
                .await
            {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let Stop::Upstream(kind) = fault.stop else {
                return Err(fault.stop);
            };
            tally.upstream_failed(pool, kind);
            // A pooled connection that the origin had closed, or on which it sent more than its last answer, says nothing
            // about this request: no budget, no wait.
            let left_over = matches!(kind, UpstreamFault::Reset | UpstreamFault::Protocol);
            let stale = kind == UpstreamFault::Left || (fault.reused && left_over);
            pool.failed(&chosen.endpoint, kind, stale);
            let may = may_retry(&Attempt {
                method: self.forwarding.request.method(),
                written_any: fault.written,
                proven_unprocessed: matches!(kind, UpstreamFault::Left | UpstreamFault::Refused),
                response_started: false,
                body_replayable: upload.rewind(),
                idempotency_key_opt_in: self.retry_idempotency_key
                    && self.forwarding.request.field(b"idempotency-key").is_some(),
            });
            if self.timed_out() {
                return Err(Stop::refuse(RefusalCode::RouteTimeout));
            }
            // Waiting for the same endpoint once more would only make the client wait twice as long.
            let waited = kind == UpstreamFault::Timeout && pool.endpoints.load().len() < 2;
            let invalid = kind == UpstreamFault::Protocol && !fault.reused;
            if !may || waited || invalid || pool.pool.retry.retries_max == 0 {
                return Err(Stop::Upstream(kind));
            }
            choice = pool.pick(Some(tried), random::next());
            let next = PoolState::next(choice.as_ref(), tried);
            let cost = cost(fault.written, stale, kind == UpstreamFault::Timeout, next);
            if !self.pay(cost, &mut spent).await {
                return Err(Stop::Upstream(kind));
            }
            tally.retried(pool);
        }
    }

    /// Pays for another try, and waits where that is part of the price. False when it cannot be paid.
    async fn pay(&self, cost: Cost, spent: &mut Spent) -> bool {
        let pool = self.forwarding.pool;
        let retry = &pool.pool.retry;
        if cost == Cost::Move && spent.moves < MOVES_MAX {
            spent.moves += 1;
            return true;
        }
        if spent.retries >= retry.retries_max {
            return false;
        }
        if cost == Cost::Budget {
            if !pool.budget.try_retry(clock::recent_ns()) {
                return false;
            }
            let wait = backoff(
                retry.backoff_base,
                retry.backoff_max,
                spent.retries,
                random::next(),
            );
            tokio::time::sleep(wait).await;
        }
        spent.retries += 1;
        true
    }

    fn timed_out(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| clock::recent_tokio() >= deadline)
    }

    /// One try.
    async fn attempt<D: Downstream>(
        &self,
        chosen: &Choice,
        connect_by: Instant,
        upload: &mut Upload,
        down: &mut D,
        watchdog: &mut Watchdog,
        tally: &mut Tally<'_>,
    ) -> Result<Answer, TryFault> {
        tally.tried(chosen.endpoint.address);
        let in_flight = InFlight::enter(&chosen.endpoint);
        let (mut exchange, reused) = match self.open(chosen, connect_by, upload).await {
            Ok(opened) => opened,
            Err(fault) => return Err(TryFault::early(Stop::Upstream(fault))),
        };
        tally.connected();
        self.queue_body(&mut exchange);
        let head = self.final_head(&mut exchange, upload, down, watchdog).await;
        match head {
            Ok(head) => {
                self.forwarding.pool.answered(&chosen.endpoint, head.status);
                Ok(Answer {
                    exchange,
                    in_flight,
                    head,
                })
            }
            Err(stop) => {
                if matches!(stop, Stop::Upstream(UpstreamFault::Timeout)) {
                    exchange.retire();
                }
                Err(TryFault {
                    stop,
                    written: exchange.written_any(),
                    reused,
                })
            }
        }
    }

    /// What is held of the body, or that there is none.
    fn queue_body(&self, exchange: &mut Exchange) {
        if let Some(held) = self.held {
            if !held.bytes.is_empty() {
                exchange.send(held.bytes.clone());
            }
            if let Some(trailers) = &held.end {
                exchange.end(trailers);
            }
        } else if !self.forwarding.request.has_body {
            exchange.end(&Vec::new());
        }
    }

    /// Waits for the final response; interim ones are passed on.
    async fn final_head<D: Downstream>(
        &self,
        exchange: &mut Exchange,
        upload: &mut Upload,
        down: &mut D,
        watchdog: &mut Watchdog,
    ) -> Result<ResponseMessage, Stop> {
        let request = self.forwarding.request;
        let mut wait = self.forwarding.pool.pool.read_timeout;
        if let Some(deadline) = self.deadline {
            wait = wait.min(deadline.saturating_duration_since(clock::recent_tokio()));
        }
        loop {
            let head =
                forward::response_head(exchange, upload, down, request.method(), watchdog, wait).await?;
            match head.status {
                // Nobody asked to switch (RFC 9110 section 15.2.2): what follows cannot be trusted.
                101 if !request.upgrade => return Err(Stop::Upstream(UpstreamFault::Protocol)),
                100 => {}
                102..200 => {
                    down.interim(head.status, &outgoing::interim_fields(&head));
                    // Worth something only before the final answer, which may take its time.
                    poll_fn(|cx| down.poll_flush(cx)).await.map_err(|_| Stop::Gone)?;
                }
                _ => return Ok(head),
            }
        }
    }

    async fn open(
        &self,
        chosen: &Choice,
        connect_by: Instant,
        upload: &Upload,
    ) -> Result<(Exchange, bool), UpstreamFault> {
        let (pool, endpoint) = (self.forwarding.pool, &*chosen.endpoint);
        let left = connect_by.saturating_duration_since(clock::recent());
        let wait = pool.pool.connect_timeout.min(left);
        if pool.speaks_h2() {
            return timeout(wait, Box::pin(self.open_h2(chosen, wait, upload)))
                .await
                .unwrap_or(Err(UpstreamFault::ConnectTimeout))
                .map(|exchange| (Exchange::H2(Box::new(exchange)), false));
        }
        let chunked = self.forwarding.request.has_body && self.forwarding.request.length.is_none();
        let head = outgoing::h1_head(self.forwarding, chunked);
        let (stream, reused) = match endpoint.take_idle(pool.pool.idle_timeout) {
            Some(stream) => (stream, true),
            // Boxed: rare, and large beside what a request on a warm connection needs.
            None => {
                let guard = endpoint.watch.connecting();
                let wait = chosen.connect_patience(wait);
                let connecting = connect::connect(endpoint.address, wait, pool.tls());
                let stream = Box::pin(connecting).await?;
                guard.succeeded();
                (stream, false)
            }
        };
        let exchange = H1Exchange::new(stream, head, chunked);
        Ok((Exchange::H1(Box::new(exchange)), reused))
    }

    async fn open_h2(
        &self,
        chosen: &Choice,
        wait: Duration,
        upload: &Upload,
    ) -> Result<h2::H2Exchange, UpstreamFault> {
        let (pool, endpoint) = (self.forwarding.pool, &*chosen.endpoint);
        let request =
            outgoing::h2_request(self.forwarding, pool.tls().is_some()).ok_or(UpstreamFault::Protocol)?;
        let end = !upload.open && self.held.is_none_or(|held| held.bytes.is_empty());
        let connect = async || {
            let guard = endpoint.watch.connecting();
            let wait = chosen.connect_patience(wait);
            let stream = connect::connect(endpoint.address, wait, pool.tls()).await?;
            let connection = h2::handshake(stream).await?;
            guard.succeeded();
            Ok(connection)
        };
        loop {
            let place = endpoint.h2.take(pool.pool.idle_connections_max, connect).await?;
            let fresh = place.fresh;
            match h2::H2Exchange::open(place, request.clone(), end) {
                // A connection that the origin just left is taken out; the last resort is a new one.
                Err(_) if !fresh => {}
                opened => return opened,
            }
        }
    }
}
