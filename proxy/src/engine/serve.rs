//! One exchange from head to record. Read it top to bottom.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use weir_decide::retry::{Attempt, backoff, may_retry};
use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::record::Outcome;

use super::body::{self, HoldLimits, REPLAY_BYTES_MAX};
use super::forward::{self, Exchange, Forwarded, Upload};
use super::outgoing::{self, Forwarding};
use super::request::{ConnectionInfo, Request};
use super::respond::{self, Refusal};
use super::stages;
use super::upgrade;
use crate::downstream::Downstream;
use crate::listen::watchdog::Watchdog;
use crate::live::Live;
use crate::random;
use crate::telemetry::Tally;
use crate::upstream::pool::{InFlight, PoolState};
use crate::upstream::{ResponseMessage, UpstreamFault, connect, h1::H1Exchange, h2};

/// Why an exchange ends without the upstream's answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The client left.
    Gone,
    /// We refuse.
    Refuse(Box<Refusal>),
    /// The upstream failed.
    Upstream(UpstreamFault),
}

impl Stop {
    pub(crate) fn refuse(code: RefusalCode) -> Self {
        Self::Refuse(Box::new(Refusal::new(code)))
    }
}

/// Serves one exchange. Returns the tunnel to run when the upstream switched protocols.
pub(crate) async fn serve<D: Downstream>(
    info: &ConnectionInfo,
    request: &Request,
    down: &mut D,
    watchdog: &mut Watchdog,
) -> Option<upgrade::Tunnel> {
    let live = info.shared.live.load_full();
    let mut tally = Tally::begin(info, &live, request);
    let result = exchange(info, &live, request, down, watchdog, &mut tally).await;
    let tunnel = match result {
        Ok(tunnel) => tunnel,
        Err(stop) => {
            finish_stopped(request, down, &mut tally, stop).await;
            None
        }
    };
    tally.finish(&info.shared, &live, down.bytes());
    tunnel
}

async fn finish_stopped<D: Downstream>(request: &Request, down: &mut D, tally: &mut Tally, stop: Stop) {
    let refusal = match stop {
        Stop::Gone => {
            tally.outcome = Outcome::ClientGone;
            down.abort();
            return;
        }
        Stop::Refuse(refusal) => *refusal,
        Stop::Upstream(fault) => Refusal::new(fault.code()),
    };
    tally.refused(&refusal);
    respond::refuse(down, request, &refusal, tally.request_id, &tally.limit_fields).await;
}

async fn exchange<D: Downstream>(
    info: &ConnectionInfo,
    live: &Live,
    request: &Request,
    down: &mut D,
    watchdog: &mut Watchdog,
    tally: &mut Tally,
) -> Result<Option<upgrade::Tunnel>, Stop> {
    let mut decided = stages::decide(info, live, request, tally)?;
    let route = decided.route().clone();
    let limits = HoldLimits {
        hold_max: decided
            .inspect_bytes_max()
            .unwrap_or(REPLAY_BYTES_MAX)
            .min(route.body_bytes_max.unwrap_or(u64::MAX)),
        refuse_over: decided.refuse_over_inspection()
            || route
                .body_bytes_max
                .is_some_and(|max| max <= decided.inspect_bytes_max().unwrap_or(REPLAY_BYTES_MAX)),
        total_max: live.config.client.inspection_bytes_max,
    };
    if request
        .length
        .is_some_and(|length| length > route.body_bytes_max.unwrap_or(u64::MAX))
        || (limits.refuse_over && request.length.is_some_and(|length| length > limits.hold_max))
    {
        return Err(Stop::refuse(RefusalCode::BodyTooLarge));
    }
    let hold = request.has_body
        && !request.upgrade
        && (decided.inspect_bytes_max().is_some()
            || request.length.is_some_and(|length| length <= REPLAY_BYTES_MAX));
    let held = if hold {
        Some(body::hold(down, &limits, &info.shared.held).await?)
    } else {
        None
    };
    stages::judge_body(&mut decided, held.as_ref().map_or(&[], |held| &held.bytes), tally)?;
    tally.decided();

    let deadline = route.timeout.map(|timeout| tally.started_tokio + timeout);
    let mut upload = Upload::new(
        request.has_body && held.as_ref().is_none_or(|held| held.end.is_none()),
        held.as_ref().map_or(0, |held| held.bytes.len() as u64),
        route.body_bytes_max,
    );
    if upload.open {
        down.allow_body();
        if decided.pool().speaks_h2() {
            // Streaming calls may be silent for long, and hold no connection of the origin while they are.
            down.free_body();
        }
    }
    let forwarding = Forwarding {
        info,
        live,
        request,
        decided: &decided,
        request_id: tally.request_id,
    };
    let (mut exchange, mut in_flight, response) = answered(
        &forwarding,
        held.as_ref(),
        &mut upload,
        down,
        watchdog,
        tally,
        deadline,
    )
    .await?;
    tally.first_byte();

    if response.status == 101 {
        return upgrade::switch(exchange, &response, down, tally, in_flight).await;
    }
    stages::judge_response(&mut decided, &response, tally)?;
    {
        let fields = outgoing::response_fields(&response, tally);
        let parts = outgoing::response_parts(&response, &fields);
        down.start(&parts)
            .map_err(|_| Stop::Upstream(UpstreamFault::Protocol))?;
    }
    tally.status = response.status;
    let timeout = decided.pool().pool.read_timeout;
    let forwarded =
        forward::response_body(&mut exchange, &mut upload, down, watchdog, timeout, deadline).await;
    tally.outcome = match forwarded {
        Forwarded::Whole => Outcome::Answered,
        Forwarded::ClientGone => Outcome::ClientGone,
        Forwarded::UpstreamCut => Outcome::UpstreamCut,
    };
    if forwarded == Forwarded::Whole {
        recycle(exchange, &mut in_flight, decided.pool());
    } else {
        down.abort();
    }
    Ok(None)
}

/// Keeps the upstream connection when it can carry another request.
fn recycle(exchange: Exchange, in_flight: &mut InFlight, pool: &PoolState) {
    if let Exchange::H1(exchange) = exchange
        && let Some(stream) = exchange.into_reusable()
    {
        in_flight.0.put_idle(stream, pool.pool.idle_connections_max);
    }
}

/// Tries upstreams until one answers, as far as the retry gate and the budget allow.
async fn answered<D: Downstream>(
    forwarding: &Forwarding<'_>,
    held: Option<&body::HeldBody<'_>>,
    upload: &mut Upload,
    down: &mut D,
    watchdog: &mut Watchdog,
    tally: &mut Tally,
    deadline: Option<tokio::time::Instant>,
) -> Result<(Exchange, InFlight, ResponseMessage), Stop> {
    let pool = forwarding.decided.pool();
    let retry = &pool.pool.retry;
    pool.budget.record_request(crate::clock::now_ns());
    let connect_by = Instant::now() + pool.pool.connect_total_timeout;
    let mut tried = None;
    let mut attempt_no: u8 = 0;
    loop {
        let attempt = Try {
            forwarding,
            held,
            tried,
            connect_by,
            deadline,
        };
        let (fault, written, stale) = match attempt.run(upload, down, watchdog, tally).await {
            Ok(answered) => return Ok(answered),
            Err(TryFault {
                stop: Stop::Upstream(fault),
                written,
                endpoint,
                reused,
            }) => {
                tried = endpoint;
                tally.upstream_failed(pool, fault);
                let stale = fault == UpstreamFault::Left || (reused && fault == UpstreamFault::Reset);
                (fault, written, stale)
            }
            Err(TryFault { stop, .. }) => return Err(stop),
        };
        let may = may_retry(&Attempt {
            method: forwarding.request.method(),
            written_any: written,
            proven_unprocessed: matches!(fault, UpstreamFault::Left | UpstreamFault::Refused),
            response_started: false,
            body_replayable: upload.rewind(),
            idempotency_key_opt_in: forwarding.decided.route().retry_idempotency_key
                && forwarding.request.field(b"idempotency-key").is_some(),
        });
        let timed_out = deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline);
        if !may || fault == UpstreamFault::Protocol || timed_out || attempt_no >= retry.retries_max {
            return Err(if timed_out {
                Stop::refuse(RefusalCode::RouteTimeout)
            } else {
                Stop::Upstream(fault)
            });
        }
        // A pooled connection that the origin had closed says nothing about the origin: no budget, no wait.
        if !stale {
            if !pool.budget.try_retry(crate::clock::now_ns()) {
                return Err(Stop::Upstream(fault));
            }
            let wait = backoff(retry.backoff_base, retry.backoff_max, attempt_no, random::next());
            tokio::time::sleep(wait).await;
        }
        attempt_no += 1;
        tally.retried(pool);
    }
}

/// One try.
struct Try<'a> {
    forwarding: &'a Forwarding<'a>,
    held: Option<&'a body::HeldBody<'a>>,
    tried: Option<usize>,
    connect_by: Instant,
    deadline: Option<tokio::time::Instant>,
}

struct TryFault {
    stop: Stop,
    written: bool,
    endpoint: Option<usize>,
    reused: bool,
}

impl Try<'_> {
    async fn run<D: Downstream>(
        &self,
        upload: &mut Upload,
        down: &mut D,
        watchdog: &mut Watchdog,
        tally: &mut Tally,
    ) -> Result<(Exchange, InFlight, ResponseMessage), TryFault> {
        let before = |stop, endpoint| TryFault {
            stop,
            written: false,
            endpoint,
            reused: false,
        };
        let pool = self.forwarding.decided.pool();
        let Some((index, endpoint)) = pool.pick(self.tried, random::next()) else {
            return Err(before(Stop::refuse(RefusalCode::NoHealthyUpstream), None));
        };
        tally.tried(endpoint.address);
        let in_flight = InFlight::enter(&endpoint);
        let (mut exchange, reused) = match self.open(&endpoint, pool, upload).await {
            Ok(opened) => opened,
            Err(fault) => return Err(before(Stop::Upstream(fault), Some(index))),
        };
        tally.connected();
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
        let method = self.forwarding.request.method();
        let mut wait = pool.pool.read_timeout;
        if let Some(deadline) = self.deadline {
            wait = wait.min(deadline.saturating_duration_since(tokio::time::Instant::now()));
        }
        loop {
            let head = forward::response_head(&mut exchange, upload, down, method, watchdog, wait).await;
            match head {
                Ok(head) if (100..200).contains(&head.status) && head.status != 101 => {
                    if head.status != 100 {
                        let fields = outgoing::interim_fields(&head);
                        down.interim(head.status, &fields);
                    }
                }
                Ok(head) if head.status == 101 && !self.forwarding.request.upgrade => {
                    // Nobody asked to switch (RFC 9110 section 15.2.2): what follows cannot be trusted.
                    let stop = Stop::Upstream(UpstreamFault::Protocol);
                    return Err(TryFault {
                        stop,
                        written: true,
                        endpoint: Some(index),
                        reused,
                    });
                }
                Ok(head) => return Ok((exchange, in_flight, head)),
                Err(stop) => {
                    if matches!(stop, Stop::Upstream(UpstreamFault::Timeout)) {
                        exchange.retire();
                    }
                    return Err(TryFault {
                        stop,
                        written: exchange.written_any(),
                        endpoint: Some(index),
                        reused,
                    });
                }
            }
        }
    }

    async fn open(
        &self,
        endpoint: &crate::upstream::pool::EndpointState,
        pool: &PoolState,
        upload: &Upload,
    ) -> Result<(Exchange, bool), UpstreamFault> {
        let left = self.connect_by.saturating_duration_since(Instant::now());
        let wait = pool.pool.connect_timeout.min(left);
        if pool.speaks_h2() {
            return timeout(wait, self.open_h2(endpoint, pool, wait, upload))
                .await
                .unwrap_or(Err(UpstreamFault::ConnectTimeout))
                .map(|exchange| (Exchange::H2(Box::new(exchange)), false));
        }
        let chunked = self.forwarding.request.has_body && self.forwarding.request.length.is_none();
        let head = outgoing::h1_head(self.forwarding, chunked);
        let (stream, reused) = match endpoint.take_idle(pool.pool.idle_timeout) {
            Some(stream) => (stream, true),
            None => (connect::connect(endpoint.address, wait, pool.tls()).await?, false),
        };
        Ok((
            Exchange::H1(Box::new(H1Exchange::new(stream, head, chunked))),
            reused,
        ))
    }

    async fn open_h2(
        &self,
        endpoint: &crate::upstream::pool::EndpointState,
        pool: &PoolState,
        wait: Duration,
        upload: &Upload,
    ) -> Result<h2::H2Exchange, UpstreamFault> {
        let request =
            outgoing::h2_request(self.forwarding, pool.tls().is_some()).ok_or(UpstreamFault::Protocol)?;
        let end = !upload.open && self.held.is_none_or(|held| held.bytes.is_empty());
        let connect = async || {
            let stream = connect::connect(endpoint.address, wait, pool.tls()).await?;
            h2::handshake(stream).await
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
