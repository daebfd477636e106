//! One exchange from head to record. Read it top to bottom; the stages themselves are in `weir_decide::pipeline`.

use std::sync::Arc;

use weir_decide::pipeline::{self, Routed};
use weir_decide::refuse::Refusal;
use weir_decide::screen::Screening;
use weir_schema::codes::RefusalCode;
use weir_schema::telemetry::record::Outcome;

use super::body::{self, HoldLimits, REPLAY_BYTES_MAX};
use super::forward::{self, Exchange, Forwarded, Patience, Upload};
use super::hold_response::{self, HeldResponse, HoldResponse, hold_response};
use super::outgoing::{self, Forwarding};
use super::request::{ConnectionInfo, FieldList, Request};
use super::{respond, retry, upgrade};
use crate::downstream::Downstream;
use crate::listen::watchdog::Watchdog;
use crate::live::{ClearedRequest, Live, TenantLive};
use crate::random;
use crate::telemetry::Tally;
use crate::upstream::pool::{InFlight, PoolState};
use crate::upstream::{ResponseMessage, UpstreamFault};

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
        Self::Refuse(Refusal::boxed(code))
    }

    /// Refuses for want of an upstream, and says when to come again.
    pub(crate) fn later(code: RefusalCode) -> Self {
        Self::Refuse(Box::new(Refusal::later(code, random::next())))
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
    let mut exchange = Serving {
        tally: Tally::begin(info, &live, request),
        screening: Screening::default(),
        info,
        live: &live,
        request,
        down,
        watchdog,
    };
    let tunnel = match exchange.run().await {
        Ok(tunnel) => tunnel,
        Err(stop) => {
            exchange.stopped(stop).await;
            None
        }
    };
    exchange.finish();
    tunnel
}

/// One exchange while it is served. It holds one version of everything from its head to its record.
struct Serving<'a, D> {
    info: &'a ConnectionInfo,
    live: &'a Live,
    request: &'a Request,
    down: &'a mut D,
    watchdog: &'a mut Watchdog,
    screening: Screening,
    tally: Tally<'a>,
}

impl<D: Downstream> Serving<'_, D> {
    async fn run(&mut self) -> Result<Option<upgrade::Tunnel>, Stop> {
        let (info, live, request) = (self.info, self.live, self.request);
        let routed = self.decide()?;
        if request.max_forwards() == Some(0) {
            return self.answer_options().await;
        }
        let plan = Plan::new(&routed, request, &self.screening, live, &self.tally)?;
        let held = if plan.holds {
            let (screening, tally) = (&mut self.screening, &mut self.tally);
            let look = |chunk: &[u8]| routed.read_body_chunk(chunk, screening, tally);
            Some(body::hold(self.down, &plan.hold, &info.shared.held, look).await?)
        } else {
            None
        };
        let bytes = held.as_ref().map_or(&[][..], |held| &held.bytes);
        let whole = held.as_ref().is_none_or(|held| held.end.is_some());
        let cleared = routed
            .judge_body(bytes, whole, &mut self.screening, &mut self.tally)
            .map_err(Stop::Refuse)?;
        self.tally.decided();

        let Some(pool) = cleared.tenant().pool(cleared.route_at()) else {
            return Err(Stop::refuse(RefusalCode::NoRoute));
        };
        let rest = request.has_body && held.as_ref().is_none_or(|held| held.end.is_none());
        let mut upload = Upload::new(rest, bytes.len() as u64, plan.body_bytes_max);
        if upload.open {
            self.down.allow_body();
            if pool.speaks_h2() {
                // Streaming calls may be silent for long, and hold no connection of the origin while they are.
                self.down.free_body();
            }
        }
        let forwarding = Forwarding {
            info,
            live,
            request,
            cleared: &cleared,
            pool,
            request_id: *self.tally.request_id(),
        };
        let attempts = retry::Attempts {
            forwarding: &forwarding,
            held: held.as_ref(),
            deadline: plan.deadline,
            retry_idempotency_key: plan.retry_idempotency_key,
        };
        let answer = attempts
            .run(&mut upload, self.down, self.watchdog, &mut self.tally)
            .await?;
        self.tally.first_byte();
        if answer.head.status == 101 {
            return upgrade::switch(answer, request, self.down, &mut self.tally).await;
        }
        let patience = Patience {
            timeout: pool.pool.read_timeout,
            deadline: plan.deadline,
        };
        self.pass_on(answer, &cleared, pool, upload, patience).await?;
        Ok(None)
    }

    /// Runs every stage that needs no body.
    fn decide(&mut self) -> Result<Routed<Arc<TenantLive>>, Stop> {
        let fields = self.request.fields();
        let view = self.request.view(&fields);
        let moment = self.tally.moment();
        let switches = self.info.shared.switches.now();
        let switches = switches.as_ref().map(|switches| &***switches);
        let edge = self.live.edge(&self.info.shared, switches, true);
        let (screening, tally) = (&mut self.screening, &mut self.tally);
        pipeline::decide(&edge, &self.info.view(), &view, &moment, screening, tally).map_err(Stop::Refuse)
    }

    /// Answers OPTIONS with `Max-Forwards: 0`: it is meant for us.
    async fn answer_options(&mut self) -> Result<Option<upgrade::Tunnel>, Stop> {
        let id = *self.tally.request_id();
        let answered = respond::options(self.down, id.as_bytes()).await;
        answered.map_err(|_| Stop::Gone)?;
        self.tally.status = 200;
        Ok(None)
    }

    /// Judges the upstream's answer and passes it on, while the rest of the upload goes up.
    async fn pass_on(
        &mut self,
        mut answer: retry::Answer,
        cleared: &ClearedRequest,
        pool: &PoolState,
        mut upload: Upload,
        patience: Patience,
    ) -> Result<(), Stop> {
        let mut held = HeldResponse::default();
        if self.screening.wants_response() {
            self.judge_response_head(cleared, &answer.head)?;
        }
        if self.screening.wants_response_body() && hold_response::may_be_held(&answer.head) {
            let hold = HoldResponse {
                bytes_max: cleared.response_bytes_max(),
                total: &self.info.shared.held,
                total_max: self.live.config.client.inspection_bytes_max,
            };
            let (exchange, upload) = (&mut answer.exchange, &mut upload);
            let holding = hold_response(&hold, exchange, upload, self.down, self.watchdog, patience);
            // Boxed: rare, and large beside what other responses need.
            held = Box::pin(holding).await?;
            if held.end.is_none() {
                self.screening.response_body_is_cut();
            }
            cleared
                .judge_response_body(&held.bytes, &mut self.screening, &mut self.tally)
                .map_err(Stop::Refuse)?;
        }
        {
            let fields = outgoing::response_fields(&answer.head, &self.tally);
            let parts = outgoing::response_parts(&answer.head, &fields);
            let started = self.down.start(&parts);
            started.map_err(|_| Stop::Upstream(UpstreamFault::Protocol))?;
        }
        self.tally.status = answer.head.status;
        let exchange = &mut answer.exchange;
        let forwarding =
            forward::response_body(exchange, &mut upload, self.down, self.watchdog, patience, held);
        let forwarded = forwarding.await;
        self.tally.outcome = match forwarded {
            Forwarded::Whole => Outcome::Answered,
            Forwarded::ClientGone => Outcome::ClientGone,
            Forwarded::UpstreamCut => Outcome::UpstreamCut,
        };
        if forwarded == Forwarded::Whole {
            recycle(answer.exchange, &answer.in_flight, pool);
        } else {
            self.down.abort();
        }
        Ok(())
    }

    fn judge_response_head(&mut self, cleared: &ClearedRequest, head: &ResponseMessage) -> Result<(), Stop> {
        let fields: FieldList<'_> = head.each_field().collect();
        cleared
            .judge_response_head(head.status, &fields, &mut self.screening, &mut self.tally)
            .map_err(Stop::Refuse)
    }

    /// Says to the client why there is no answer of the upstream's.
    async fn stopped(&mut self, stop: Stop) {
        let refusal = match stop {
            Stop::Gone => {
                self.tally.outcome = Outcome::ClientGone;
                self.down.abort();
                return;
            }
            Stop::Refuse(refusal) => *refusal,
            Stop::Upstream(fault @ (UpstreamFault::Connect | UpstreamFault::ConnectTimeout)) => {
                Refusal::later(fault.code(), random::next())
            }
            Stop::Upstream(fault) => Refusal::new(fault.code()),
        };
        self.tally.refused(&refusal);
        respond::refuse(self.down, self.request, &refusal, &self.tally).await;
    }

    /// Runs the rules' last phase and makes the record.
    fn finish(mut self) {
        if let Some(report) = self.screening.finish() {
            self.tally.reported(report);
        }
        self.tally.finish(self.down.bytes());
    }
}

/// What the route and the tenant say about the body and the time.
struct Plan {
    holds: bool,
    hold: HoldLimits,
    body_bytes_max: Option<u64>,
    deadline: Option<tokio::time::Instant>,
    retry_idempotency_key: bool,
}

impl Plan {
    /// # Errors
    /// The body is known to be too large before a byte of it was read.
    fn new(
        routed: &Routed<Arc<TenantLive>>,
        request: &Request,
        screening: &Screening,
        live: &Live,
        tally: &Tally<'_>,
    ) -> Result<Self, Stop> {
        let route = routed.tenant().policy.route(routed.route_at());
        let body_bytes_max = route.and_then(|route| route.body_bytes_max);
        let inspect_max = routed.inspect_bytes_max(screening);
        let inspect_or_replay_max = inspect_max.unwrap_or(REPLAY_BYTES_MAX);
        let hold = HoldLimits {
            hold_max: inspect_or_replay_max.min(body_bytes_max.unwrap_or(u64::MAX)),
            refuse_over: routed.refuses_over_inspection(screening)
                || body_bytes_max.is_some_and(|max| max <= inspect_or_replay_max),
            total_max: live.config.client.inspection_bytes_max,
        };
        let over = |max: u64| request.length.is_some_and(|length| length > max);
        if over(body_bytes_max.unwrap_or(u64::MAX)) || (hold.refuse_over && over(hold.hold_max)) {
            return Err(Stop::refuse(RefusalCode::BodyTooLarge));
        }
        let replayable = request.length.is_some_and(|length| length <= REPLAY_BYTES_MAX);
        Ok(Self {
            holds: request.has_body && !request.upgrade && (inspect_max.is_some() || replayable),
            hold,
            body_bytes_max,
            deadline: route
                .and_then(|route| route.timeout)
                .map(|timeout| tally.started() + timeout),
            retry_idempotency_key: route.is_some_and(|route| route.retry_idempotency_key),
        })
    }
}

/// Keeps the upstream connection when it can carry another request.
fn recycle(exchange: Exchange, in_flight: &InFlight, pool: &PoolState) {
    if let Exchange::H1(exchange) = exchange
        && let Some(stream) = exchange.into_reusable()
    {
        in_flight.0.put_idle(stream, pool.pool.idle_connections_max);
    }
}
